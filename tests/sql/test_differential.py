"""Thousands of generated statements, planned and compiled, against plain SQL over the union."""

from __future__ import annotations

import random
from collections.abc import Mapping

import duckdb
import pytest

from sandbox.sql.plan import plan
from tests.sql.comparison import assert_equal
from tests.sql.generator import Generator
from tests.sql.inprocess import exact_answer
from tests.sql.plants import catalogue, store, union, world
from tests.sql.reference import expected

STATEMENTS = 100
BATCHES = 12
NAMES = {name: "rows_" + name.replace(".", "_") for name in catalogue() if "." in name}
TYPED = ("b.machines", "c.machines")


@pytest.fixture(scope="module")
def plants() -> tuple[duckdb.DuckDBPyConnection, Mapping[str, duckdb.DuckDBPyConnection]]:
    rows = world(seed=1, units=60)
    sources = duckdb.connect()
    sources.execute("SET TimeZone = 'UTC'")
    for name, raw in rows.items():
        store(sources, NAMES[name], raw, name in TYPED)
    return union(rows), dict.fromkeys(rows, sources)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_plans_answer_as_plain_sql_does(
    plants: tuple[duckdb.DuckDBPyConnection, Mapping[str, duckdb.DuckDBPyConnection]], batch: int
) -> None:
    reference, sources = plants
    generator = Generator(random.Random(batch))
    tables = catalogue()
    for _ in range(STATEMENTS):
        statement = generator.statement()
        planned = plan(statement.text, tables)
        assert_equal(
            statement, exact_answer(sources, planned, NAMES), expected(reference, statement)
        )
