"""Attacks of a coordinator on a finished job: what it may hand to the researcher as the result.

One real job among real processes; then the coordinator, whose store the test reads, serves anything
that it could make of what it holds.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
import tenseal

from sandbox.audit.receipt import Receipt, verify_receipt
from sandbox.audit.statements import Release, Sum
from sandbox.client import Session
from sandbox.crypto import envelope as envelopes
from sandbox.crypto import he
from sandbox.crypto.identity import Identity, Role, Signed, parse
from sandbox.crypto.rings import ring_named
from sandbox.errors import TrustError
from sandbox.jobs import JobSpec
from sandbox.submission import Opened, Terms, open_job
from tests.attacks.attacker import Target

COUNT = "SELECT COUNT(*) FROM machines"


@dataclass
class Finished:
    """A finished job as the coordinator holds it."""

    session: Session
    job: str
    shares: list[bytes]
    summed: bytes
    receipt: Receipt

    def open(self, summed: bytes, receipt: Receipt | None = None) -> Opened:
        """Open as the researcher does."""
        note = self.session._notes.read(self.job)
        return open_job(
            note.plan(),
            JobSpec.model_validate(parse(note.signed.body)),
            note.seed,
            self.session.result_key,
            summed,
            receipt or self.receipt,
            self.session._identity,
            self.session.identities(),
        )


def finish(target: Target, session: Session) -> Finished:
    job = session.submit(session.sql(COUNT).plan, Terms(Decimal("0.05"), Decimal("0.000001")))
    view = session.wait(job, None)
    assert view.problem is None
    summed, receipt = session._connection.result(job)
    stores = list(target.profile("coordinator").glob("*.db"))
    with closing(sqlite3.connect(stores[0])) as store:
        rows = store.execute("SELECT share FROM shares WHERE job = ? ORDER BY node", (job,))
        shares = [bytes(share) for (share,) in rows]
    return Finished(session, job, shares, summed, receipt)


@pytest.fixture(scope="module")
def finished(target: Target, session: Session) -> Finished:
    return finish(target, session)


@pytest.fixture(scope="module")
def earlier(target: Target, session: Session) -> Finished:
    return finish(target, session)


def test_attack_46_the_researcher_opens_the_sum_of_three_shares_alone(
    finished: Finished, earlier: Finished
) -> None:
    a, b, c = finished.shares
    assert finished.summed == he.add([a, b, c])
    opened = finished.open(finished.summed)
    assert verify_receipt(opened.receipt, set(finished.session.identities())).trusted
    for name, forged in {
        "a share dropped": he.add([a, b]),
        "a share doubled": he.add([a, b, c, c]),
        "a share swapped for another": he.add([a, b, b]),
        "a share of an earlier job": he.add([a, b, earlier.shares[2]]),
        "an earlier sum": earlier.summed,
        "one provider's share": a,
        "the sum twice": he.add([finished.summed, finished.summed]),
    }.items():
        with pytest.raises(TrustError, match="SB-3033"):
            pytest.fail(f"{name} opened to {finished.open(forged).noised}")


@pytest.mark.parametrize("difference", [1, -1, 1_000_000])
def test_attack_71_a_coordinator_that_shifts_the_sum_is_found(
    difference: int, finished: Finished
) -> None:
    header = envelopes.unpack(finished.summed, "vector").header
    ring = ring_named(header["ring"])
    public = finished.session.result_key.public_contexts(ring)
    (context,) = envelopes.unpack_context(public, ring, he._parameters(ring))
    slots = [difference % ring.modulus] + [0] * (ring.slots(header["length"]) - 1)
    delta = tenseal.bfv_vector(tenseal.context_from(context), slots)
    shifted = he.add([finished.summed, envelopes.pack(header, [bytes(delta.serialize())])])
    with pytest.raises(TrustError, match="SB-3033"):
        finished.open(shifted)


def test_attack_46_a_receipt_must_name_every_member_of_the_roster(finished: Finished) -> None:
    receipt = finished.receipt
    with pytest.raises(TrustError, match="SB-3224"):
        finished.open(finished.summed, replace(receipt, nodes=receipt.nodes[:2]))
    with pytest.raises(TrustError, match="SB-3222"):
        finished.open(finished.summed, replace(receipt, roster=receipt.roster[:2]))
    with pytest.raises(TrustError, match="SB-3222"):
        finished.open(finished.summed, replace(receipt, roster=()))


def test_attack_46_a_coordinators_statement_over_fewer_shares_fails_the_receipt(
    finished: Finished, target: Target
) -> None:
    stated = Sum.model_validate(parse(finished.receipt.sum.body))
    members = sorted(stated.shares)
    fewer = he.add(finished.shares[:2])
    coordinator = Identity.load(target.profile("coordinator"))
    silent = stated.model_copy(
        update={
            "shares": {node: stated.shares[node] for node in members[:2]},
            "sum": hashlib.sha256(fewer).hexdigest(),
        }
    )
    opened = finished.open(finished.summed)
    forged = replace(opened.receipt, sum=silent.sign(coordinator))
    verdict = verify_receipt(forged, set(finished.session.identities()))
    assert "SB-3230" in {finding.code for finding in verdict.findings}


def test_attack_46_releases_and_rosters_of_another_job_do_not_serve(
    finished: Finished, earlier: Finished
) -> None:
    """They are truly signed; taken for this job's, they would state other noise, other members."""
    with pytest.raises(TrustError, match="SB-3235"):
        finished.open(finished.summed, replace(finished.receipt, nodes=earlier.receipt.nodes))
    with pytest.raises(TrustError, match="SB-3222"):
        finished.open(finished.summed, replace(finished.receipt, roster=earlier.receipt.roster))


def test_attack_46_a_release_that_states_less_noise_is_not_the_nodes(finished: Finished) -> None:
    node = finished.receipt.nodes[0]
    stated = Release.model_validate(parse(node.release.body))
    less = stated.model_copy(update={"scales": ["2"] * len(stated.scales)})
    sham = less.sign(Identity.generate("sham", Role.NODE))
    forged = Signed(sham.kind, sham.body, node.release.signer, node.release.signature)
    nodes = (replace(node, release=forged), *finished.receipt.nodes[1:])
    with pytest.raises(TrustError, match="SB-3012"):
        finished.open(finished.summed, replace(finished.receipt, nodes=nodes))
