"""Attacks j40 to j43: on matchings that nodes keep, and on what many statements over one show."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nodes.datasets import register, replace_data
from nodes.matchings import Matchings
from nodes.prepared_worker import Facts, write
from nodes.registry import Registry
from sandbox.catalog import Member, Table
from sandbox.crypto.identity import Identity, Role
from sandbox.crypto.join.blind import Kept
from sandbox.crypto.join.dealer import deal
from sandbox.crypto.join.shape import Stage, write_shapes
from sandbox.errors import Refusal, TrustError
from sandbox.jobs import JobSpec, Missing, Preparation, Prepared, sign_job
from sandbox.sql.algebra import Plan
from sandbox.sql.plan import plan
from sandbox.sql.preparing import preparing_statement
from tests.attacks.join.test_dealer import tapped
from tests.crypto.join.memory import run
from tests.crypto.join.test_kept import DEALER, LEFT, RIGHT, SHAPE, kept_by, over, products
from tests.endtoend import shops
from tests.nodes import vaults

KEYS = {LEFT: [1, 2, 3, 4], RIGHT: [3, 4, 5, 6]}
ONES = {own: np.ones((1, 4), np.int64) for own in KEYS}


def test_attack_j40_coordinator_that_pairs_matchings_of_different_names_is_found() -> None:
    """Sums over slots of two matchings would be of rows that the coordinator brought together."""
    first, second = kept_by(KEYS, b"first"), kept_by(KEYS, b"second")
    assert products({own: first[own][1] for own in KEYS}, ONES, b"honest") == [[2]]
    with pytest.raises(TrustError, match="SB-3300"):
        products({LEFT: first[LEFT][1], RIGHT: second[RIGHT][1]}, ONES, b"job")


def test_attack_j41_statements_over_one_matching_show_the_coordinator_fresh_pads_alone() -> None:
    """The same columns, in the same slots, again and again: were a pad used twice, differences of what
    the coordinator sees would be differences of columns, and here zero in every slot."""
    kept = {own: held for own, (_, held) in kept_by(KEYS).items()}
    shape = replace(SHAPE, stage=Stage.MULTIPLY)
    seen = []
    for job in (b"first", b"second", b"third"):
        heard: dict[tuple[str, str], list[bytes]] = {}
        parties = {own: over(shape, own, kept[own], ONES[own], job) for own in KEYS}
        run({DEALER: deal([LEFT, RIGHT], draws()), **parties}, tapped(heard))
        frames = [frame for own in KEYS for frame in heard[own, DEALER]]
        assert frames.count(write_shapes([shape])) == len(KEYS)
        columns = [frame for frame in frames if len(frame) == 8 * shape.slots]
        assert len(columns) == len(KEYS)  # No tag is sent.
        seen += [np.frombuffer(frame, np.uint64) for frame in columns]
    for one, other in itertools.combinations(seen, 2):
        assert (one != other).all()


def draws() -> object:
    count = itertools.count()
    return lambda size: next(count).to_bytes(size, "big")


@dataclass
class Node:
    """Node b of two shops, which keeps a matching that `rosa` prepared."""

    folder: Path
    registry: Registry
    matchings: Matchings
    plan: Plan
    prepared: JobSpec
    digest: str

    def asked(self, **changed: object) -> JobSpec:
        """Return rosa's job over it, with some fields changed."""
        over = Prepared(name="shops", job=self.digest)
        fields = {"prepare": None, "prepared": over, "job": "cd" * 16, **changed}
        return self.prepared.model_copy(update=fields)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    shops.write(tmp_path)
    vault = vaults.open_vault(tmp_path)
    registry = Registry(vault)
    registered = register(registry, "purchases", tmp_path / "purchases.csv", shops.PURCHASES)
    cards = {"a.people": shops.PEOPLE, "b.purchases": shops.PURCHASES}
    tables = {
        name: Table(name, card, (Member(f"node {name[0]}", name[2:]),))
        for name, card in cards.items()
    }
    rosa = Identity.generate("rosa", Role.RESEARCHER)
    now = int(time.time())
    spec = JobSpec(
        job="ab" * 16,
        researcher=rosa.public.fingerprint,
        coordinator="coordinator",
        statement=preparing_statement("a.people", "b.purchases", [("id", "buyer")]),
        tables={name: vaults.digest_of(name) for name in cards},
        members=["node-aaaa", "node-bbbb"],
        purpose="",
        epsilon="0.05",
        delta="0.0000000001",
        magnitudes={},
        missing=Missing.FAIL,
        minimum_members=2,
        collusion=1,
        ring="z64",
        mode="blind",
        context="",
        checksum_seeds={},
        prepare=Preparation(name="shops", until=now + 3600),
        created=now,
        expires=now + 3600,
    )
    job = sign_job(spec, rosa)
    vault.accept_job(spec.job, job)
    vault.store_offer(job.digest, 1, b"offer", b"secret")
    vault.sign_roster(job.digest, 1, vaults.digest_of("roster"))
    lease = vault.reserve(job.digest, vaults.digest_of("roster"), vaults.charge(), vaults.demands())
    matchings = Matchings(vault, registry)
    with matchings.writing(job.digest) as file:
        kept = Kept(np.zeros(1, np.uint32), bytes(32))
        keys = [pa.array(["P0001"])]
        write(str(file), Facts(registered.version, 4, 0), kept, keys, np.zeros(1, np.intp))
    vaults.commit(vault, job, lease, b"share", "roster")
    statement = "SELECT SUM(q.amount) FROM a.people p JOIN b.purchases q ON p.id = q.buyer"
    yield Node(tmp_path, registry, matchings, plan(statement, tables), spec, job.digest)
    vault.close()


