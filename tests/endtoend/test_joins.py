"""Joins between real nodes without noise equal DuckDB's on both tables in one place."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from sandbox.client import Session
from sandbox.errors import SandboxError
from tests.endtoend import deployment, shops


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("shops") / "deployment"
    made.parent.mkdir(exist_ok=True)
    shops.make(made)
    with deployment.running(made, plain=True):
        yield made


@pytest.fixture(scope="module")
def session(folder: Path) -> Iterator[Session]:
    with deployment.researcher(folder) as opened:
        yield opened


STATEMENTS = (
    "SELECT COUNT(*) AS n, SUM(q.amount) AS total "
    "FROM a.people p JOIN b.purchases q ON p.id = q.buyer",
    "SELECT p.region, q.kind, COUNT(*) AS n, SUM(q.amount * p.age) AS weighted "
    "FROM a.people p JOIN b.purchases q ON p.id = q.buyer "
    "WHERE p.age > 20 AND q.amount < 250 GROUP BY p.region, q.kind ORDER BY 1, 2",
    "SELECT COUNT(*) AS n FROM a.people p LEFT JOIN b.purchases q ON p.id = q.buyer "
    "WHERE p.age < 50",
    "SELECT region, COUNT(*) AS n, SUM(age) AS years FROM a.people "
    "WHERE id IN (SELECT buyer FROM b.purchases WHERE amount > 100) AND age > 30 "
    "GROUP BY region ORDER BY 1",
    "SELECT COUNT(*) AS n FROM b.purchases q "
    "WHERE EXISTS (SELECT 1 FROM a.people p WHERE p.id = q.buyer AND p.region = 'north')",
    "SELECT AVG(q.amount) AS mean, STDDEV(q.amount) AS spread, CORR(p.age, q.amount) AS r "
    "FROM a.people p JOIN b.purchases q ON p.id = q.buyer",
)


REFUSED = (
    ("SELECT COUNT(*) FROM a.people p JOIN b.purchases q ON p.age = q.number", "SB-10"),
    (
        "SELECT q.buyer, COUNT(*) FROM a.people p JOIN b.purchases q ON p.id = q.buyer GROUP BY 1",
        "SB-10",
    ),
)


@pytest.mark.parametrize(("statement", "code"), REFUSED)
def test_a_join_by_no_key_or_grouped_by_one_is_refused_at_explain(
    session: Session, statement: str, code: str
) -> None:
    with pytest.raises(SandboxError, match=code):
        session.sql(statement).explain(epsilon=Decimal(1), delta=Decimal("1e-6"))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_join_of_two_nodes_is_duckdbs(session: Session, folder: Path, statement: str) -> None:
    result = session.sql(statement).run(epsilon=Decimal(1), delta=Decimal("1e-6"))
    expected = shops.duck(folder).execute(statement).fetchall()
    names = [column[0] for column in shops.duck(folder).execute(statement).description]
    found = result.to_pandas()[names].values.tolist()
    assert [[pytest.approx(v) if not isinstance(v, str) else v for v in row] for row in found] == [
        [float(v) if not isinstance(v, str) else v for v in row] for row in expected
    ]
