"""`sandbox join` between real nodes: the receiver alone has the ids that match, in a file of its own."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nodes.registry import Registry
from nodes.vault import Vault
from sandbox.audit.receipt import Receipt, verify_receipt
from sandbox.client import Session
from sandbox.crypto.identity import Identity
from sandbox.disclosure import Joined
from sandbox.errors import InputError, Refusal
from tests.endtoend import deployment, shops


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("disclosures") / "deployment"
    shops.make(made)
    allow(made, "b", "purchases", ("a",))
    with deployment.running(made):
        yield made


@pytest.fixture(scope="module")
def session(folder: Path) -> Iterator[Session]:
    with deployment.researcher(folder) as opened:
        yield opened


def allow(
    folder: Path, name: str, dataset: str, told: tuple[str, ...], *, malicious: bool = False
) -> None:
    """Let the owner of a node say to whom it discloses ids."""
    node = folder / "nodes" / name
    vault = Vault.open(node, Identity.load(node))
    registry = Registry(vault)
    now = registry.policy(dataset)
    policy = replace(
        now, version=now.version + 1, disclose_ids_to=told, require_malicious=malicious
    )
    registry.set_policy(dataset, policy)
    vault.close()


def column(file: Path, name: str) -> list[str]:
    with file.open(newline="") as opened:
        return [row[name] for row in csv.DictReader(opened)]


def in_both(folder: Path) -> list[str]:
    ids = set(column(folder / "people.csv", "id"))
    return sorted(ids & set(column(folder / "purchases.csv", "buyer")))


def written(folder: Path, joined: Joined) -> Path:
    return folder / "nodes" / joined.node / joined.file


@pytest.mark.parametrize("malicious", [False, True])
def test_receiver_alone_has_the_ids_that_match(
    folder: Path, session: Session, malicious: bool
) -> None:
    asked = session.join("a.people", "b.purchases", on="id=buyer", malicious=malicious)
    joined = asked.run()
    file = written(folder, joined)
    assert sorted(column(file, "id")) == in_both(folder)
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (folder / "nodes" / "b" / "joined").exists()
    ids = in_both(folder)
    for party in ("researcher", "coordinator", "nodes/b"):
        for kept in (folder / party).rglob("*"):
            if kept.is_file() and kept.suffix not in (".csv", ".parquet"):
                assert ids[0].encode() not in kept.read_bytes(), kept


def test_receipt_and_logs_name_the_disclosure_and_no_epsilon_is_spent(
    folder: Path, session: Session
) -> None:
    before = deployment.left(session)
    joined = session.join("a.people", "b.purchases", on={"id": "buyer"}).run()
    receipt = Receipt.from_json(joined.receipt.read_text())
    pinned = [identity.fingerprint for identity in receipt.identities]
    assert verify_receipt(receipt, pinned).ok
    receiver = next(i.fingerprint for i in receipt.identities if i.name == "a")
    for node in receipt.nodes:
        release = json.loads(node.release.body)
        assert (release["disclosed_to"], release["malicious"], release["loss"]) == (
            receiver,
            False,
            "0",
        )
        node.log.require("reservation", {"disclosed_to": receiver, "loss": "0"})
    assert deployment.left(session) == before


def test_every_row_of_a_key_that_matches_is_kept_as_the_source_has_it(
    folder: Path, session: Session
) -> None:
    """b's buyers occur several times: a's owner must allow it, and b gets each of its rows."""
    allow(folder, "a", "people", ("b",))
    joined = session.join("b.purchases", "a.people", on="buyer=id", file="parquet").run()
    found = pq.read_table(written(folder, joined)).column("buyer").to_pylist()
    ids = set(column(folder / "people.csv", "id"))
    expected = [buyer for buyer in column(folder / "purchases.csv", "buyer") if buyer in ids]
    assert sorted(found) == sorted(expected)
    assert len(found) > len(set(found))


def test_sender_that_does_not_name_the_receiver_is_not_asked_for_a_row(
    folder: Path, session: Session
) -> None:
    allow(folder, "b", "purchases", ())
    with pytest.raises(Refusal, match="SB-2250"):
        session.join("a.people", "b.purchases", on="id=buyer").run()
    allow(folder, "b", "purchases", ("a",))


def test_owner_can_demand_the_malicious_variant_of_joins_and_of_queries(
    folder: Path, session: Session
) -> None:
    allow(folder, "b", "purchases", ("a",), malicious=True)
    asked = session.sql(
        "SELECT COUNT(*) AS n FROM a.people WHERE id IN (SELECT buyer FROM b.purchases)"
    )
    for run in (
        lambda: session.join("a.people", "b.purchases", on="id=buyer").run(),
        lambda: asked.run(epsilon="0.5", delta="1e-6"),
    ):
        with pytest.raises(Refusal, match="SB-2251"):
            run()
    result = asked.run(epsilon="0.5", delta="1e-6", malicious=True)
    receipt = Receipt.from_json(result.receipt.read_text())
    assert [json.loads(node.release.body)["malicious"] for node in receipt.nodes] == [True, True]
    allow(folder, "b", "purchases", ("a",))


def test_statement_of_a_disclosure_is_no_query(session: Session) -> None:
    statement = session.join("a.people", "b.purchases", on="id=buyer").statement
    with pytest.raises(InputError, match="SB-1008"):
        _ = session.sql(statement).plan


def test_join_that_ended_is_found_again_and_is_no_answer(folder: Path, session: Session) -> None:
    joined = session.join("a.people", "b.purchases", on="id=buyer").run()
    assert session.joined(joined.job_id) == joined
    with pytest.raises(InputError, match="SB-1094"):
        session.result(joined.job_id)


def test_receiver_killed_at_some_moment_has_a_whole_file_or_none(tmp_path: Path) -> None:
    chance = random.Random(11)
    folder = tmp_path / "deployment"
    shops.make(folder)
    allow(folder, "b", "purchases", ("a",))
    for _ in range(3):
        with deployment.running(folder) as processes, deployment.researcher(folder) as session:
            asked = session.join("a.people", "b.purchases", on="id=buyer")
            session.submit(asked.plan, asked._terms)
            time.sleep(chance.uniform(0.1, 0.5))
            receiver = next(p for p in processes.programs if p.folder == folder / "nodes" / "a")
            os.kill(processes.pid(receiver), signal.SIGKILL)
    with deployment.running(folder):
        for file in (folder / "nodes" / "a").glob("joined/*"):
            assert sorted(column(file, "id")) == in_both(folder)
