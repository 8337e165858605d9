"""SIGKILL at every step of a job, at a node, at the coordinator, at both: what is lost is nothing.

I1 recorded spend covers what left, I2 one draw and the same bytes, I3 old heads verify, I4 the job
resumes or ends once. Real processes; one deployment for all kills.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes.taskrows import FINAL, TaskState
from nodes.vault import Vault
from sandbox.audit.receipt import Receipt, verify_receipt
from sandbox.coordinator.phases import TERMINAL, Phase
from sandbox.coordinator.store import Store, StoredShare
from sandbox.crypto.identity import Identity, canonical
from sandbox.crypto.trust import Trust
from sandbox.errors import SandboxError
from sandbox.jobview import JobView
from tests.faults.parties import Deployment, running

pytestmark = pytest.mark.timeout(300)

PASSED = {
    "a": ["accept_job: written", "accept_job: committed", "reserve: written", "sent"],
    "b": ["store_offer: written", "store_offer: committed", "commit_share: committed"],
    "c": ["sign_roster: written", "sign_roster: committed", "head: written", "head: committed"],
}
"""Where a node may die and the job still ends well."""
CHARGED_AND_LOST = ("reserve: committed", "commit_share: written")
"""Between the reservation and the commit: noise may have been drawn, so it is never drawn again."""
NODE_POINTS = [*CHARGED_AND_LOST, *(point for points in PASSED.values() for point in points)]

PHASES = ("offering", "roster", "computing", "adding", "witnessing", "done")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with running(tmp_path_factory.mktemp("kills") / "deployment") as deployment:
        yield deployment


def check(whole: Deployment, job: str, view: JobView) -> None:
    """The invariants, read from every party's own file."""
    store = Store(whole.coordinator.folder, Identity.load(whole.coordinator.folder))
    stored = store.job(job)
    assert stored is not None
    assert stored.phase in TERMINAL
    shares = {share.node: share for share in store.shares(job, stored.attempt)}
    store.log.check()
    store.close()
    for party in whole.nodes.values():
        vault = Vault.open(party.folder, Identity.load(party.folder))
        try:
            check_node(vault, job, shares, view)
            vault.log.check()
        finally:
            vault.close()
    if view.phase == "done":
        result = whole.session.result(job)
        pinned = {
            *Trust(whole.session._profile).identities(),
            whole.session._identity.public.fingerprint,
        }
        receipt = Receipt.from_json(Path(result.receipt).read_text())
        verdict = verify_receipt(receipt, pinned)
        assert verdict.trusted, verdict.findings


def check_node(vault: Vault, job: str, shares: dict[str, StoredShare], view: JobView) -> None:
    me = vault.log.owner.fingerprint
    task = vault.task_of(job)
    entries = [record.entry.kind for record in vault.log.entries(job)]
    with vault.database.read() as connection:
        kept = connection.execute(
            "SELECT share, release FROM tasks WHERE job = ?", (job,)
        ).fetchone()
        rows = connection.execute(
            "SELECT researcher, state, loss FROM ledger WHERE job = ?", (job,)
        ).fetchall()
    # One charge for the group and one for the researcher on it, or none.
    assert len(rows) in (0, 2)
    assert entries.count("reservation") == (1 if rows else 0)
    assert entries.count("release") <= 1
    if me in shares:
        assert rows, "a share left that no budget knows of"
        assert kept is not None
        assert kept["share"] == shares[me].share
        assert kept["release"] == canonical(shares[me].release.to_document())
    if task is not None and view.phase == "done":
        assert task.state is TaskState.COMMITTED
    if task is not None and task.state in FINAL:
        ends = [k for k in entries if k in ("release", "failure", "refusal", "cancellation")]
        assert len(ends) == 1, entries


def test_nodes_killed_at_every_step_but_the_draw_lose_nothing_and_the_job_is_done(
    whole: Deployment,
) -> None:
    whole.healthy()
    for name, points in PASSED.items():
        whole.nodes[name].arm(*points)
    job = whole.submit()
    view = whole.ended(job)
    # A share that has left may be asked for again after "sent", or not: both end well.
    assert [name for name in PASSED if whole.nodes[name].armed] == []
    assert view.phase == "done", view.problem
    check(whole, job, view)


@pytest.mark.parametrize("point", CHARGED_AND_LOST)
def test_node_killed_between_reservation_and_commit_stays_charged_and_never_draws_again(
    whole: Deployment, point: str
) -> None:
    whole.healthy()
    whole.nodes["a"].arm(point)
    job = whole.submit()
    view = whole.ended(job)
    assert view.phase == "failed"
    assert view.problem is not None
    assert (view.problem.code, view.problem.facts["party"]) == ("SB-5203", "a")
    assert "spent" in view.problem.sentence
    whole.healthy()
    check(whole, job, view)


@pytest.mark.parametrize("stage", ["written", "committed"])
def test_coordinator_killed_in_every_phase_takes_the_job_up_and_ends_it(
    whole: Deployment, stage: str
) -> None:
    whole.healthy()
    # As the last transaction of its kind is written, and as the submission is answered.
    first = ["add_share: committed"] if stage == "written" else ["add_job: committed"]
    whole.coordinator.arm(*first, *(f"to {phase}: {stage}" for phase in PHASES))
    job = submitted_although_killed(whole)
    view = whole.ended(job)
    assert whole.coordinator.armed == []
    assert view.phase == "done", view.problem
    assert view.left_out == ()
    check(whole, job, view)


def submitted_although_killed(whole: Deployment) -> str:
    """Submit; if the coordinator dies while it answers, the job is the one it had stored."""
    notes = whole.session._profile / "jobs"
    known = {folder.name for folder in notes.iterdir()} if notes.exists() else set()
    try:
        return whole.submit()
    except SandboxError:
        (job,) = {folder.name for folder in notes.iterdir()} - known
        return job


@pytest.mark.parametrize("seed", range(3))
def test_kills_at_random_points_of_everybody_end_every_job_once(
    whole: Deployment, seed: int
) -> None:
    whole.healthy()
    chance = random.Random(seed)
    armed = [chance.sample(NODE_POINTS, 2) for _ in whole.nodes]
    for node, points in zip(whole.nodes.values(), armed, strict=True):
        node.arm(*points)
    whole.coordinator.arm(*(f"to {phase}: written" for phase in chance.sample(PHASES, 2)))
    job = whole.submit()
    view = whole.ended(job)
    for party in whole.parties:
        party.arm()
    whole.healthy()
    lost = any(point in CHARGED_AND_LOST for points in armed for point in points)
    assert view.phase in (("failed", "done") if lost else ("done",)), view.problem
    check(whole, job, view)


def test_second_start_finds_everything(whole: Deployment) -> None:
    whole.healthy()
    job = whole.submit()
    assert whole.ended(job).phase == "done"
    before = whole.session.result(job).answer
    spent = whole.session.budget()
    for party in whole.parties:
        party.stop()
    whole.healthy()
    assert whole.session.result(job).answer == before
    left = ("node", "dataset", "epsilon_remaining", "renews")
    assert [[line[key] for key in left] for line in whole.session.budget()] == [
        [line[key] for key in left] for line in spent
    ]
    assert job in {view.job for view in whole.session.jobs()}
    assert whole.session.job(job).phase == Phase.DONE.value
