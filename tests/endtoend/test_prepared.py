"""`sandbox join prepare` between real nodes: one matching, and statements over it as DuckDB answers."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes.datasets import replace_data
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox.audit.receipt import Receipt
from sandbox.client import Session
from sandbox.crypto.identity import Identity
from sandbox.errors import InputError, Refusal
from tests.endtoend import deployment, shops

FROM = "a.people p JOIN b.purchases q ON p.id = q.buyer"
STATEMENTS = [
    f"SELECT COUNT(*) AS n, SUM(q.amount) AS total FROM {FROM}",
    f"SELECT p.region, COUNT(*) AS n, SUM(q.amount) AS total FROM {FROM} "
    "WHERE p.age > 30 AND q.kind <> 'c' GROUP BY p.region ORDER BY p.region",
    f"SELECT p.region, q.kind, COUNT(*) AS n FROM {FROM} GROUP BY p.region, q.kind ORDER BY 1, 2",
    "SELECT COUNT(*) AS n, SUM(q.amount) AS total FROM a.people p "
    "LEFT JOIN b.purchases q ON p.id = q.buyer WHERE p.age < 50",
    f"SELECT SUM(p.age * q.amount) AS s, COUNT(*) AS n FROM {FROM} WHERE p.age IS NOT NULL",
    "SELECT COUNT(*) AS n FROM b.purchases q JOIN a.people p ON q.buyer = p.id WHERE q.kind = 'a'",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("prepared") / "deployment"
    shops.make(made)
    with deployment.running(made, plain=True):
        yield made


@pytest.fixture(scope="module")
def session(folder: Path) -> Iterator[Session]:
    with deployment.researcher(folder) as opened:
        prepare(opened, "shops")
        yield opened


def prepare(session: Session, name: str) -> None:
    session.prepare(
        name, "a.people", "b.purchases", on="id=buyer", epsilon="0.05", delta="1e-9"
    ).run()


def kept(folder: Path, node: str) -> list[Path]:
    return sorted((folder / "nodes" / node / "matchings").glob("*"))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_statements_over_one_matching_equal_duckdb(
    folder: Path, session: Session, statement: str
) -> None:
    equals_duckdb(folder, session, statement, "shops")


def equals_duckdb(folder: Path, session: Session, statement: str, name: str) -> None:
    result = session.sql(statement).run(epsilon="1", delta="1e-6", prepared=name)
    expected = shops.duck(folder).execute(statement).fetchall()
    names = [
        name for name in result.to_arrow().column_names if not name.endswith(("_low", "_high"))
    ]
    found = [tuple(row[name] for name in names) for row in result.to_arrow().to_pylist()]
    assert [tuple(map(plain, row)) for row in found] == [tuple(map(plain, row)) for row in expected]


def plain(value: object) -> object:
    return value if isinstance(value, str) or value is None else round(float(str(value)), 4)


def test_nodes_alone_keep_slots_and_no_key(folder: Path, session: Session) -> None:
    for node in ("a", "b"):
        (file,) = kept(folder, node)
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
        assert b"P0001" not in file.read_bytes()


def test_explain_names_the_matching_and_that_nothing_is_matched(session: Session) -> None:
    asked = session.sql(STATEMENTS[0])
    over = asked.explain(epsilon="1", delta="1e-6", prepared="shops")
    anew = asked.explain(epsilon="1", delta="1e-6")
    assert "'shops'" in str(over)
    assert "'shops'" in over.who_learns_what()["coordinator"]
    assert over.rho > anew.rho  # All of epsilon goes into the sums.
    assert over.bytes < anew.bytes


def test_preparation_says_its_price_and_charges_it_once(folder: Path, session: Session) -> None:
    asked = session.prepare(
        "again", "a.people", "b.purchases", on={"id": "buyer"}, epsilon="0.3", delta="1e-10"
    )
    assert "0.3" in asked.explain().cost()
    made = asked.run()
    assert made.receipt is not None
    receipt = Receipt.from_json(made.receipt.read_text())
    for node in receipt.nodes:
        assert json.loads(node.release.body)["loss"] == "3/10"
        assert json.loads(node.release.body)["scales"] == []
    result = session.sql(STATEMENTS[0]).run(epsilon="1", delta="1e-6", prepared="again")
    expected = session.sql(STATEMENTS[0]).explain(epsilon="1", delta="1e-6", prepared="again")
    for node in Receipt.from_json(result.receipt.read_text()).nodes:
        assert json.loads(node.release.body)["loss"] == str(expected.rho)
    assert [each.name for each in session.matchings()] == ["again", "shops"]
    with pytest.raises(InputError, match="SB-1127"):
        session.result(made.job_id)


def test_name_that_is_prepared_again_replaces_what_the_nodes_kept(
    folder: Path, session: Session
) -> None:
    prepare(session, "twice")
    first = session.matching("twice").job_id
    before = {node: kept(folder, node) for node in ("a", "b")}
    prepare(session, "twice")
    for node, files in before.items():
        now = kept(folder, node)
        assert len(now) == len(files)
        assert set(now) != set(files)
    session.ended(first)  # Looked at again, the older one does not take the name back.
    session.sql(STATEMENTS[0]).run(epsilon="1", delta="1e-6", prepared="twice")


def test_what_was_forgotten_is_gone_everywhere(folder: Path, session: Session) -> None:
    prepare(session, "gone")
    over = session.matching("gone")
    assert all(any(over.digest in str(f) for f in kept(folder, node)) for node in ("a", "b"))
    session.forget("gone")
    assert not any(over.digest in str(f) for node in ("a", "b") for f in kept(folder, node))
    session.ended(over.job_id)  # Looking at the job again does not bring the name back.
    with pytest.raises(InputError, match="SB-1122"):
        session.sql(STATEMENTS[0]).explain(epsilon="1", delta="1e-6", prepared="gone")
    # One who still names the job is refused by the nodes, uncharged.
    session._prepared.keep("gone", over.job_id)
    before = deployment.left(session)
    with pytest.raises(Refusal, match="SB-2260"):
        session.sql(STATEMENTS[0]).run(epsilon="1", delta="1e-6", prepared="gone")
    assert deployment.left(session) == before
    session._prepared.drop("gone")


def test_statements_that_a_matching_does_not_serve_are_refused_before_anything_is_sent(
    session: Session,
) -> None:
    alone = session.sql("SELECT COUNT(*) AS n FROM a.people")
    with pytest.raises(InputError, match="SB-1121"):
        alone.explain(epsilon="1", delta="1e-6", prepared="shops")
    with pytest.raises(InputError, match="SB-1129"):
        session.prepare("no name", "a.people", "b.purchases", on="id=buyer")
    with pytest.raises(InputError, match="SB-1128"):
        session.prepare("x", "a.people", "b.purchases", on="id=buyer", days=400)
    with pytest.raises(InputError, match="SB-2240"):
        session.prepare(
            "x", "a.people", "b.purchases", on="id=buyer", epsilon="1", delta="0"
        ).explain()


def test_rows_that_are_replaced_end_the_matching_and_preparing_again_cures_it(
    folder: Path, session: Session
) -> None:
    """Last: it changes the data."""
    prepare(session, "rows")
    file = folder / "people.csv"
    with file.open(newline="") as opened:
        rows = list(csv.reader(opened))
    more = folder / "more.csv"
    with more.open("w", newline="") as opened:
        csv.writer(opened).writerows([rows[0], *reversed(rows[1:]), ["P0640", "33", "north"]])
    node = folder / "nodes" / "a"
    vault = Vault.open(node, Identity.load(node))
    replace_data(Registry(vault), "people", more)
    vault.close()
    before = deployment.left(session)
    with pytest.raises(Refusal, match="SB-2264"):
        session.sql(STATEMENTS[0]).run(epsilon="1", delta="1e-6", prepared="rows")
    assert deployment.left(session) == before
    assert any(session.matching("rows").digest in str(file) for file in kept(folder, "a"))
    old = session.matching("rows").digest
    prepare(session, "rows")
    assert len(kept(folder, "a")) == 1  # All were of the rows that are gone.
    assert old not in str(kept(folder, "a"))
    shutil.copy(more, file)
    equals_duckdb(folder, session, STATEMENTS[1], "rows")
    # A file that changes where it lies is another version, too.
    os.utime(more, (1, 1))
    with pytest.raises(Refusal, match="SB-2264"):
        session.sql(STATEMENTS[0]).run(epsilon="1", delta="1e-6", prepared="rows")
