"""Generated queries through real processes, without noise, against plain SQL over the union."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from sandbox.client import Session
from tests.endtoend import plants
from tests.endtoend.deployment import researcher, running
from tests.sql.comparison import assert_equal
from tests.sql.generator import Generator
from tests.sql.plants import catalogue, union, world
from tests.sql.reference import expected
from tests.sql.statements import Statement

STATEMENTS = 510
AT_ONCE = 8
EPSILON, DELTA = 4, "1e-6"


@pytest.fixture(scope="module")
def deployed(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Path, duckdb.DuckDBPyConnection]]:
    rows = world(seed=2, units=120)
    folder = tmp_path_factory.mktemp("plants") / "deployment"
    plants.make(folder, rows)
    with running(folder, plain=True):
        yield folder, union(rows)


def _check(session: Session, reference: duckdb.DuckDBPyConnection, statement: Statement) -> None:
    result = session.sql(statement.text).run(epsilon=EPSILON, delta=DELTA)
    wanted = expected(reference, statement, minimum=plants.POLICY.minimum_group_size)
    assert_equal(statement, result.answer, wanted)


@pytest.mark.timeout(900)
def test_queries_through_real_processes_answer_as_plain_sql_does(
    deployed: tuple[Path, duckdb.DuckDBPyConnection],
) -> None:
    folder, reference = deployed
    generator = Generator(random.Random(20))
    statements = [generator.statement() for _ in range(STATEMENTS)]
    with researcher(folder) as session, ThreadPoolExecutor(AT_ONCE) as threads:
        session.sql("SELECT COUNT(*) FROM machines").run(epsilon=EPSILON, delta=DELTA)
        running = [
            threads.submit(_check, session, reference.cursor(), statement)
            for statement in statements
        ]
        for check in running:
            check.result()


def test_generated_statements_use_everything_there_is() -> None:
    """A generator that stopped to produce something would leave it untested."""
    generator = Generator(random.Random(20))
    statements = [generator.statement() for _ in range(STATEMENTS)]
    text = " ".join(statement.text for statement in statements)
    aggregates = Counter(
        part.name for statement in statements for item in statement.items for part in item.parts
    )
    assert set(aggregates) == {
        "count", "count_distinct", "sum", "avg", "quantile", "covar_pop", "covar_samp", "corr",
        "var_pop", "var_samp", "stddev_pop", "stddev_samp",
    }  # fmt: skip
    assert min(aggregates.values()) >= 10
    for word in (
        "FILTER", "CASE", "HAVING", "ORDER BY", "LIMIT", "WITH", "UNION ALL", "DATE_TRUNC", "EXTRACT",
        "COALESCE", "NULLIF", "LIKE", "BETWEEN", "FLOOR(torque / 20)", "IS DISTINCT FROM", "DESC",
        *catalogue(),
    ):  # fmt: skip
        assert text.count(word) >= 10, word
    assert sum(len(statement.groups) > 1 for statement in statements) >= 50
