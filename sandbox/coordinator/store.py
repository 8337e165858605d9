"""The coordinator's memory: jobs, shares on their way, contexts, and its log.

One SQLite file (WAL, synchronous=FULL). Everything here is ciphertext, signed documents and
metadata; a second start finds all of it and takes up the jobs that had not ended. Each step of a job
is one transaction: the phase, what the step made, and the log entry that says so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.audit.journal import Journal
from sandbox.audit.logrows import EntryKind
from sandbox.coordinator.migrations import STEPS
from sandbox.coordinator.phases import NEXT, TERMINAL, Phase
from sandbox.crypto.identity import Identity, Signed
from sandbox.database import Connection, Database, Row
from sandbox.errors import ProtocolError, StateError, Unavailable

STORE_FILE = "coordinator.db"
CONTEXTS_PER_RESEARCHER = 100

LogLine = tuple[EntryKind, Mapping[str, Any]]
"""What a step of a job adds to the log."""


@dataclass(frozen=True)
class StoredJob:
    """A job as the coordinator knows it. `document` is the signed job, serialised."""

    job: str
    digest: str
    researcher: str
    document: bytes
    phase: Phase
    attempt: int
    problem: bytes | None
    left_out: tuple[str, ...]
    offers: tuple[Signed, ...]
    roster: tuple[Signed, ...]
    created: int
    changed: int


@dataclass(frozen=True)
class StoredShare:
    """One node's share and its signed release statement."""

    node: str
    release: Signed
    share: bytes


