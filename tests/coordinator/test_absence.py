"""Members that are not there, or have nobody to witness: who is waited for, how long, who is named."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from sandbox.audit.receipt import Receipt
from sandbox.coordinator.phases import Phase
from sandbox.coordinator.waits import PATIENCE
from sandbox.errors import Unavailable
from sandbox.jobs import Missing
from sandbox.rpc import node_pb2
from tests.coordinator.nodes import JOB, Scene, driven, problem, scene, seen
from tests.nodes.vaults import party

__all__ = ["scene"]


def ends_well_after(scene: Scene, waiting: tuple[str, str], cure: Callable[[], None]) -> None:
    """Run a job that waits for (party, reason), longer than one that may not wait, until cured."""

    async def act() -> None:
        async with driven(scene, Phase.OFFERING) as (flow, task):
            await seen(lambda: [(w.party, w.reason) for w in flow.waits.now] == [waiting])
            await asyncio.sleep(0.6)  # longer than the patience of a job that may not wait
            assert flow.job.phase is Phase.OFFERING
            cure()
            await task

    asyncio.run(act())
    assert scene.job.phase is Phase.DONE


def test_absent_node_fails_the_job_within_seconds_and_is_named(scene: Scene) -> None:
    scene.nodes["b"].away = True
    scene.submit()
    began = time.monotonic()
    scene.run()
    assert time.monotonic() - began < 2
    assert (problem(scene).code, problem(scene).facts["parties"]) == ("SB-5113", "b")
    assert all("compute" not in node.calls for node in scene.nodes.values())


def test_all_who_are_absent_are_named_however_they_keep_silent(scene: Scene) -> None:
    scene.nodes["b"].away = scene.nodes["c"].hangs = True
    scene.submit()
    scene.run()
    assert (problem(scene).code, problem(scene).facts["parties"]) == ("SB-5113", "b, c")


def test_nobody_is_called_absent_who_has_answered_or_waits_for_approval(scene: Scene) -> None:
    scene.nodes["a"].away = True
    scene.nodes["b"].wait = node_pb2.Wait.APPROVAL
    scene.submit()
    scene.run()
    assert (problem(scene).code, problem(scene).facts["parties"]) == ("SB-5113", "a")


@pytest.mark.parametrize("rule", [Missing.FAIL, Missing.PRESENT])
def test_job_that_nobody_could_witness_is_refused_before_anything_is_spent(
    scene: Scene, rule: Missing
) -> None:
    """One node alone can release a share, but its receipt would never come."""
    scene.nodes["b"].away = scene.nodes["c"].hangs = True
    members = ["a"] if rule is Missing.FAIL else [*scene.nodes]
    scene.submit(rule, least=1, members=members)
    began = time.monotonic()
    scene.run()
    assert time.monotonic() - began < 2
    facts = problem(scene).facts
    assert (problem(scene).code, facts["party"], facts["parties"]) == ("SB-5052", "a", "b, c")
    assert all("sign_roster" not in node.calls for node in scene.nodes.values())
    assert scene.kinds() == ["job", "failure"]


def test_job_of_one_node_waits_for_a_witness_where_it_may_wait(scene: Scene) -> None:
    scene.nodes["b"].away = scene.nodes["c"].away = True
    scene.submit(Missing.WAIT, members=["a"])

    def cure() -> None:
        scene.nodes["c"].away = False

    ends_well_after(scene, ("a", "witness"), cure)


def test_job_of_one_node_goes_on_while_any_other_is_there(scene: Scene) -> None:
    scene.nodes["b"].away = True
    scene.submit(members=["a"])
    assert scene.run().phase is Phase.DONE


def test_node_that_hangs_is_noticed_as_fast_as_one_that_is_away(scene: Scene) -> None:
    scene.nodes["b"].hangs = True
    scene.submit()
    began = time.monotonic()
    scene.run()
    assert time.monotonic() - began < 2
    assert problem(scene).code == "SB-5113"


@pytest.mark.parametrize("missing", [Missing.FAIL, Missing.PRESENT])
def test_node_that_says_who_it_is_but_is_slow_to_offer_is_busy_and_waited_for(
    scene: Scene, missing: Missing
) -> None:
    scene.submit(missing, least=2)

    async def act() -> None:
        scene.nodes["b"].slow = slow = asyncio.Event()
        async with driven(scene, Phase.OFFERING) as (flow, task):
            await seen(lambda: [(w.party, w.reason) for w in flow.waits.now] == [("b", "busy")])
            await asyncio.sleep(1.0)  # longer than the patience with a node that is away
            assert flow.job.phase is Phase.OFFERING
            slow.set()
            await task

    asyncio.run(act())
    assert scene.job.phase is Phase.DONE
    assert scene.job.left_out == ()
    assert scene.nodes["b"].calls.count("offer") == 1, "asked once: to ask again is more work"


def test_busy_node_falls_silent_and_is_away_within_seconds(scene: Scene) -> None:
    scene.submit()

    async def act() -> None:
        scene.nodes["b"].slow = asyncio.Event()
        async with driven(scene, Phase.OFFERING) as (flow, task):
            await seen(lambda: [w.reason for w in flow.waits.now] == ["busy"])
            scene.nodes["b"].away = True
            began = time.monotonic()
            await task
            assert time.monotonic() - began < 2

    asyncio.run(act())
    assert (problem(scene).code, problem(scene).facts["parties"]) == ("SB-5113", "b")


def test_busy_node_that_restarts_has_the_patience_of_one_that_is_away(scene: Scene) -> None:
    scene.submit()

    async def act() -> None:
        node = scene.nodes["b"]
        node.slow = asyncio.Event()
        async with driven(scene, Phase.OFFERING) as (flow, task):
            await seen(lambda: [w.reason for w in flow.waits.now] == ["busy"])
            await asyncio.sleep(0.6)  # busy for longer than that patience
            node.errors["offered"] = [Unavailable("SB-5101", party="b")]
            node.errors["offer"] = [Unavailable("SB-5101", party="b")] * 3
            node.slow.set()
            await task

    asyncio.run(act())
    assert scene.job.phase is Phase.DONE


def test_job_that_expires_while_a_node_is_busy_says_so(scene: Scene) -> None:
    scene.submit(expires=int(time.time()) + 2)
    scene.nodes["b"].errors["offer"] = [Unavailable("SB-5104", party="b")] * 10_000
    scene.run()
    facts = problem(scene).facts
    assert (problem(scene).code, facts["party"], facts["reason"]) == ("SB-5112", "b", "busy")


def test_patience_and_a_pending_call_together_stay_under_ten_seconds() -> None:
    assert PATIENCE.silent_s + 2 * PATIENCE.poll_s < 10


def test_job_that_may_wait_goes_on_when_the_node_is_back(scene: Scene) -> None:
    scene.nodes["b"].away = True
    scene.submit(Missing.WAIT)

    def cure() -> None:
        scene.nodes["b"].away = False

    ends_well_after(scene, ("b", "unreachable"), cure)
    assert scene.job.left_out == ()


def test_job_for_those_present_leaves_the_absent_out_before_the_roster_and_says_so(
    scene: Scene,
) -> None:
    scene.nodes["b"].away = True
    scene.submit(Missing.PRESENT, least=2)
    assert scene.run().phase is Phase.DONE
    assert scene.job.left_out == ("b",)
    signers = {signed.signer for signed in scene.job.roster}
    assert signers == {party(name).public.fingerprint for name in "ac"}
    receipt = Receipt.from_json((scene.store.result(JOB) or (b"", b""))[1].decode())
    assert receipt.left_out == ("b",)


def test_too_few_present_fails_naming_all_who_are_missing(scene: Scene) -> None:
    scene.nodes["a"].away = scene.nodes["b"].away = True
    scene.submit(Missing.PRESENT, least=2)
    scene.run()
    assert problem(scene).code == "SB-5111"
    assert set(str(problem(scene).facts["parties"]).split(", ")) == {"a", "b"}


def test_node_without_a_witness_fails_the_job_within_seconds_and_is_named(scene: Scene) -> None:
    scene.nodes["b"].wait = node_pb2.Wait.WITNESS
    scene.submit()
    began = time.monotonic()
    scene.run()
    assert time.monotonic() - began < 2
    assert (problem(scene).code, problem(scene).facts["party"]) == ("SB-5030", "b")
    assert all("compute" not in node.calls for node in scene.nodes.values())


def test_job_for_those_present_leaves_out_a_node_without_a_witness(scene: Scene) -> None:
    scene.nodes["b"].wait = node_pb2.Wait.WITNESS
    scene.submit(Missing.PRESENT, least=2)
    assert scene.run().phase is Phase.DONE
    assert scene.job.left_out == ("b",)


def test_job_that_may_wait_goes_on_when_a_node_has_its_witness(scene: Scene) -> None:
    scene.nodes["b"].wait = node_pb2.Wait.WITNESS
    scene.submit(Missing.WAIT)

    def cure() -> None:
        scene.nodes["b"].wait = None

    ends_well_after(scene, ("b", "witness"), cure)


def test_job_at_a_coordinator_whom_no_node_confirms_fails_within_seconds(scene: Scene) -> None:
    scene.submit()
    scene.restart_unseen()
    began = time.monotonic()
    scene.run()
    assert time.monotonic() - began < 2
    assert problem(scene).code == "SB-5031"


def test_job_that_is_paid_for_waits_for_the_coordinators_witness_all_the_same(
    scene: Scene,
) -> None:
    scene.submit()

    async def act() -> None:
        async with driven(scene, Phase.WITNESSING):
            pass
        scene.restart_unseen()
        flow = scene.flow()
        task = asyncio.create_task(flow.run())
        await asyncio.sleep(0.6)
        assert not task.done()
        log, nonce = scene.store.log.owner.fingerprint, scene.store.log.nonce
        node = scene.nodes["a"]
        scene.store.log.take_last_heads([(node.last_head(log, nonce), node.me.public)])
        await task

    asyncio.run(act())
    assert scene.job.phase is Phase.DONE


def test_waiting_ends_when_the_job_expires(scene: Scene) -> None:
    scene.nodes["b"].away = True
    scene.submit(Missing.WAIT, expires=int(time.time()) + 1)
    scene.run()
    assert (problem(scene).code, problem(scene).facts["party"]) == ("SB-5112", "b")


def test_approval_is_waited_for_and_named_and_survives_a_restart(scene: Scene) -> None:
    scene.nodes["c"].wait = node_pb2.Wait.APPROVAL
    scene.submit()

    async def wait_for_it(end: bool) -> None:
        async with driven(scene, Phase.OFFERING) as (flow, task):
            await seen(lambda: [(w.party, w.reason) for w in flow.waits.now] == [("c", "approval")])
            if end:
                scene.nodes["c"].wait = None
                await task

    for _ in range(25):  # restarts are no attempts at a roster
        asyncio.run(wait_for_it(end=False))
        scene.restart()
    asyncio.run(wait_for_it(end=True))
    assert scene.job.phase is Phase.DONE
    assert scene.job.attempt == 1


def test_missing_context_is_handed_over(scene: Scene) -> None:
    scene.nodes["a"].wait = node_pb2.Wait.CONTEXT
    scene.submit()
    assert scene.run().phase is Phase.DONE
    assert scene.nodes["a"].calls.count("put_context") == 1
