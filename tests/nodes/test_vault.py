"""The vault: each act of a task, the two-phase spend, and what a crash at any point leaves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nodes.approvals import approve, reject, waiting_jobs
from nodes.taskrows import TaskState
from nodes.vault import Vault
from sandbox.crypto.identity import canonical
from sandbox.errors import (
    InputError,
    ProtocolError,
    Refusal,
    StateError,
    TrustError,
    Unavailable,
)
from tests.nodes.vaults import (
    RESEARCHER,
    START_MS,
    Clock,
    Crash,
    CrashAt,
    charge,
    commit,
    demands,
    digest_of,
    job_id,
    limits,
    open_vault,
    party,
    rostered,
    signed_job,
)

GROUP = "data:t"


def spent(vault: Vault) -> int:
    """What the group has lost, in units of 10^-12 nats."""
    found = vault.spent(GROUP)
    return 0 if found is None else found.lifetime_loss


ONE = 10**12


def kinds(vault: Vault) -> list[str]:
    return [record.entry.kind for record in vault.log.entries(job_id(1))]


def test_task_goes_from_job_to_committed_share_and_every_step_is_logged(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    job = rostered(vault)
    lease = vault.reserve(job.digest, digest_of("abc"), charge(), demands())
    assert vault.stored_share(job.digest) is None
    commit(vault, job, lease, b"share")
    assert vault.task(job.digest).state is TaskState.COMMITTED
    assert kinds(vault) == ["job", "roster", "reservation", "release"]
    assert spent(vault) == ONE


def test_committed_share_is_the_same_bytes_however_often_and_after_a_restart(
    tmp_path: Path,
) -> None:
    vault = open_vault(tmp_path)
    job = rostered(vault)
    commit(vault, job, vault.reserve(job.digest, digest_of("abc"), charge(), demands()), b"share")
    first = vault.stored_share(job.digest)
    vault.close()
    again = open_vault(tmp_path)
    assert first is not None
    assert again.stored_share(job.digest) == first == again.stored_share(job.digest)
    assert first.share == b"share"
    assert spent(again) == ONE


def test_same_job_again_is_the_same_task(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    job = signed_job(1)
    first = vault.accept_job(job_id(1), job)
    assert vault.accept_job(job_id(1), job) == first
    assert kinds(vault) == ["job"]


def test_other_body_under_a_known_id_is_refused_and_logged(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    vault.accept_job(job_id(1), signed_job(1))
    with pytest.raises(ProtocolError, match="SB-6010"):
        vault.accept_job(job_id(1), signed_job(1, "SELECT COUNT(*) FROM other"))
    assert kinds(vault) == ["job", "refusal"]


def test_refused_job_stays_refused_and_says_why(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    job = signed_job(1)
    vault.refuse_job(job_id(1), job, Refusal("SB-2010", researcher="x"))
    vault.refuse_job(job_id(1), job, Refusal("SB-2011"))
    task = vault.task(job.digest)
    assert task.state is TaskState.REFUSED
    assert task.refusal == ("Refusal", "SB-2010", {"researcher": "x"})
    with pytest.raises(ProtocolError, match="SB-6011"):
        vault.store_offer(job.digest, 1, b"offer", b"secret")


def test_offer_of_one_attempt_never_changes_and_a_later_attempt_replaces_it(
    tmp_path: Path,
) -> None:
    vault = open_vault(tmp_path)
    job = signed_job(1)
    vault.accept_job(job_id(1), job)
    assert vault.store_offer(job.digest, 1, b"first", b"s1") == b"first"
    assert vault.store_offer(job.digest, 1, b"other", b"s2") == b"first"
    assert vault.offer_secret(job.digest) == b"s1"
    assert vault.store_offer(job.digest, 2, b"second", b"s3") == b"second"
    with pytest.raises(ProtocolError, match="SB-6011"):
        vault.store_offer(job.digest, 1, b"older", b"s4")


def test_one_attempt_has_one_roster(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    job = rostered(vault, roster="abc")
    vault.sign_roster(job.digest, 1, digest_of("abc"))
    with pytest.raises(TrustError, match="SB-6012"):
        vault.sign_roster(job.digest, 1, digest_of("ab"))
    assert kinds(vault) == ["job", "roster", "refusal"]


def test_no_offer_and_no_roster_after_the_reservation(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    job = rostered(vault)
    vault.reserve(job.digest, digest_of("abc"), charge(), demands())
    with pytest.raises(ProtocolError, match="SB-6011"):
        vault.store_offer(job.digest, 2, b"offer", b"secret")
    with pytest.raises(TrustError, match="SB-6012"):
        vault.sign_roster(job.digest, 1, digest_of("ab"))
    with pytest.raises(TrustError, match="SB-6012"):
        vault.sign_roster(job.digest, 2, digest_of("ab"))


def test_reservation_answers_to_the_signed_roster_alone(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    job = rostered(vault, roster="abc")
    with pytest.raises(ProtocolError, match="SB-6011"):
        vault.reserve(job.digest, digest_of("ab"), charge(), demands())
    assert spent(vault) == 0


def test_reserving_twice_charges_once_and_the_newer_lease_alone_commits(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    job = rostered(vault)
    old = vault.reserve(job.digest, digest_of("abc"), charge(), demands())
    new = vault.reserve(job.digest, digest_of("abc"), charge(), demands())
    assert spent(vault) == ONE
    with pytest.raises(ProtocolError, match="SB-6013"):
        commit(vault, job, old, b"of a process that was thought dead")
    commit(vault, job, new, b"share")
    with pytest.raises(ProtocolError, match="SB-6011"):
        commit(vault, job, new, b"another draw")
    stored = vault.stored_share(job.digest)
    assert stored is not None
    assert stored.share == b"share"


def test_job_that_fits_one_budget_but_not_the_other_charges_neither(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    job = rostered(vault)
    roomy, tight = demands(most=limits("4"))[0], demands(most=limits("0.5"))[1]
    with pytest.raises(Refusal, match="SB-2100"):
        vault.reserve(job.digest, digest_of("abc"), charge(), [roomy, tight])
    assert spent(vault) == 0
    assert vault.task(job.digest).state is TaskState.ROSTERED


@pytest.mark.parametrize("end", ["fail", "cancel"])
def test_giving_up_keeps_what_was_reserved(tmp_path: Path, end: str) -> None:
    vault = open_vault(tmp_path)
    job = rostered(vault)
    lease = vault.reserve(job.digest, digest_of("abc"), charge(), demands())
    if end == "fail":
        vault.fail_job(job.digest, Unavailable("SB-5203"))
    else:
        vault.cancel(job.digest)
    assert spent(vault) == ONE
    with pytest.raises(ProtocolError, match="SB-6011"):
        commit(vault, job, lease, b"too late")
    with pytest.raises(ProtocolError, match="SB-6011"):
        vault.offer_secret(job.digest)
    vault.cancel(job.digest)
    ends = [kind for kind in kinds(vault) if kind in ("failure", "cancellation")]
    assert len(ends) == 1


def test_committed_task_cannot_be_cancelled(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    job = rostered(vault)
    commit(vault, job, vault.reserve(job.digest, digest_of("abc"), charge(), demands()), b"share")
    assert vault.cancel(job.digest).state is TaskState.COMMITTED
    assert vault.stored_share(job.digest) is not None


def test_eight_concurrent_spends_of_the_last_budget_let_exactly_one_through(
    tmp_path: Path,
) -> None:
    vault = open_vault(tmp_path)
    jobs = [rostered(vault, number) for number in range(1, 9)]

    def spend(job: object) -> bool:
        try:
            vault.reserve(
                job.digest,  # type: ignore[attr-defined]
                digest_of("abc"),
                charge("1"),
                demands(most=limits("1", "1")),
            )
        except Refusal:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(spend, jobs)) == 1
    assert spent(vault) == ONE


# Starting again


def test_task_reserved_by_an_earlier_run_ends_charged_at_the_next_start(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    job = rostered(vault)
    vault.reserve(job.digest, digest_of("abc"), charge(), demands())
    vault.close()
    again = open_vault(tmp_path)
    again.end_interrupted(Unavailable("SB-5203"))
    assert again.task(job.digest).state is TaskState.FAILED
    assert spent(again) == ONE
    again.log.check()


def test_nothing_leaves_a_restarted_node_before_a_witness_has_answered(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    done, ready = rostered(vault, 1), rostered(vault, 2)
    commit(vault, done, vault.reserve(done.digest, digest_of("abc"), charge(), demands()), b"x")
    vault.close()
    again = open_vault(tmp_path, begun=False)
    again.log.start()
    with pytest.raises(StateError, match="SB-6020"):
        again.stored_share(done.digest)
    with pytest.raises(StateError, match="SB-6020"):
        again.reserve(ready.digest, digest_of("abc"), charge(), demands())
    again.log.override_witness("the only node")
    assert again.stored_share(done.digest) is not None
    assert "override" in [record.entry.kind for record in again.log.entries()]


def test_earlier_process_of_a_node_that_still_lives_lets_nothing_out(tmp_path: Path) -> None:
    old = open_vault(tmp_path)
    job = rostered(old)
    lease = old.reserve(job.digest, digest_of("abc"), charge(), demands())
    new = open_vault(tmp_path)
    new.end_interrupted(Unavailable("SB-5203"))
    with pytest.raises(StateError, match="SB-6021"):
        commit(old, job, lease, b"share")
    with pytest.raises(StateError, match="SB-6021"):
        old.stored_share(job.digest)


ACTS = ("accept_job", "store_offer", "sign_roster", "reserve", "commit_share")
STAGES = ("begun", "written", "committed")
AFTER = {
    "accept_job": TaskState.ACCEPTED,
    "store_offer": TaskState.ACCEPTED,
    "sign_roster": TaskState.ROSTERED,
    "reserve": TaskState.RESERVED,
    "commit_share": TaskState.COMMITTED,
}


def run_through(vault: Vault) -> None:
    job = rostered(vault)
    commit(vault, job, vault.reserve(job.digest, digest_of("abc"), charge(), demands()), b"share")


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("stage", STAGES)
def test_crash_in_any_act_leaves_it_undone_or_done_and_never_half(
    tmp_path: Path, act: str, stage: str
) -> None:
    crash = CrashAt(f"{act}: {stage}")
    vault = open_vault(tmp_path, crash_at=crash)
    crash.countdown = 1
    job = signed_job(1)
    with pytest.raises(Crash):
        run_through(vault)
    vault.close()

    again = open_vault(tmp_path)
    again.log.check()
    task = again.task_of(job_id(1))
    done = stage == "committed"
    if act == "accept_job" and not done:
        assert task is None
    elif done:
        assert task is not None
        assert task.state is AFTER[act]
    else:
        assert task is not None
        assert task.state is AFTER[ACTS[ACTS.index(act) - 1]]
    # Recorded spend covers every share that could have left.
    reserved = ACTS.index(act) > ACTS.index("reserve") or (act == "reserve" and done)
    assert spent(again) == (ONE if reserved else 0)
    stored = again.stored_share(job.digest)
    assert (stored is not None) == (act == "commit_share" and done)


# Approvals


def test_job_that_waits_for_approval_survives_restarts_and_goes_on_once_approved(
    tmp_path: Path,
) -> None:
    vault = open_vault(tmp_path)
    job = signed_job(1)
    vault.accept_job(job_id(1), job, waiting=True)
    vault.close()
    again = open_vault(tmp_path)
    assert [waiting.job for waiting in waiting_jobs(again)] == [job_id(1)]
    with pytest.raises(ProtocolError, match="SB-6011"):
        again.store_offer(job.digest, 1, b"offer", b"secret")
    approve(again, job_id(1), party("owner").public.fingerprint, "agreed")
    assert waiting_jobs(again) == []
    again.store_offer(job.digest, 1, b"offer", b"secret")
    with pytest.raises(InputError, match="SB-1450"):
        reject(again, job_id(1), "owner", "changed my mind")


def test_researcher_cannot_approve_his_own_job(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    vault.accept_job(job_id(1), signed_job(1), waiting=True)
    with pytest.raises(Refusal, match="SB-1451"):
        approve(vault, job_id(1), RESEARCHER.public.fingerprint, "fine")
    assert vault.task_of(job_id(1)).state is TaskState.WAITING  # type: ignore[union-attr]


def test_rejected_job_says_why_to_its_researcher(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    vault.accept_job(job_id(1), signed_job(1), waiting=True)
    reject(vault, job_id(1), "owner", "not our purpose")
    task = vault.task_of(job_id(1))
    assert task is not None
    assert task.state is TaskState.REFUSED
    assert task.refusal == ("Refusal", "SB-1452", {"reason": "not our purpose"})


def test_expired_job_waits_for_nobody(tmp_path: Path) -> None:
    clock = Clock()
    vault = open_vault(tmp_path, clock=clock)
    vault.accept_job(job_id(1), signed_job(1), waiting=True)
    clock.now_ms = START_MS + 86_400_000
    assert waiting_jobs(vault) == []
    with pytest.raises(InputError, match="SB-6033"):
        approve(vault, job_id(1), "owner", "agreed")


# Trust


def test_revoked_party_is_no_pin_until_it_is_pinned_again(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    peer = party("b").public
    assert not vault.pins.is_revoked(peer.fingerprint)
    vault.pins.pin(peer)
    assert vault.pins.identities() == {peer.fingerprint: peer}
    vault.pins.revoke(peer.fingerprint)
    assert vault.pins.identities() == {}
    assert vault.pins.is_revoked(peer.fingerprint)
    vault.pins.pin(peer)
    assert not vault.pins.is_revoked(peer.fingerprint)
    with pytest.raises(InputError, match="SB-1424"):
        vault.pins.revoke(party("stranger").public.fingerprint)
    assert [r.entry.kind for r in vault.log.entries()].count("pin") == 3


def test_stored_document_is_the_signed_one(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    job = signed_job(1)
    task = vault.accept_job(job_id(1), job)
    assert canonical(task.document.to_document()) == canonical(job.to_document())
