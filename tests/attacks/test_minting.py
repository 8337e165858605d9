"""Attacks of a coordinator that holds the authority: parties it invents are parties to nobody."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator

import grpc
import pytest

from sandbox.client import Session
from sandbox.crypto.identity import Identity, Role, Signed, canonical
from sandbox.crypto.rings import ring_named
from sandbox.crypto.trust import Trust
from sandbox.jobs import BUDGET_REQUEST_KIND, OFFER_KIND, BudgetRequest, Offer, Roster, RosterMember
from sandbox.rpc import node_pb2
from sandbox.rpc.documents import from_message, to_message
from tests.attacks.attacker import Outcome, Target, altered, calling, certify, offered, outcome
from tests.endtoend.deployment import NODES

COUNT = "SELECT COUNT(*) FROM machines"
DENIED = grpc.StatusCode.PERMISSION_DENIED


@pytest.fixture(scope="module")
def minted(target: Target) -> Iterator[dict[Role, Identity]]:
    """A researcher and a node "c" of the coordinator's own making, certified and enrolled."""
    made = {
        role: certify(target.folder / "minted" / role, target.folder / "ca", name, role)
        for role, name in ((Role.RESEARCHER, "researcher"), (Role.NODE, "c"))
    }
    trust = Trust(target.profile("coordinator"))
    for identity in made.values():
        trust.accept(identity.public)
    yield made
    for identity in made.values():
        trust.revoke(identity.public.fingerprint)


def test_attack_64_a_minted_researcher_is_refused_by_every_node(
    minted: dict[Role, Identity], target: Target, session: Session
) -> None:
    sham = minted[Role.RESEARCHER]
    job = altered(target.draft(session, COUNT), sham, researcher=sham.public.fingerprint)
    assert [offered(target.folder, node, job) for node in NODES] == ["SB-3115"] * 3
    asked = BudgetRequest(
        researcher=sham.public.fingerprint, nonce=secrets.token_hex(16), at=int(time.time())
    )
    signed = sham.sign(BUDGET_REQUEST_KIND, asked.body())
    with calling(target.folder, "a", target.profile("coordinator")) as stub:
        refused = outcome(stub.Budget, to_message(signed))
    assert (refused.status, refused.code) == (DENIED, "SB-3115")


def test_attack_64_a_minted_node_joins_no_roster(
    minted: dict[Role, Identity], target: Target, session: Session
) -> None:
    job = target.draft(session, COUNT)
    offers = {node: offer_of(target, session, node, job) for node in NODES}
    sham = minted[Role.NODE]
    real = Identity.load(target.profile("c")).public.fingerprint
    its_own = sham.sign(OFFER_KIND, offer(job, sham.public.fingerprint).body())
    # Beside the others, in another's place, and under another's name.
    wider = [*offers.values(), its_own]
    instead = [offers["a"], offers["b"], its_own]
    named = sham.sign(OFFER_KIND, offer(job, real).body())
    relabelled = Signed(named.kind, named.body, real, named.signature)
    for roster, code in (
        (wider, "SB-3117"),
        (instead, "SB-3117"),
        ([offers["a"], offers["b"], relabelled], "SB-3012"),
    ):
        assert sign_roster(target, job, roster) == code


def test_attack_64_a_job_over_a_minted_node_is_on_another_table(
    minted: dict[Role, Identity], target: Target, session: Session
) -> None:
    """Even with its researcher's help: what a collection is, its pinned members have signed."""
    job = target.draft(session, COUNT)
    spec = json.loads(job.body)
    sham = minted[Role.NODE].public.fingerprint
    wider = {
        "members": sorted([*spec["members"], sham]),
        "checksum_seeds": {**spec["checksum_seeds"], sham: "00"},
        "minimum_members": 4,
    }
    assert offered(target.folder, "a", altered(job, target.researcher, **wider)) == "SB-3117"


def test_attack_64_a_minted_node_is_no_witness(
    minted: dict[Role, Identity], target: Target
) -> None:
    sham = minted[Role.NODE]
    head = sham.sign("head", {})
    with calling(target.folder, "a", target.profile("coordinator")) as stub:
        witnessing = node_pb2.WitnessRequest(head=to_message(head))
        assert refusal(outcome(stub.Witness, witnessing)) == "SB-3116"


def refusal(found: Outcome) -> str:
    assert found.status is DENIED
    return found.code


def offer(job: Signed, node: str) -> Offer:
    return Offer(job=job.digest, attempt=1, node=node, ephemeral=secrets.token_hex(32))


def offer_of(target: Target, session: Session, node: str, job: Signed) -> Signed:
    """Return a node's own offer; its context is brought first, as the coordinator does."""
    spec = json.loads(job.body)
    with calling(target.folder, node, target.profile("coordinator")) as stub:
        contexts = session.result_key.public_contexts(ring_named(spec["ring"]))
        part = node_pb2.ContextPart(digest=spec["context"], ring=spec["ring"], chunk=contexts)
        stub.PutContext(iter([part]), timeout=10)
        reply = stub.Offer(node_pb2.OfferRequest(job=to_message(job), attempt=1), timeout=10)
    assert reply.WhichOneof("answer") == "offer", reply
    return from_message(reply.offer)


def sign_roster(target: Target, job: Signed, offers: list[Signed]) -> str:
    """Ask node a to sign a roster of these offers; return the code of its refusal, or ""."""
    read = [Offer.model_validate(json.loads(each.body)) for each in offers]
    members = [RosterMember(node=each.node, ephemeral=each.ephemeral) for each in read]
    roster = Roster(
        job=job.digest, attempt=1, members=sorted(members, key=lambda member: member.node)
    )
    request = node_pb2.SignRosterRequest(
        job=to_message(job),
        roster=canonical(roster.body()),
        offers=[to_message(each) for each in offers],
    )
    with calling(target.folder, "a", target.profile("coordinator")) as stub:
        return outcome(stub.SignRoster, request).code
