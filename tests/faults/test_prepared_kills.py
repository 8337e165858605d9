"""A node that is killed while it prepares a matching leaves none; what was prepared outlives all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.audit.receipt import Receipt, verify_receipt
from sandbox.errors import InputError, SandboxError, Unavailable
from sandbox.prepared import PreparedJoin, Standing
from tests.endtoend import shops
from tests.faults.parties import Deployment, running, until

STATEMENT = "SELECT COUNT(*) AS n FROM a.people p JOIN b.purchases q ON p.id = q.buyer"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("prepared-kills") / "deployment"
    with running(folder, shops.make, frozenset({"a.people", "b.purchases"})) as deployment:
        yield deployment


def prepare(whole: Deployment) -> str:
    """Submit a preparation and return its job."""
    asked = whole.session.prepare(
        "shops", "a.people", "b.purchases", on="id=buyer", epsilon="0.05", delta="1e-10"
    )
    return whole.session.submit(asked.plan, asked.terms)


def kept(whole: Deployment, node: str) -> list[Path]:
    return [*(whole.nodes[node].folder / "matchings").glob("*")]


@pytest.mark.parametrize("point", ["reserve: committed", "commit_share: begun"])
def test_node_killed_while_it_prepares_keeps_no_half_matching(
    whole: Deployment, point: str
) -> None:
    whole.healthy()
    whole.nodes["a"].arm(point)
    job = prepare(whole)
    assert whole.ended(job).phase == "failed"
    whole.healthy()
    until("node a being back", whole.nodes["a"].ready)
    assert kept(whole, "a") == []
    with pytest.raises(SandboxError):
        whole.session.ended(job)
    with pytest.raises(InputError, match="SB-1119"):
        whole.session.matching("shops")


def test_forgetting_names_the_node_that_is_down_and_can_be_asked_for_again(
    whole: Deployment,
) -> None:
    whole.healthy()
    job = prepare(whole)
    assert whole.ended(job).phase == "done"
    whole.session.ended(job)
    whole.nodes["b"].stop()
    with pytest.raises(Unavailable, match="SB-5118") as untold:
        whole.session.forget("shops")
    assert untold.value.facts["parties"] == "b"
    assert kept(whole, "a") == []
    whole.healthy()
    assert len(kept(whole, "b")) == 1

    def forgotten() -> bool:
        try:
            whole.session.forget("shops")
        except Unavailable:  # The coordinator has not found b again yet.
            return False
        return True

    until("b being told", forgotten)
    assert kept(whole, "b") == []
    with pytest.raises(InputError, match="SB-1119"):
        whole.session.matching("shops")
    ended = whole.session.ended(job)
    assert isinstance(ended, PreparedJoin)
    assert ended.standing is Standing.FORGOTTEN


def test_restart_of_everybody_finds_the_matching_and_receipts_hold(whole: Deployment) -> None:
    whole.healthy()
    job = prepare(whole)
    assert whole.ended(job).phase == "done"
    made = whole.session.ended(job)
    for party in whole.parties:
        party.stop()
    whole.healthy()
    result = whole.session.sql(STATEMENT).run(epsilon="1", delta="1e-6", prepared="shops")
    assert made.receipt is not None
    for file in (made.receipt, result.receipt):
        receipt = Receipt.from_json(Path(file).read_text())
        pinned = [identity.fingerprint for identity in receipt.identities]
        assert verify_receipt(receipt, pinned).ok
