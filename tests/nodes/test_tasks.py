"""A node's part of a job: its sums are right, its failures alike, its shares leave at slots alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from nodes.registry import Registry
from nodes.slots import LAST, SLOT_S, first_slot, wait_s
from nodes.taskrows import TaskState
from sandbox.crypto.identity import Identity, Role, parse
from sandbox.errors import InputError, Refusal, SandboxError, TrustError, Unavailable
from sandbox.jobs import LONGEST_LIFETIME_S
from sandbox.privacy.budget import BudgetLimits
from sandbox.privacy.policy import Policy
from sandbox.rpc import node_pb2
from tests.nodes.trio import TERMS, Trio


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    made = Trio(tmp_path_factory.mktemp("trio") / "deployment")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def fresh_workers(trio: Trio) -> None:
    for node in trio.nodes.values():
        node.workers.rows, node.workers.seconds, node.workers.room = 7, 0.0, None


def test_masked_shares_of_all_members_add_up_to_the_sum_and_no_fewer_do(trio: Trio) -> None:
    draft = trio.draft()
    job = trio.sign(draft.spec)
    roster, shares = asyncio.run(trio.coordinator_does(job))
    assert trio.opened(draft, job, roster, [*shares.values()]) == [21]
    with pytest.raises(TrustError):
        trio.opened(draft, job, roster, [shares["a"], shares["b"]])


def test_share_asked_for_twice_at_once_is_made_once(trio: Trio) -> None:
    draft = trio.draft()
    job = trio.sign(draft.spec)
    roster = trio.roster(job, trio.offers(job))
    before = len(trio.nodes["a"].workers.requests)

    async def both() -> None:
        one, two = await asyncio.gather(*(trio.share("a", job, roster) for _ in range(2)))
        assert one == two == await trio.share("a", job, roster)

    asyncio.run(both())
    assert len(trio.nodes["a"].workers.requests) == before + 1


def test_caller_that_hangs_up_does_not_stop_what_is_reserved(trio: Trio) -> None:
    draft = trio.draft()
    job = trio.sign(draft.spec)
    roster = trio.roster(job, trio.offers(job))

    async def hang_up_and_return() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(trio.share("a", job, roster), 0.01)
        await trio.share("a", job, roster)

    asyncio.run(hang_up_and_return())
    assert trio.nodes["a"].vault.task(job.digest).state is TaskState.COMMITTED


def test_full_queue_is_told_before_anything_is_charged_and_passes(trio: Trio) -> None:
    draft = trio.draft()
    job = trio.sign(draft.spec)
    roster = trio.roster(job, trio.offers(job))
    node = trio.nodes["a"]
    node.workers.room = Unavailable("SB-5202", waiting=256)
    with pytest.raises(Unavailable, match="SB-5202"):
        asyncio.run(trio.share("a", job, roster))
    assert node.vault.task(job.digest).state is TaskState.ROSTERED
    node.workers.room = None
    asyncio.run(trio.share("a", job, roster))


def test_budget_that_ran_out_between_offer_and_share_ends_the_task_and_is_logged(
    trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = trio.draft()
    job = trio.sign(draft.spec)
    roster = trio.roster(job, trio.offers(job))
    node = trio.nodes["a"]

    def gone(*_: object) -> int:
        raise Refusal("SB-2102", scope="machines")

    with monkeypatch.context() as patched:
        patched.setattr(node.vault, "reserve", gone)
        with pytest.raises(Refusal, match="SB-2102"):
            asyncio.run(trio.share("a", job, roster))
    assert node.vault.task(job.digest).state is TaskState.REFUSED
    kinds = [record.entry.kind for record in node.vault.log.entries(draft.spec.job)]
    assert kinds[-1] == "refusal"
    with pytest.raises(Refusal, match="SB-2102"):
        asyncio.run(trio.share("a", job, roster))


def test_rules_and_cards_that_changed_after_the_offer_bind_the_share(trio: Trio) -> None:
    """Else jobs offered in time would go on for as long as their researcher lets them live."""
    node = trio.nodes["a"]
    registry = Registry(node.vault)
    dataset, policy = registry.dataset("machines"), registry.policy("machines")
    before = lost(trio, trio.researcher.public.fingerprint)

    def nobody() -> None:
        registry.set_policy("machines", replace(policy, version=50, researchers=()))

    def tighter() -> None:
        registry.remove("machines")
        card = replace(dataset.card, contribution_cap=dataset.card.contribution_cap + 1)
        registry.add("machines", card, dataset.source, dataset.version)

    def restore() -> None:
        registry.remove("machines")
        registry.add("machines", dataset.card, dataset.source, dataset.version)
        if registry.policy("machines").version == 50:
            registry.set_policy("machines", replace(policy, version=51))

    for change, code in ((nobody, "SB-2011"), (tighter, "SB-3118")):
        job = trio.sign(trio.draft().spec)
        roster = trio.roster(job, trio.offers(job))
        change()
        for _ in range(2):
            with pytest.raises(SandboxError, match=code):
                asyncio.run(trio.share("a", job, roster))
        restore()
        assert node.vault.task(job.digest).state is TaskState.REFUSED
        assert node.vault.log.entries(parse(job.body)["job"])[-1].entry.kind == "refusal"
    assert lost(trio, trio.researcher.public.fingerprint) == before


def test_job_that_would_live_longer_than_a_week_is_refused_and_nothing_is_kept(trio: Trio) -> None:
    spec = trio.draft().spec
    longest = spec.model_copy(update={"expires": spec.created + LONGEST_LIFETIME_S})
    too_long = longest.model_copy(update={"expires": longest.expires + 1})
    job = trio.sign(too_long)
    with pytest.raises(TrustError, match="SB-3310"):
        trio.nodes["a"].tasks.offer(job, 1)
    assert trio.nodes["a"].vault.task_of(too_long.job) is None
    trio.offers(trio.sign(longest), "a")


def test_job_that_expired_is_ended_and_its_approval_with_it(
    trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = trio.draft().spec.model_copy(update={"expires": int(time.time()) + 1})
    job = trio.sign(spec)
    trio.offers(job, "a")
    time.sleep(1.1)
    with pytest.raises(TrustError, match="SB-3104"):
        trio.nodes["a"].tasks.offer(job, 2)
    assert trio.nodes["a"].vault.task(job.digest).state is TaskState.FAILED


def test_restarted_node_offers_nothing_before_its_witness_has_answered(trio: Trio) -> None:
    job = trio.sign(trio.draft().spec)
    node = trio.restart("c", confirmed=False)
    try:
        assert node.tasks.offer(job, 1) == node_pb2.Wait(reason=node_pb2.Wait.WITNESS)
        other = trio.nodes["b"]
        assert node.witnessing.nonce is not None
        said = other.witnessing.last_head(node.me.fingerprint, node.witnessing.nonce)
        assert node.witnessing.confirm([said])
        assert node.witnessing.nonce is None
    finally:
        trio.restart("c")


def test_answer_over_another_nonce_or_of_a_stranger_confirms_nothing(trio: Trio) -> None:
    node = trio.restart("c", confirmed=False)
    try:
        stale = trio.nodes["b"].witnessing.last_head(node.me.fingerprint, bytes(16))
        with pytest.raises(TrustError, match="SB-3240"):
            node.witnessing.confirm([stale])
        assert node.witnessing.nonce is not None
        own = node.witnessing.last_head(node.me.fingerprint, node.witnessing.nonce)
        assert not node.witnessing.confirm([own])
        nonce = node.witnessing.nonce.hex()
        known = {"version": 1, "log": node.me.fingerprint, "nonce": nonce, "head": None}
        minted = Identity.generate("b", Role.NODE).sign("last-head", known)
        assert not node.witnessing.confirm([minted])
        # What is wrong with one answer does not spoil another.
        good = trio.nodes["a"].witnessing.last_head(node.me.fingerprint, node.witnessing.nonce)
        assert node.witnessing.confirm([stale, own, good])
    finally:
        trio.restart("c")


# What rows do must not show


FAILURES = [
    Unavailable("SB-5201"),
    ValueError("a cell of the data"),
    OverflowError("12345"),
    KeyError("column"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_every_failure_over_rows_is_one_charged_code_at_a_slot(
    trio: Trio, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    draft = trio.draft()
    job = trio.sign(draft.spec)
    roster = trio.roster(job, trio.offers(job))
    node = trio.nodes["a"]
    node.workers.rows = failure
    before = lost(trio, draft.spec.researcher)
    began = time.monotonic()
    with pytest.raises(SandboxError) as raised:
        asyncio.run(trio.share("a", job, roster))
    took = time.monotonic() - began
    assert (raised.value.code, raised.value.facts) == ("SB-5203", {})
    assert took >= SLOT_S
    assert lost(trio, draft.spec.researcher) > before
    assert "a cell of the data" not in caplog.text
    node.workers.rows = 7
    with pytest.raises(Unavailable, match="SB-5203"):
        asyncio.run(trio.share("a", job, roster))


def lost(trio: Trio, researcher: str) -> int:
    node = trio.nodes["a"]
    (group,) = Registry(node.vault).dataset("machines").groups
    found = node.vault.spent(group, researcher)
    return 0 if found is None else found.lifetime_loss


def test_first_slot_follows_from_card_and_statement_alone() -> None:
    assert first_slot(1000, 3) == first_slot(1000, 3) == 0
    assert first_slot(10_000_000, 3) > 0
    assert all(first_slot(rows, 1) <= first_slot(rows * 10, 1) for rows in (1, 10**4, 10**8))


def test_share_leaves_at_slots_and_none_after_the_last() -> None:
    assert wait_s(0.03, 0) == pytest.approx(0.07)
    assert wait_s(0.1001, 0) == pytest.approx(0.0999)
    assert wait_s(0.01, 3) == pytest.approx(0.79)
    assert wait_s(SLOT_S * 2**LAST + 0.01, 0) is None


def test_share_that_missed_its_last_slot_is_charged_and_never_leaves(
    trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = trio.draft()
    job = trio.sign(draft.spec)
    roster = trio.roster(job, trio.offers(job))
    monkeypatch.setattr("nodes.tasks.wait_s", lambda *_: None)
    for _ in range(2):
        with pytest.raises(Unavailable, match="SB-5117"):
            asyncio.run(trio.share("a", job, roster))
    assert trio.nodes["a"].vault.task(job.digest).state is TaskState.FAILED


# Budgets


def test_strictest_policy_of_all_datasets_in_a_group_binds_each_of_them(
    trio: Trio,
) -> None:
    node = trio.nodes["b"]
    registry = Registry(node.vault)
    dataset = registry.dataset("machines")
    generous = registry.policy("machines")
    strict = BudgetLimits(
        TERMS.epsilon / 2,
        generous.dataset_budget.delta,
        generous.dataset_budget.period,
        TERMS.epsilon,
    )
    registry.add("copy", replace(dataset.card, name="copy"), dataset.source, dataset.version)
    tight: Policy = replace(generous, version=9, dataset_budget=strict)
    registry.set_policy("copy", tight)
    try:
        with pytest.raises(Refusal, match="SB-210"):
            trio.offers(trio.sign(trio.draft().spec), "b")
    finally:
        registry.set_policy("copy", replace(generous, version=10))


@pytest.mark.parametrize("size", ["1e999", "1e-999", "9" * 41])
def test_magnitude_that_no_double_holds_is_a_malformed_job(trio: Trio, size: str) -> None:
    spec = trio.draft().spec
    job = trio.sign(spec.model_copy(update={"magnitudes": {"n": size}}))
    with pytest.raises(InputError, match="SB-3101"):
        trio.nodes["a"].tasks.offer(job, 1)
