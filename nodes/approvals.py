"""Decisions that a provider makes by hand: jobs that wait, approved or rejected with a reason."""

from __future__ import annotations

import json
from dataclasses import dataclass

from nodes.taskrows import Task, TaskState
from nodes.vault import Vault
from sandbox.audit.logrows import EntryKind
from sandbox.errors import InputError, Refusal
from sandbox.sql.request import statement_digest


@dataclass(frozen=True)
class WaitingJob:
    """A job that waits for this node's owner. `digest`: by which a policy lists its statement."""

    job: str
    researcher: str
    statement: str
    digest: str
    purpose: str
    epsilon: str
    delta: str
    received_ms: int


def waiting_jobs(vault: Vault) -> list[WaitingJob]:
    """Return the jobs that wait for a decision, oldest first, without those that have expired."""
    waiting = vault.tasks([TaskState.WAITING])
    return [_waiting(task) for task in waiting if not _expired(vault, task)]


def approve(vault: Vault, job: str, approver: str, reason: str) -> None:
    """Let a waiting job go on; logged.

    approver: the fingerprint of who decides. Raises InputError SB-1450 if no such job waits, SB-6033
    if it has expired, Refusal SB-1451 if the approver is its researcher.
    """
    _decide(vault, job, approver, reason, TaskState.ACCEPTED)


def reject(vault: Vault, job: str, approver: str, reason: str) -> None:
    """Refuse a waiting job for good; logged. Raises as `approve`."""
    _decide(vault, job, approver, reason, TaskState.REFUSED)


def _decide(vault: Vault, job: str, approver: str, reason: str, to: TaskState) -> None:
    task = vault.task_of(job)
    if task is None or task.state is not TaskState.WAITING:
        raise InputError("SB-1450", job=job[:40])
    if _expired(vault, task):
        raise InputError("SB-6033", job=job)
    if task.researcher == approver:
        raise Refusal("SB-1451", job=job)
    decision = "approved" if to is TaskState.ACCEPTED else "rejected"
    with vault.database.write("decide") as connection:
        moved = connection.execute(
            "UPDATE tasks SET state = :to, refusal = :refusal,"
            " changed_ms = :now WHERE job = :job AND state = 'waiting'",
            {
                "to": to,
                "job": job,
                "refusal": None if decision == "approved" else _refusal(reason),
                "now": vault.clock(),
            },
        )
        if moved.rowcount != 1:
            raise InputError("SB-1450", job=job[:40])
        body = {"decision": decision, "approver": approver, "reason": reason}
        vault.log.write(connection, EntryKind.APPROVAL, body, job)


def _refusal(reason: str) -> str:
    return json.dumps(["Refusal", "SB-1452", {"reason": reason}])


def _expired(vault: Vault, task: Task) -> bool:
    return int(json.loads(task.document.body)["expires"]) <= vault.now_s()


def _waiting(task: Task) -> WaitingJob:
    spec = json.loads(task.document.body)
    return WaitingJob(
        task.job,
        task.researcher,
        spec["statement"],
        statement_digest(spec["statement"]),
        spec["purpose"],
        spec["epsilon"],
        spec["delta"],
        task.received_ms,
    )