class Store:
    """All reads and writes of the coordinator's state; `log` is its Merkle log.

    clock: Unix time in milliseconds. crash_at: see Database.
    """

    def __init__(
        self,
        profile: Path,
        identity: Identity,
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        crash_at: Callable[[str], None] | None = None,
    ) -> None:
        file = profile / STORE_FILE
        self._database = Database(file, STEPS, crash_at) if crash_at else Database(file, STEPS)
        self._clock = clock
        self.log = Journal(self._database, identity, clock)

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    # Jobs

    def add_job(self, job: str, signed: Signed, researcher: str) -> bool:
        """Store and log a new job; False if this very job is known.

        Raises ProtocolError SB-4005 for another job under its id, which is logged.
        """
        with self._database.write("add_job") as connection:
            known = connection.execute(
                "SELECT digest FROM jobs WHERE job = :job", {"job": job}
            ).scalar()
            kind = EntryKind.JOB if known is None else EntryKind.REFUSAL
            if known != signed.digest:
                body = {"digest": signed.digest, "researcher": researcher}
                self.log.write(connection, kind, body, job)
            if known is None:
                self._insert(connection, job, signed, researcher)
        if known not in (None, signed.digest):
            raise ProtocolError("SB-4005", job=job)
        return known is None

    def job(self, job: str) -> StoredJob | None:
        """Return one job, or None."""
        found = self._jobs("WHERE job = :job", job=job)
        return found[0] if found else None

    def jobs_of(self, researcher: str | None, limit: int) -> list[StoredJob]:
        """Return the newest jobs, of one researcher or (None) of all."""
        whose = "" if researcher is None else "WHERE researcher = :researcher "
        given = {} if researcher is None else {"researcher": researcher}
        return self._jobs(f"{whose}ORDER BY created DESC, job LIMIT :most", most=limit, **given)

    def unfinished(self) -> list[StoredJob]:
        """Return the jobs to take up after a start, oldest first."""
        ended = ", ".join(f"'{phase.value}'" for phase in TERMINAL)
        return self._jobs(f"WHERE phase NOT IN ({ended}) ORDER BY created, job")

    def move(
        self, job: str, found: Phase, to: Phase, line: LogLine | None = None, **fields: object
    ) -> bool:
        """Move a job from phase `found` to `to` with what the step made; False if it was not there.

        fields: columns to set. line: logged in the same transaction.
        """
        if to not in NEXT[found]:
            raise AssertionError(f"no job goes from {found} to {to}")
        values = {"phase": to.value, "changed": self._clock() // 1000, **fields}
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        with self._database.write(f"to {to.value}") as connection:
            moved = connection.execute(
                f"UPDATE jobs SET {assignments} WHERE job = :job AND phase = :found",
                {**values, "job": job, "found": found.value},
            ).rowcount
            if moved and line is not None:
                self.log.write(connection, line[0], line[1], job)
        return moved == 1

    # Shares, sums, receipts

    def add_share(self, job: str, attempt: int, share: StoredShare) -> None:
        """Keep a share that arrived; the same share again changes nothing."""
        with self._database.write("add_share") as connection:
            connection.execute(
                "INSERT OR IGNORE INTO shares VALUES (:job, :attempt, :node, :release, :share)",
                {
                    "job": job,
                    "attempt": attempt,
                    "node": share.node,
                    "release": dump([share.release]),
                    "share": share.share,
                },
            )

    def shares(self, job: str, attempt: int) -> list[StoredShare]:
        """Return the shares of an attempt that have arrived, by node."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT node, release, share FROM shares"
                " WHERE job = :job AND attempt = :attempt ORDER BY node",
                {"job": job, "attempt": attempt},
            ).fetchall()
        return [
            StoredShare(row["node"], load(row["release"])[0], bytes(row["share"])) for row in rows
        ]

    def sum(self, job: str) -> bytes:
        """Return the summed ciphertext of a job that was added; raises StateError SB-6103."""
        with self._database.read() as connection:
            found = connection.execute(
                "SELECT sum FROM jobs WHERE job = :job", {"job": job}
            ).scalar()
        if found is None:
            raise StateError("SB-6103", job=job)
        return bytes(found)

    def result(self, job: str) -> tuple[bytes, bytes] | None:
        """Return (summed ciphertext, receipt), or None while there is none."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT sum, receipt FROM jobs WHERE job = :job", {"job": job}
            ).fetchone()
        if row is None or row["receipt"] is None:
            return None
        return bytes(row["sum"]), bytes(row["receipt"])

    # Encryption contexts

    def add_context(self, digest: str, ring: str, researcher: str, context: bytes) -> None:
        """Keep a researcher's public context under its digest; raises Unavailable SB-3270."""
        with self._database.write("add_context") as connection:
            others = connection.execute(
                "SELECT COUNT(*) FROM contexts WHERE researcher = :researcher"
                " AND digest <> :digest",
                {"researcher": researcher, "digest": digest},
            ).scalar()
            if others >= CONTEXTS_PER_RESEARCHER:
                raise Unavailable("SB-3270", limit=CONTEXTS_PER_RESEARCHER)
            connection.execute(
                "INSERT OR IGNORE INTO contexts VALUES (:digest, :ring, :researcher, :context)",
                {"digest": digest, "ring": ring, "researcher": researcher, "context": context},
            )

    def context(self, digest: str) -> tuple[str, bytes] | None:
        """Return (ring, public context) by digest, or None."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT ring, context FROM contexts WHERE digest = :digest",
                {"digest": digest},
            ).fetchone()
        return None if row is None else (row["ring"], bytes(row["context"]))

    def _insert(self, connection: Connection, job: str, signed: Signed, researcher: str) -> None:
        connection.execute(
            "INSERT INTO jobs"
            " (job, digest, researcher, document, phase, attempt, left_out, created, changed)"
            " VALUES (:job, :digest, :researcher, :document, :phase, 0, '[]', :now, :now)",
            {
                "job": job,
                "digest": signed.digest,
                "researcher": researcher,
                "document": json.dumps(signed.to_document()).encode(),
                "phase": Phase.SUBMITTED.value,
                "now": self._clock() // 1000,
            },
        )

    def _jobs(self, which: str, **given: object) -> list[StoredJob]:
        columns = ", ".join(StoredJob.__dataclass_fields__)
        with self._database.read() as connection:
            rows = connection.execute(f"SELECT {columns} FROM jobs {which}", given).fetchall()
        return [_stored_job(row) for row in rows]


def dump(documents: Sequence[Signed]) -> bytes:
    """Return signed documents as one JSON text."""
    return json.dumps([document.to_document() for document in documents]).encode()


def load(text: bytes | None) -> tuple[Signed, ...]:
    """Return what `dump` wrote; nothing for None."""
    return tuple(Signed.from_document(document) for document in json.loads(text or b"[]"))


def _stored_job(row: Row) -> StoredJob:
    return StoredJob(
        row["job"],
        row["digest"],
        row["researcher"],
        bytes(row["document"]),
        Phase(row["phase"]),
        row["attempt"],
        None if row["problem"] is None else bytes(row["problem"]),
        tuple(json.loads(row["left_out"])),
        load(row["offers"]),
        load(row["roster"]),
        row["created"],
        row["changed"],
    )
