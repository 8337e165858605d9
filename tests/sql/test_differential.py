"""Thousands of generated statements, planned and compiled, against plain SQL over the union."""

from __future__ import annotations

import random
from collections.abc import Mapping
from decimal import Decimal

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


@pytest.mark.parametrize("buckets", [1, 4, 7, 20])
@pytest.mark.parametrize(
    ("column", "low", "units", "step"),
    [("torque", 0, 801, "0.1"), ("price", -100, 20_001, "0.01"), ("speed", 1000, 2001, "1")],
)
def test_histograms_count_as_plain_sql_does(
    plants: tuple[duckdb.DuckDBPyConnection, Mapping[str, duckdb.DuckDBPyConnection]],
    column: str,
    low: int,
    units: int,
    step: str,
    buckets: int,
) -> None:
    reference, sources = plants
    width = Decimal(step) * -(-units // buckets)
    counted = dict(
        reference.execute(
            f"SELECT (({column} - {low}) * 100)::BIGINT // {int(width * 100)}, count(*) "
            f"FROM machines GROUP BY 1"
        ).fetchall()
    )
    planned = plan(f"SELECT HISTOGRAM({column}, {buckets}) FROM machines", catalogue())
    for row in exact_answer(sources, planned, NAMES).rows:
        edge, estimate = row.values[0], row.estimates[1]
        place = None if edge is None else (Decimal(str(edge)) - low) / width
        assert estimate is not None
        assert estimate.value == counted.pop(place, 0)
    assert not counted
