"""Tasks as they stand in the vault's file; every function runs inside a transaction of the vault."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sandbox.crypto.identity import Signed, canonical, parse
from sandbox.database import Connection, Row
from sandbox.errors import ProtocolError


class TaskState(StrEnum):
    """Where a task stands. WAITING is for its approval; the last four are final."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    ROSTERED = "rostered"
    RESERVED = "reserved"
    COMMITTED = "committed"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = (TaskState.COMMITTED, TaskState.REFUSED, TaskState.FAILED, TaskState.CANCELLED)


@dataclass(frozen=True)
class Task:
    """A node's part of one job. `received_ms`: Unix milliseconds of its first arrival. `attempt`:
    the coordinator's count of offers. `refusal`: (kind, code, facts) of a refusal or failure."""

    job: str
    digest: str
    researcher: str
    document: Signed
    state: TaskState
    attempt: int
    received_ms: int
    offer: bytes | None
    roster: str | None
    refusal: tuple[str, str, dict[str, str | int | float]] | None


@dataclass(frozen=True)
class StoredShare:
    """What left, or will: ciphertext bytes and the signed release statement."""

    share: bytes
    release: bytes


def insert(
    connection: Connection, job: str, document: Signed, state: TaskState, now_ms: int
) -> None:
    """Add the task of a new job."""
    connection.execute(
        "INSERT INTO tasks (job, digest, researcher, document, state, attempt, lease,"
        " received_ms, changed_ms)"
        " VALUES (:job, :digest, :researcher, :document, :state, 0, 0, :now, :now)",
        {
            "job": job,
            "digest": document.digest,
            "researcher": document.signer,
            "document": canonical(document.to_document()),
            "state": state,
            "now": now_ms,
        },
    )


def update(connection: Connection, digest: str, now_ms: int, **values: Any) -> None:
    """Set columns of a task."""
    values["changed_ms"] = now_ms
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    connection.execute(
        f"UPDATE tasks SET {assignments} WHERE digest = :digest",
        {**values, "digest": digest},
    )


def find(connection: Connection, job: str) -> Task | None:
    """Return the task of a job by its id, or None."""
    row = connection.execute("SELECT * FROM tasks WHERE job = :job", {"job": job}).fetchone()
    return None if row is None else _task(row)


def get(connection: Connection, digest: str) -> Task:
    """Return the task of a job by its digest; raises ProtocolError SB-6014 if unknown."""
    row = connection.execute(
        "SELECT * FROM tasks WHERE digest = :digest", {"digest": digest}
    ).fetchone()
    if row is None:
        raise ProtocolError("SB-6014", digest=digest)
    return _task(row)


def in_states(connection: Connection, states: Iterable[TaskState]) -> list[Task]:
    """Return the tasks in these states, oldest first."""
    named = [state.value for state in states]
    places = ", ".join("?" * len(named))
    rows = connection.execute(
        f"SELECT * FROM tasks WHERE state IN ({places}) ORDER BY received_ms, job", named
    )
    return [_task(row) for row in rows]


def _task(row: Row) -> Task:
    refusal = None
    if row["refusal"] is not None:
        kind, code, facts = json.loads(row["refusal"])
        refusal = (kind, code, facts)
    return Task(
        job=row["job"],
        digest=row["digest"],
        researcher=row["researcher"],
        document=Signed.from_document(parse(bytes(row["document"]))),
        state=TaskState(row["state"]),
        attempt=row["attempt"],
        received_ms=row["received_ms"],
        offer=None if row["offer"] is None else bytes(row["offer"]),
        roster=row["roster"],
        refusal=refusal,
    )
