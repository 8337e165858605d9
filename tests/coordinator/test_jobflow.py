"""The job's state machine: who is waited for, how long, what survives, and that a job ends once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence

import pytest

from sandbox.audit.logrows import EntryKind
from sandbox.audit.receipt import Receipt
from sandbox.coordinator.phases import NEXT, TERMINAL, Phase
from sandbox.coordinator.waits import PASSING, PATIENCE
from sandbox.crypto.identity import Signed
from sandbox.errors import (
    ProtocolError,
    Refusal,
    SandboxError,
    StateError,
    TrustError,
    Unavailable,
)
from sandbox.jobs import Missing
from sandbox.rpc import common_pb2, node_pb2
from sandbox.rpc.problems import error_of
from tests.audit.evidence import journal
from tests.coordinator.nodes import JOB, RESEARCHER, Scene, driven, scene, seen
from tests.faults.histories import copy
from tests.nodes.vaults import Crash, CrashAt, party

__all__ = ["scene"]

CANCELLATION = RESEARCHER.sign("cancel", {"job": JOB})


def problem(scene: Scene) -> SandboxError:
    """What the job failed with."""
    assert scene.job.phase is Phase.FAILED
    assert scene.job.problem is not None
    return error_of(common_pb2.Problem.FromString(scene.job.problem))


def test_job_goes_its_way_and_every_step_is_in_the_coordinators_log(scene: Scene) -> None:
    scene.submit()
    assert scene.run().phase is Phase.DONE
    assert scene.kinds() == ["job", "roster", "sum", "done"]
    summed, receipt = scene.store.result(JOB) or (b"", b"")
    assert sorted(summed.split(b"+")) == [b"share of a", b"share of b", b"share of c"]
    read = Receipt.from_json(receipt.decode())
    assert [logged.entry.kind for logged in read.coordinator.entries] == ["job", "roster", "sum"]
    assert {signed.signer for signed in read.coordinator.witnesses} == {
        party(name).public.fingerprint for name in "abc"
    }


# Members that are not there


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

    async def act() -> None:
        async with driven(scene, Phase.OFFERING) as (flow, task):
            await seen(lambda: [(w.party, w.reason) for w in flow.waits.now] == [("a", "witness")])
            await asyncio.sleep(0.6)  # longer than the patience of a job that may not wait
            scene.nodes["c"].away = False
            await task

    asyncio.run(act())
    assert scene.job.phase is Phase.DONE


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

    async def act() -> None:
        async with driven(scene, Phase.OFFERING) as (flow, task):
            await seen(lambda: [w.reason for w in flow.waits.now] == ["unreachable"])
            assert flow.waits.now[0].party == "b"
            await asyncio.sleep(0.6)  # longer than the patience of a job that may not wait
            assert flow.job.phase is Phase.OFFERING
            scene.nodes["b"].away = False
            await task

    asyncio.run(act())
    assert scene.job.phase is Phase.DONE
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

    async def act() -> None:
        async with driven(scene, Phase.OFFERING) as (flow, task):
            await seen(lambda: [(w.party, w.reason) for w in flow.waits.now] == [("b", "witness")])
            await asyncio.sleep(0.6)  # longer than the patience of a job that may not wait
            scene.nodes["b"].wait = None
            await task

    asyncio.run(act())
    assert scene.job.phase is Phase.DONE


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


# Refusals and failures


def test_refusal_of_one_node_ends_the_job_with_its_words(scene: Scene) -> None:
    scene.nodes["b"].errors["refuse"] = [Refusal("SB-2100", scope="t", requested="1")]
    scene.submit()
    scene.run()
    assert (problem(scene).code, problem(scene).facts["party"]) == ("SB-2100", "b")
    assert scene.kinds() == ["job", "failure"]


def test_node_that_drops_out_before_the_first_share_costs_a_new_attempt_only(
    scene: Scene,
) -> None:
    scene.nodes["c"].errors["sign_roster"] = [Unavailable("SB-5101", party="c")]
    scene.submit()
    assert scene.run().phase is Phase.DONE
    assert scene.job.attempt == 2
    assert [node.calls.count("compute") for node in scene.nodes.values()] == [1, 1, 1]


def test_roster_that_fails_for_ever_ends_the_job(scene: Scene) -> None:
    scene.nodes["c"].errors["sign_roster"] = [Unavailable("SB-5101", party="c")] * 50
    scene.submit()
    scene.run()
    assert problem(scene).code == "SB-5110"


def test_node_that_cannot_compute_ends_the_job_at_once_saying_what_is_spent(scene: Scene) -> None:
    scene.nodes["b"].errors["compute"] = [Unavailable("SB-5203", party="b")]
    scene.submit()
    scene.run()
    assert scene.nodes["b"].calls.count("compute") == 1
    assert problem(scene).code == "SB-5203"
    assert "spent" in problem(scene).sentence


def test_worker_that_fails_to_add_ends_the_job_by_name_and_what_is_spent_stays_spent(
    scene: Scene,
) -> None:
    async def killed(shares: Sequence[bytes]) -> bytes:
        raise Unavailable("SB-5050")

    scene.add = killed
    scene.submit()
    assert scene.run().phase is Phase.FAILED
    assert problem(scene).code == "SB-5050"
    assert "spent" in problem(scene).cure
    assert scene.kinds()[-1] == "failure"
    assert all(node.released for node in scene.nodes.values())


@pytest.mark.parametrize("code", sorted(PASSING))
def test_what_passes_by_itself_is_waited_for(scene: Scene, code: str) -> None:
    kind = StateError if code.startswith("SB-6") else Unavailable
    scene.nodes["b"].errors["compute"] = [kind(code, party="b")]
    scene.submit()
    assert scene.run().phase is Phase.DONE
    assert scene.nodes["b"].calls.count("compute") == 2


def test_node_lost_while_computing_fails_the_job_which_keeps_what_was_spent_and_says_so(
    scene: Scene,
) -> None:
    scene.deadline_s = 1.0
    scene.nodes["b"].errors["compute"] = [Unavailable("SB-5101", party="b")] * 1000
    scene.submit()
    scene.run()
    assert (problem(scene).code, problem(scene).facts["party"]) == ("SB-5114", "b")
    assert "spent" in problem(scene).sentence
    assert scene.kinds() == ["job", "roster", "failure"]


def test_share_that_is_not_the_one_released_is_refused_and_its_node_named(scene: Scene) -> None:
    scene.nodes["b"].wrong_share = True
    scene.submit()
    scene.run()
    assert (problem(scene).code, problem(scene).facts["party"]) == ("SB-6032", "b")


def test_witnesses_that_are_away_are_waited_for_since_all_is_paid(scene: Scene) -> None:
    scene.submit()
    for node in scene.nodes.values():
        node.errors["evidence"] = [Unavailable("SB-5102", party=node.me.public.name)] * 3
    assert scene.run().phase is Phase.DONE


def test_witness_that_knows_a_later_size_than_the_coordinator_thinks_is_proved_growth_from_there(
    scene: Scene,
) -> None:
    scene.submit()
    assert scene.run().phase is Phase.DONE
    scene.restart()  # what each witness has seen is forgotten
    flow = scene.flow()
    members: list[object] = [*scene.nodes.values()]
    assert scene.signed is not None
    evidence = asyncio.run(flow._witnesses.gather(scene.signed, members, members))  # type: ignore[arg-type]
    assert len(evidence.coordinator.witnesses) == 3
    assert all(len(log.witnesses) == 2 for log in evidence.nodes.values())


def test_witness_that_signs_something_else_is_not_counted(scene: Scene) -> None:
    shown = scene.nodes["b"].witness

    async def lies(request: node_pb2.WitnessRequest) -> node_pb2.WitnessReply:
        reply = await shown(request)
        if reply.HasField("cosignature"):
            reply.cosignature.signature = bytes(64)
        return reply

    scene.nodes["b"].witness = lies  # type: ignore[method-assign]
    scene.submit()
    assert scene.run().phase is Phase.DONE
    receipt = Receipt.from_json((scene.store.result(JOB) or (b"", b""))[1].decode())
    signers = {one.signer for node in receipt.nodes for one in node.log.witnesses}
    assert party("b").public.fingerprint not in signers


def test_node_whose_log_went_back_ends_the_job_by_name_of_the_fault(scene: Scene) -> None:
    scene.submit()

    async def act() -> None:
        async with driven(scene, Phase.COMPUTING) as (_, task):
            known = scene.nodes["b"].log
            for _ in range(5):
                known.append(EntryKind.PIN, {})
            scene.store.log.record_peer_head(known.head(), party("b").public, [])
            (scene.folder / "old").mkdir()
            scene.nodes["b"].log = journal(scene.folder / "old", party("b"))
            await task

    asyncio.run(act())
    assert isinstance(problem(scene), TrustError)
    assert problem(scene).code in ("SB-3202", "SB-3203")


# Cancelling


@pytest.mark.parametrize("phase", [Phase.SUBMITTED, Phase.OFFERING])
def test_job_is_cancelled_before_shares_leave_and_stays_cancelled(
    scene: Scene, phase: Phase
) -> None:
    scene.nodes["b"].wait = node_pb2.Wait.APPROVAL
    scene.submit()

    async def act() -> None:
        async with driven(scene, Phase.OFFERING) as (flow, task):
            flow.cancel(CANCELLATION)
            await asyncio.gather(task, return_exceptions=True)

    if phase is Phase.SUBMITTED:
        scene.flow().cancel(CANCELLATION)
    else:
        asyncio.run(act())
    assert scene.job.phase is Phase.CANCELLED
    scene.nodes["b"].wait = None
    assert scene.run().phase is Phase.CANCELLED
    assert scene.kinds() == ["job", "cancellation"]


def test_job_cancelled_while_its_roster_is_signed_is_not_revived(scene: Scene) -> None:
    scene.submit()

    async def act() -> None:
        flow = scene.flow()
        signing = asyncio.Event()
        signed = scene.nodes["a"].sign_roster

        async def slow(*given: object) -> Signed:
            signing.set()
            await asyncio.sleep(0.1)
            return await signed(*given)  # type: ignore[arg-type]

        scene.nodes["a"].sign_roster = slow  # type: ignore[method-assign, assignment]
        task = asyncio.create_task(flow.run())
        await signing.wait()
        flow.cancel(CANCELLATION)
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(act())
    assert scene.job.phase is Phase.CANCELLED
    assert all("compute" not in node.calls for node in scene.nodes.values())


def test_job_whose_shares_may_have_left_cannot_be_cancelled(scene: Scene) -> None:
    scene.submit()

    async def act() -> None:
        hold = scene.nodes["c"].computing = asyncio.Event()
        async with driven(scene, Phase.COMPUTING) as (flow, task):
            with pytest.raises(ProtocolError, match="SB-6031"):
                flow.cancel(CANCELLATION)
            hold.set()
            await task
            flow.cancel(CANCELLATION)

    asyncio.run(act())
    assert scene.job.phase is Phase.DONE


# Crashes


POINTS = [
    f"to {phase}: {stage}"
    for phase in ("offering", "roster", "computing", "adding", "witnessing", "done")
    for stage in ("begun", "written", "committed")
] + ["add_share: written", "add_share: committed"]


@pytest.mark.parametrize("point", POINTS)
def test_coordinator_that_crashed_anywhere_takes_the_job_up_with_the_same_roster(
    scene: Scene, point: str
) -> None:
    crash = CrashAt(point)
    scene.crash_at = crash
    scene.restart()
    scene.submit()
    crash.countdown = 1
    with pytest.raises(Crash):
        scene.run()
    scene.restart()
    assert scene.run().phase is Phase.DONE
    assert scene.job.attempt == 1
    assert scene.kinds() == ["job", "roster", "sum", "done"]
    scene.store.log.check()


def test_restored_coordinator_is_found_out_by_what_nodes_have_seen(scene: Scene) -> None:
    file = scene.folder / "coordinator.db"
    scene.submit()
    copy(file, scene.folder / "old.db")
    assert scene.run().phase is Phase.DONE
    scene.store.close()
    copy(scene.folder / "old.db", file)
    with pytest.raises(StateError, match="SB-6022"):
        scene.open()


def test_unconfirmed_coordinator_starts_no_job(scene: Scene) -> None:
    for node in scene.nodes.values():
        node.away = True
    scene.restart()
    scene.submit(Missing.WAIT, expires=int(time.time()) + 1)
    scene.run()
    assert (problem(scene).code, problem(scene).facts["party"]) == ("SB-5112", "coordinator")
    assert all(node.calls == [] for node in scene.nodes.values())


# The store


def test_other_job_under_a_known_id_is_refused_and_logged(scene: Scene) -> None:
    scene.submit()
    assert scene.signed is not None
    other = RESEARCHER.sign("job", {**json.loads(scene.signed.body), "purpose": "another"})
    with pytest.raises(ProtocolError, match="SB-4005"):
        scene.store.add_job(JOB, other, RESEARCHER.public.fingerprint)
    assert not scene.store.add_job(JOB, scene.signed, RESEARCHER.public.fingerprint)
    assert scene.kinds() == ["job", "refusal"]


def test_every_move_between_phases_is_one_of_the_machine(scene: Scene) -> None:
    scene.submit()
    for found in Phase:
        for to in set(Phase) - NEXT[found]:
            with pytest.raises(AssertionError):
                scene.store.move(JOB, found, to)
    assert {Phase.DONE, Phase.FAILED, Phase.CANCELLED} == TERMINAL


def test_file_of_a_newer_version_is_refused(scene: Scene) -> None:
    with scene.store._database.write("newer") as connection:
        connection.exec_driver_sql("INSERT INTO schema_version VALUES (99)")
    with pytest.raises(StateError, match="SB-6001"):
        scene.restart()
