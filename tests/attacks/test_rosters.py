"""Attacks 59, 60, 62, 63, 66, 68: on who takes part in a sum, and on what a share's leaving tells."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import pytest

from nodes.slots import SLOT_S, wait_s
from sandbox.audit.receipt import verify_receipt
from sandbox.audit.statements import Release, Sum
from sandbox.crypto.identity import Identity, Role, parse
from sandbox.errors import InputError, ProtocolError, SandboxError, TrustError, Unavailable
from sandbox.jobs import Missing
from tests.audit import evidence
from tests.nodes.trio import TERMS, Trio, roster_body


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    made = Trio(tmp_path_factory.mktemp("rosters") / "deployment")
    yield made
    made.close()


def test_attack_59_job_completed_with_all_is_never_asked_of_fewer(trio: Trio) -> None:
    """The coordinator has ABC, and wants AB of the same job to subtract."""
    draft = trio.draft(terms=replace(TERMS, missing=Missing.PRESENT, minimum_members=2))
    job = trio.sign(draft.spec)
    asyncio.run(trio.coordinator_does(job))
    for name in "ab":
        with pytest.raises(ProtocolError, match="SB-6011"):
            trio.nodes[name].tasks.offer(job, 2)


def test_attack_59_second_roster_of_the_same_offers_is_not_signed(trio: Trio) -> None:
    draft = trio.draft(terms=replace(TERMS, missing=Missing.PRESENT, minimum_members=2))
    job = trio.sign(draft.spec)
    offers = trio.offers(job)
    trio.roster(job, offers)
    with pytest.raises(TrustError, match="SB-6012"):
        trio.nodes["a"].tasks.sign_roster(job, roster_body(job, offers[:2]), offers[:2])


def test_attack_60_share_asked_for_again_is_the_stored_one_whatever_roster_is_shown(
    trio: Trio,
) -> None:
    job = trio.sign(trio.draft().spec)
    roster, shares = asyncio.run(trio.coordinator_does(job))
    for shown in (roster, roster[:1], []):
        assert asyncio.run(trio.share("a", job, shown)) == shares["a"]
    node = trio.restart("a")
    assert asyncio.run(node.tasks.share(job.digest, roster)) == shares["a"]


def test_attack_60_one_time_keys_that_no_member_signed_make_no_roster(trio: Trio) -> None:
    """Masks under keys that the coordinator knows would be no masks."""
    job = trio.sign(trio.draft().spec)
    offers = trio.offers(job)
    body = roster_body(job, offers)
    known = parse(offers[1].body)["ephemeral"].encode()
    forged = body.replace(known, b"09" + b"00" * 31)
    assert forged != body
    with pytest.raises(TrustError, match="SB-3117"):
        trio.nodes["a"].tasks.sign_roster(job, forged, offers)


def test_attack_62_share_dropped_from_the_sum_is_found_at_opening(trio: Trio) -> None:
    draft = trio.draft()
    job = trio.sign(draft.spec)
    roster, shares = asyncio.run(trio.coordinator_does(job))
    assert trio.opened(draft, job, roster, [*shares.values()]) == [21]
    for summed in (["a", "b"], ["a", "b", "c", "c"], ["a"]):
        with pytest.raises(TrustError):
            trio.opened(draft, job, roster, [shares[name] for name in summed])


def test_attack_62_receipt_names_a_sum_over_fewer_shares_than_the_roster(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    receipt = evidence.make(tmp_path_factory.mktemp("receipt"))
    statement = Sum.model_validate_json(receipt.sum.body)
    fewer = dict(list(statement.shares.items())[:1])
    said = statement.model_copy(update={"shares": fewer}).sign(evidence.COORDINATOR)
    verdict = verify_receipt(replace(receipt, sum=said), None)
    assert ("sum", "SB-3230") in [(found.subject, found.code) for found in verdict.findings]


def test_attack_63_node_that_the_owner_no_longer_pins_makes_no_roster(trio: Trio) -> None:
    job = trio.sign(trio.draft().spec)
    offers = trio.offers(job)
    a, c = trio.nodes["a"], trio.nodes["c"]
    a.vault.pins.revoke(c.me.fingerprint)
    try:
        with pytest.raises(TrustError, match="SB-3116"):
            a.tasks.sign_roster(job, roster_body(job, offers), offers)
    finally:
        a.vault.pins.pin(c.me)


def test_attack_63_sham_member_of_a_job_or_a_roster_is_refused(trio: Trio) -> None:
    sham = Identity.generate("sham", Role.NODE)
    draft = trio.draft()
    name = sham.public.fingerprint
    invited = draft.spec.model_copy(
        update={
            "members": [*draft.spec.members, name],
            "checksum_seeds": {**draft.spec.checksum_seeds, name: "00"},
        }
    )
    with pytest.raises(TrustError, match="SB-3117"):
        trio.offers(trio.sign(invited), "a")
    job = trio.sign(trio.draft().spec)
    offers = trio.offers(job)
    own = parse(offers[2].body)
    offers[2] = sham.sign("offer", {**own, "node": name})
    with pytest.raises(TrustError, match=r"SB-311[67]"):
        trio.nodes["a"].tasks.sign_roster(job, roster_body(job, offers), offers)


def test_attack_63_fewer_members_add_more_noise_each(trio: Trio) -> None:
    scales = []
    for names in ("abc", "ab"):
        terms = replace(TERMS, missing=Missing.PRESENT, minimum_members=2)
        job = trio.sign(trio.draft(terms=terms).spec)
        roster = trio.roster(job, trio.offers(job, names), names)
        share = asyncio.run(trio.share("a", job, roster))
        scales.append(Fraction(Release.read(share.release, trio.nodes["a"].me).scales[0]))
    # sigma^2 / max(1, c - h): half of it at each of three, all of it at each of two.
    assert 1.9 < (scales[1] / scales[0]) ** 2 < 2.1


def test_attack_66_attempt_after_a_crash_has_new_keys_and_new_masks(trio: Trio) -> None:
    job = trio.sign(trio.draft().spec)
    first = [parse(offer.body)["ephemeral"] for offer in trio.offers(job)]
    trio.restart("a")
    second = [parse(offer.body)["ephemeral"] for offer in trio.offers(job, attempt=2)]
    assert not set(first) & set(second)
    offers = trio.offers(job, attempt=2)
    roster = trio.roster(job, offers)
    assert asyncio.run(trio.share("a", job, roster)).payload


def test_attack_66_share_interrupted_before_its_commit_is_never_made_again(trio: Trio) -> None:
    job = trio.sign(trio.draft().spec)
    roster = trio.roster(job, trio.offers(job))
    node = trio.nodes["a"]
    node.workers.seconds = 30.0

    async def killed() -> None:
        share = asyncio.create_task(trio.share("a", job, roster))
        await asyncio.sleep(0.2)
        share.cancel()
        for task in node.tasks._running.values():
            task.cancel()

    asyncio.run(killed())
    node = trio.restart("a")
    for _ in range(2):
        with pytest.raises(Unavailable, match="SB-5203"):
            asyncio.run(node.tasks.share(job.digest, roster))
    with pytest.raises(SandboxError):
        node.tasks.offer(job, 2)


class Slots:
    """Watches how a node asks for its release slot: (elapsed, first slot, seconds to hold)."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, int, float | None]] = []

    def __call__(self, elapsed: float, first: int) -> float | None:
        left = wait_s(elapsed, first)
        self.asked.append((elapsed, first, left))
        return left


