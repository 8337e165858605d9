"""The job's state machine: every step is logged, what survives, and that a job ends once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence

import pytest

from sandbox.audit.logrows import EntryKind
from sandbox.audit.receipt import Receipt
from sandbox.coordinator.phases import NEXT, TERMINAL, Phase
from sandbox.coordinator.progress import Tracks
from sandbox.coordinator.waits import PASSING
from sandbox.crypto.identity import Signed
from sandbox.crypto.join.shape import Shape, write_shapes
from sandbox.errors import (
    ProtocolError,
    Refusal,
    StateError,
    TrustError,
    Unavailable,
)
from sandbox.jobs import Missing
from sandbox.rpc import node_pb2
from tests.audit.evidence import journal
from tests.coordinator.nodes import JOB, RESEARCHER, SHORT, Scene, driven, problem, scene, seen
from tests.faults.histories import copy
from tests.nodes.vaults import Crash, CrashAt, party

__all__ = ["scene"]

CANCELLATION = RESEARCHER.sign("cancel", {"job": JOB})


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


def test_job_that_asks_for_more_time_than_others_have_is_given_it(scene: Scene) -> None:
    scene.deadline_s = 0.1
    pauses = round(0.3 / SHORT.poll_s)
    scene.nodes["b"].errors["compute"] = [Unavailable("SB-5101", party="b")] * pauses
    scene.submit(run_s=30)
    assert scene.run().phase is Phase.DONE


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


def test_join_that_runs_is_cancelled_and_its_streams_end_once_its_members_were_told(
    scene: Scene,
) -> None:
    scene.submit(ring="z64", members="ab")
    members = [scene.nodes["a"], scene.nodes["b"]]

    async def act() -> None:
        async with driven(scene, Phase.COMPUTING) as (flow, task):
            await seen(lambda: all(member.joining is not None for member in members))
            flow.cancel(CANCELLATION)
            assert flow.waits.now == ()
            await asyncio.sleep(0.05)
            # Members are told first, by whoever took the cancellation.
            assert not any(member.joining.cancelled for member in members if member.joining)
            flow.stop()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(act())
    assert scene.job.phase is Phase.CANCELLED
    assert all(member.joining.cancelled for member in members if member.joining)
    assert scene.run().phase is Phase.CANCELLED
    assert scene.kinds() == ["job", "roster", "cancellation"]


def test_progress_of_a_join_that_was_given_up_is_told_to_nobody(scene: Scene) -> None:
    scene.submit(ring="z64", members="ab")
    shape = Shape(("a", "b"), (5, 5), (1, 1), 0)
    tracks = Tracks("coordinator", ())
    tracks.carried("a", "coordinator", write_shapes([shape]))

    async def act() -> None:
        async with driven(scene, Phase.COMPUTING) as (flow, _):
            flow._note(tracks)
            assert [each.party for each in flow.progress] == ["a"]
            flow.cancel(CANCELLATION)
            flow._note(tracks)
            assert flow.progress == ()

    asyncio.run(act())


def test_join_whose_shares_arrive_after_it_was_cancelled_is_not_revived(scene: Scene) -> None:
    scene.submit(ring="z64", members="ab")

    async def act() -> None:
        async with driven(scene, Phase.COMPUTING):
            pass
        # After a restart of the coordinator, nodes are only asked for what they have.
        hold = scene.nodes["a"].computing = asyncio.Event()
        async with driven(scene, Phase.COMPUTING) as (flow, task):
            await seen(lambda: "compute" in scene.nodes["a"].calls)
            flow.cancel(CANCELLATION)
            hold.set()
            await task

    asyncio.run(act())
    assert scene.job.phase is Phase.CANCELLED
    assert scene.kinds() == ["job", "roster", "cancellation"]


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
        connection.execute("INSERT INTO schema_version VALUES (99)")
    with pytest.raises(StateError, match="SB-6001"):
        scene.restart()
