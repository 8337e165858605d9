"""`--verify` between real nodes: DuckDB's answers, an owner who demands it, a coordinator that lies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nodes.registry import Registry
from nodes.vault import Vault
from sandbox.audit.assumptions import assumptions
from sandbox.audit.receipt import Receipt
from sandbox.client import Session
from sandbox.crypto.identity import Identity
from sandbox.errors import InputError, Refusal, SandboxError
from sandbox.query import Wishes
from tests.endtoend import deployment, shops
from tests.endtoend.test_prepared import STATEMENTS, plain

WIDE = (
    "SELECT SUM(p.age * q.amount) AS s, SUM(q.amount * q.amount) AS squares, COUNT(*) AS n "
    "FROM a.people p JOIN b.purchases q ON p.id = q.buyer"
)
"""Its sums take 6 bytes, so that its words take 11."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("verified") / "deployment"
    shops.make(made)
    with deployment.running(made, plain=True):
        yield made


@pytest.fixture(scope="module")
def session(folder: Path) -> Iterator[Session]:
    with deployment.researcher(folder) as opened:
        yield opened


def equals_duckdb(
    folder: Path, session: Session, statement: str, prepared: str | None = None
) -> Receipt:
    result = session.sql(statement).run(epsilon="1", delta="1e-6", verify=True, prepared=prepared)
    expected = shops.duck(folder).execute(statement).fetchall()
    names = [
        name for name in result.to_arrow().column_names if not name.endswith(("_low", "_high"))
    ]
    found = [tuple(row[name] for name in names) for row in result.to_arrow().to_pylist()]
    assert [tuple(map(plain, row)) for row in found] == [tuple(map(plain, row)) for row in expected]
    assert any("--verify" in remark for remark in result.remarks())
    receipt = Receipt.from_json(result.receipt.read_text())
    for node in receipt.nodes:
        trust = json.loads(node.release.body)["trust"]
        assert trust == assumptions("blind", malicious=False, verify=True)
    return receipt


@pytest.mark.parametrize("statement", [*STATEMENTS, WIDE])
def test_verified_joins_equal_duckdb_and_their_releases_say_so(
    folder: Path, session: Session, statement: str
) -> None:
    receipt = equals_duckdb(folder, session, statement)
    assert [json.loads(node.release.body)["verified"] for node in receipt.nodes] == [True, True]


def test_verified_statement_is_over_a_matching_that_was_verified(
    folder: Path, session: Session
) -> None:
    for name, verify in (("checked", True), ("plain", False)):
        session.prepare(
            name,
            "a.people",
            "b.purchases",
            on="id=buyer",
            epsilon="0.05",
            delta="1e-9",
            verify=verify,
        ).run()
    equals_duckdb(folder, session, STATEMENTS[1], "checked")
    asked = session.sql(STATEMENTS[0])
    asked.run(epsilon="1", delta="1e-6", prepared="checked")  # Without, over the same slots.
    with pytest.raises(Refusal, match="SB-1106"):
        asked.run(epsilon="1", delta="1e-6", prepared="plain", verify=True)
    # One who asks all the same is refused by the nodes, uncharged.
    before = deployment.left(session)
    terms = asked.terms(Wishes(epsilon="1", delta="1e-6", prepared="plain"))
    job = session.submit(asked.plan, replace(terms, verify=True))
    problem = session.wait(job, None).problem
    assert problem is not None
    assert "SB-2265" in str(problem)
    assert deployment.left(session) == before


def demand(folder: Path, *, verify: bool) -> None:
    """Let the owner of purchases say whether the coordinator must be checked."""
    node = folder / "nodes" / "b"
    vault = Vault.open(node, Identity.load(node))
    registry = Registry(vault)
    now = registry.policy("purchases")
    changed = replace(now, version=now.version + 1, require_verify=verify)
    registry.set_policy("purchases", changed)
    vault.close()


def test_owner_can_demand_that_the_coordinator_is_checked(folder: Path, session: Session) -> None:
    demand(folder, verify=True)
    asked = session.sql(STATEMENTS[0])
    with pytest.raises(Refusal, match="SB-2253"):
        asked.run(epsilon="1", delta="1e-6")
    with pytest.raises(Refusal, match="SB-2253"):
        session.prepare(
            "x", "a.people", "b.purchases", on="id=buyer", epsilon="0.05", delta="1e-9"
        ).run()
    asked.run(epsilon="1", delta="1e-6", verify=True)
    demand(folder, verify=False)


def test_statements_without_a_product_of_the_coordinators_are_refused(session: Session) -> None:
    for statement in (
        "SELECT COUNT(*) AS n FROM a.people",
        "SELECT COUNT(*) AS n FROM a.people WHERE id IN (SELECT buyer FROM b.purchases)",
    ):
        with pytest.raises(InputError, match="SB-1096"):
            session.sql(statement).explain(epsilon="1", delta="1e-6", verify=True)


def test_explain_says_what_is_checked_what_remains_and_what_it_takes(session: Session) -> None:
    asked = session.sql(STATEMENTS[0])
    plain, verified = (
        asked.explain(epsilon="1", delta="1e-6", verify=verify) for verify in (False, True)
    )
    assert "2^-40" in str(verified)
    assert "4096" in str(verified)
    assert "2^-40" not in str(plain)
    assert verified.bytes > plain.bytes
    assert verified.seconds > plain.seconds
    assert verified.rho == plain.rho


def test_coordinator_that_shifts_a_product_ends_the_job_where_it_is_verified(
    tmp_path: Path,
) -> None:
    """Without, the answer is off by what it added, and nobody notices."""
    made = tmp_path / "deployment"
    shops.make(made)
    statement = "SELECT COUNT(*) AS n FROM a.people p JOIN b.purchases q ON p.id = q.buyer"
    with (
        deployment.running(made, plain=True, coordinator=deployment.SHIFTING_COORDINATOR),
        deployment.researcher(made) as session,
    ):
        shifted = session.sql(statement).run(epsilon="1", delta="1e-6")
        ((expected,),) = shops.duck(made).execute(statement).fetchall()
        assert shifted.to_arrow().to_pylist()[0]["n"] == expected + 1000
        with pytest.raises(SandboxError):
            session.sql(statement).run(epsilon="1", delta="1e-6", verify=True)
    logs = [path.read_text() for path in made.rglob("*.log")]
    assert any("SB-3049" in log for log in logs)