ROWS = (0, 7, 10**12)
FAILURES = (ValueError("duplicate"), InputError("SB-1404"), OverflowError())


def observed(trio: Trio, monkeypatch: pytest.MonkeyPatch, rows: int | Exception) -> object:
    """What a coordinator sees of one share over `rows`, after checking that it left at a slot."""
    draft = trio.draft()
    job = trio.sign(draft.spec)
    roster = trio.roster(job, trio.offers(job))
    node, slots = trio.nodes["a"], Slots()
    node.workers.rows, node.workers.seconds = rows, 0.0
    told: tuple[object, ...]
    with monkeypatch.context() as patched:
        patched.setattr("nodes.tasks.wait_s", slots)
        try:
            share = asyncio.run(trio.share("a", job, roster))
            # Ciphertexts of one size differ by a few bytes of their encoding, whatever is in them.
            told = ("share", round(len(share.payload), -4))
        except SandboxError as error:
            told = (error.code, *error.facts.items())
    # A share looks once before its commit whether a slot is left; both are held until one.
    assert len(slots.asked) == (2 if told[0] == "share" else 1)
    elapsed, first, left = slots.asked[-1]
    assert left is not None
    assert math.log2((elapsed + left) / SLOT_S) == pytest.approx(
        round(math.log2((elapsed + left) / SLOT_S)), abs=1e-6
    )
    kinds = [record.entry.kind for record in node.vault.log.entries(draft.spec.job)]
    return told, first, tuple(kinds)


@pytest.mark.parametrize("cases", [ROWS, FAILURES], ids=["rows", "failures"])
def test_attack_68_rows_show_in_neither_answer_nor_size_nor_log_nor_slot(
    trio: Trio, monkeypatch: pytest.MonkeyPatch, cases: tuple[int | Exception, ...]
) -> None:
    assert len({observed(trio, monkeypatch, rows) for rows in cases}) == 1


@pytest.mark.parametrize("rows", [7, ValueError("duplicate")], ids=["share", "failure"])
def test_attack_68_log_tells_no_moment_between_slots(trio: Trio, rows: int | Exception) -> None:
    """Entries and their times reach the coordinator and, in the receipt, the researcher."""
    job = trio.sign(trio.draft().spec)
    roster = trio.roster(job, trio.offers(job))
    node = trio.nodes["a"]
    node.workers.rows, node.workers.seconds = rows, 0.0
    asked_ms = time.time_ns() // 1_000_000
    with contextlib.suppress(Unavailable):
        asyncio.run(trio.share("a", job, roster))
    ended = node.vault.log.entries(parse(job.body)["job"])[-1].entry
    assert ended.kind == ("release" if rows == 7 else "failure")
    assert ended.time - asked_ms >= SLOT_S * 1000 - 2
