"""Joins of three and four real nodes without noise equal DuckDB's on all tables in one place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from sandbox.client import Session
from sandbox.errors import Refusal, SandboxError
from tests.endtoend import clinics, deployment


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("clinics") / "deployment"
    made.parent.mkdir(exist_ok=True)
    clinics.make(made)
    with deployment.running(made, plain=True):
        yield made


@pytest.fixture(scope="module")
def session(folder: Path) -> Iterator[Session]:
    with deployment.researcher(folder) as opened:
        yield opened


FROM = "FROM a.people p JOIN b.purchases q ON p.id = q.buyer {} JOIN c.loans l ON l.borrower = p.id"
STATEMENTS = (
    f"SELECT COUNT(*) AS n, SUM(q.amount * l.years) AS weighted {FROM.format('')}",
    "SELECT p.region, q.kind, l.state, COUNT(*) AS n, SUM(p.age * q.amount * l.years) AS all_three "
    f"{FROM.format('')} WHERE p.age > 20 AND (q.amount < 250 OR l.years > 10) "
    "GROUP BY 1, 2, 3 HAVING COUNT(*) >= 10 ORDER BY 1, 2, 3",
    f"SELECT q.kind, COUNT(*) AS n, SUM(l.years) AS years {FROM.format('LEFT')} "
    "WHERE p.region = 'north' GROUP BY 1 ORDER BY 1",
    "SELECT p.region, COUNT(*) AS n, SUM(l.years * q.amount) AS weighted FROM loans l "
    "JOIN a.people p ON p.id = l.borrower JOIN b.purchases q ON q.buyer = p.id "
    "WHERE l.years > 5 GROUP BY 1 ORDER BY 1",
)  # fmt: skip


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_join_of_many_nodes_is_duckdbs(session: Session, folder: Path, statement: str) -> None:
    is_duckdbs(session, folder, statement)


def test_a_verified_join_of_a_collection_is_duckdbs(session: Session, folder: Path) -> None:
    """Each of its members checks slots and products with the other table's."""
    statement = (
        "SELECT p.region, COUNT(*) AS n, SUM(l.years * p.age) AS weighted FROM loans l "
        "JOIN a.people p ON p.id = l.borrower WHERE l.years > 5 GROUP BY 1 ORDER BY 1"
    )
    is_duckdbs(session, folder, statement, verify=True)


def test_verification_of_three_tables_is_refused_at_explain(session: Session) -> None:
    with pytest.raises(Refusal, match="SB-1105"):
        session.sql(STATEMENTS[0]).explain(epsilon="1", delta="1e-6", verify=True)


def is_duckdbs(session: Session, folder: Path, statement: str, *, verify: bool = False) -> None:
    result = session.sql(statement).run(epsilon=Decimal(1), delta=Decimal("1e-6"), verify=verify)
    cursor = clinics.duck(folder).execute(statement)
    names = [column[0] for column in cursor.description]
    found = result.to_pandas()[names].values.tolist()
    expected = [[_plain(value) for value in row] for row in cursor.fetchall()]
    assert [[_close(value) for value in row] for row in found] == expected


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, str) else float(str(value))


def _close(value: object) -> object:
    if value is None or isinstance(value, str):
        return value
    number = float(str(value))
    return None if math.isnan(number) else pytest.approx(number)


def test_explain_says_what_the_coordinator_counts(session: Session) -> None:
    told = session.sql(STATEMENTS[0]).explain(epsilon=Decimal(1), delta=Decimal("1e-6"))
    assert "each set of two and more tables" in told.who_learns_what()["coordinator"]


def test_a_chain_over_another_key_is_refused_at_explain(session: Session) -> None:
    statement = (
        "SELECT COUNT(*) FROM a.people p JOIN b.purchases q ON p.id = q.buyer "
        "JOIN c.loans l ON l.number = q.number"
    )
    with pytest.raises(SandboxError, match=r"SB-106\d"):
        session.sql(statement).explain(epsilon=Decimal(1), delta=Decimal("1e-6"))