def test_attack_j42_member_that_changes_its_rows_under_a_matching_is_refused(node: Node) -> None:
    """The pattern was charged for the rows that were matched. Rows that come later find slots of keys
    they never had, and a count of them would be of a pattern that nobody has paid for."""
    assert node.matchings.find(node.asked(), node.plan, "purchases").facts.dummies == 4
    text = (node.folder / "purchases.csv").read_text()
    other = node.folder / "other.csv"
    other.write_text(text.replace("P0250", "P0001"))
    replace_data(node.registry, "purchases", other)
    with pytest.raises(Refusal, match="SB-2264"):
        node.matchings.find(node.asked(), node.plan, "purchases")


def test_attack_j42_file_that_changes_where_it_lies_is_refused(node: Node) -> None:
    file = node.folder / "purchases.csv"
    file.write_text(file.read_text() + "9999,P0001,1.00,a\n")
    with pytest.raises(Refusal, match="SB-2264"):
        node.matchings.find(node.asked(), node.plan, "purchases")


def test_attack_j43_job_over_what_another_researcher_has_prepared_is_refused(node: Node) -> None:
    with pytest.raises(Refusal, match="SB-2260"):
        node.matchings.find(node.asked(researcher="mallory"), node.plan, "purchases")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"tables": {"a.people": "00" * 32, "b.purchases": "00" * 32}}, "SB-2261"),
        ({"prepared": Prepared(name="shops", job="00" * 32)}, "SB-2260"),
    ],
)
def test_attack_j43_job_that_replays_a_matching_where_it_does_not_belong_is_refused(
    node: Node, changed: dict[str, object], code: str
) -> None:
    with pytest.raises(Refusal, match=code):
        node.matchings.find(node.asked(**changed), node.plan, "purchases")


def test_attack_j43_matching_past_its_day_is_refused(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 7200
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Refusal, match="SB-2263"):
        node.matchings.find(node.asked(), node.plan, "purchases")


def test_attack_j43_matching_whose_job_never_ended_is_none(node: Node, tmp_path: Path) -> None:
    """What a crash leaves between the file and the commit counts for nothing, and goes."""
    left = node.folder / "matchings" / f"{'ef' * 32}.slots"
    left.write_bytes((node.folder / "matchings" / f"{node.digest}.slots").read_bytes())
    asked = node.asked(prepared=Prepared(name="shops", job="ef" * 32))
    with pytest.raises(Refusal, match="SB-2260"):
        node.matchings.find(asked, node.plan, "purchases")
    unfinished = left.with_suffix(".unfinished")
    left.rename(unfinished)
    left.write_bytes(b"half")
    Matchings(node.matchings._vault, node.registry)
    assert not left.exists()
    assert not unfinished.exists()
    assert (node.folder / "matchings" / f"{node.digest}.slots").exists()
