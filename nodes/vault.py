"""A node's memory: tasks, the ledger of what was lost, and the log of every act.

Each act below is one transaction. Budget is reserved and on disk before any row is read; share,
spend and log entry are committed together before the share leaves; asked again, the node answers
the same bytes. What was reserved counts as spent for ever, so after any crash the recorded loss is
at least the true one.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from nodes import ledger, taskrows
from nodes.ledger import Demand, exact_loss
from nodes.migrations import STEPS
from nodes.pins import Pins
from nodes.taskrows import FINAL, StoredShare, Task, TaskState
from sandbox.audit.journal import Journal, Ledger
from sandbox.audit.logrows import EntryKind
from sandbox.crypto.identity import Identity, Signed, canonical
from sandbox.database import Connection, Database
from sandbox.errors import ProtocolError, SandboxError, TrustError
from sandbox.privacy.accounting import Charge
from sandbox.privacy.budget import Spent

VAULT_FILE = "vault.db"


class Vault:
    """The acts of a node on its file. `log` is its Merkle log; `pins`: whom its owner trusts.

    clock: Unix time in milliseconds. crash_at: see Database.
    """

    def __init__(
        self,
        file: Path,
        identity: Identity,
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        crash_at: Callable[[str], None] | None = None,
    ) -> None:
        self.database = Database(file, STEPS, crash_at) if crash_at else Database(file, STEPS)
        self.clock = clock
        spends = Ledger(ledger.ledger_digest, ledger.check_ledger)
        self.log = Journal(self.database, identity, clock, spends)
        self.pins = Pins(self.database, self.log, self.now_s)

    @classmethod
    def open(cls, profile: Path, identity: Identity) -> Vault:
        """Open the vault in a node's folder, made if it is new; raises StateError SB-6001.."""
        return cls(profile / VAULT_FILE, identity)

    def close(self) -> None:
        """Release the file."""
        self.database.close()

    def now_s(self) -> int:
        """Return the vault's clock in Unix seconds."""
        return self.clock() // 1000

    # Tasks

    def accept_job(self, job: str, document: Signed, *, waiting: bool = False) -> Task:
        """Store a verified job, once; `waiting` for approval or not. Returns the task as it stands.

        Raises ProtocolError SB-6010 when the id stands for another job; the attempt is logged.
        """
        with self.database.write("accept_job") as connection:
            known = taskrows.find(connection, job)
            if known is None:
                state = TaskState.WAITING if waiting else TaskState.ACCEPTED
                taskrows.insert(connection, job, document, state, self.clock())
                self.log.write(
                    connection,
                    EntryKind.JOB,
                    {"digest": document.digest, "researcher": document.signer},
                    job,
                )
                return taskrows.get(connection, document.digest)
            if known.digest != document.digest:
                self.log.write(connection, EntryKind.REFUSAL, _other_body(document), job)
        if known.digest != document.digest:
            raise ProtocolError("SB-6010", job=job)
        return known

    def refuse_job(self, job: str, document: Signed, error: SandboxError) -> Task:
        """Record that a verified job was refused, and why."""
        with self.database.write("refuse_job") as connection:
            known = taskrows.find(connection, job)
            if known is None:
                taskrows.insert(connection, job, document, TaskState.ACCEPTED, self.clock())
            elif known.digest != document.digest or known.state in FINAL:
                return known
            self._end(connection, document.digest, TaskState.REFUSED, EntryKind.REFUSAL, error)
            return taskrows.get(connection, document.digest)

    def fail_job(self, digest: str, error: SandboxError) -> Task:
        """End a task that cannot be completed; what it reserved stays spent."""
        return self._give_up(digest, TaskState.FAILED, EntryKind.FAILURE, error)

    def end_interrupted(self, error: SandboxError) -> None:
        """Fail what an earlier run had reserved and not committed; it stays spent."""
        for task in self.tasks([TaskState.RESERVED]):
            self.fail_job(task.digest, error)

    def expire(self, digest: str, error: SandboxError) -> None:
        """End a task whose job has expired, if there is one."""
        with self.database.read() as connection:
            known = connection.execute(
                "SELECT digest FROM tasks WHERE digest = :digest", {"digest": digest}
            ).scalar()
        if known is not None:
            self.fail_job(digest, error)

    def cancel(self, digest: str) -> Task:
        """Give up a task that has not been committed; what it reserved stays spent.

        A committed or ended task stays as it is.
        """
        return self._give_up(digest, TaskState.CANCELLED, EntryKind.CANCELLATION, None)

    def store_offer(self, digest: str, attempt: int, offer: bytes, secret: bytes) -> bytes:
        """Keep an offer and its one-time secret; returns the offer stored for this attempt.

        A later attempt replaces an offer until budget is reserved; else ProtocolError SB-6011.
        """
        with self.database.write("store_offer") as connection:
            task = taskrows.get(connection, digest)
            if task.offer is not None and task.attempt == attempt:
                return task.offer
            open_for_offers = task.state in (TaskState.ACCEPTED, TaskState.ROSTERED)
            if not open_for_offers or attempt < task.attempt:
                raise ProtocolError("SB-6011", job=task.job, state=task.state.value)
            taskrows.update(
                connection,
                digest,
                self.clock(),
                state=TaskState.ACCEPTED,
                attempt=attempt,
                offer=offer,
                secret=secret,
                roster=None,
            )
        return offer

    def offer_secret(self, digest: str) -> bytes:
        """Return the one-time secret of the task's offer; raises ProtocolError SB-6011 if gone."""
        with self.database.read() as connection:
            secret = connection.execute(
                "SELECT secret FROM tasks WHERE digest = :digest", {"digest": digest}
            ).scalar()
            if secret is None:
                task = taskrows.get(connection, digest)
                raise ProtocolError("SB-6011", job=task.job, state=task.state.value)
        return bytes(secret)

    def sign_roster(self, digest: str, attempt: int, roster: str) -> None:
        """Bind the present offer to one roster (by digest) before the signature is made.

        The same roster again is fine. Another one for the same attempt, or any once budget is
        reserved, raises TrustError SB-6012 and is logged: a share answers to one roster only, ever.
        """
        with self.database.write("sign_roster") as connection:
            task = taskrows.get(connection, digest)
            if task.roster == roster:
                return
            if task.state is TaskState.ACCEPTED and task.offer and task.attempt == attempt:
                taskrows.update(
                    connection, digest, self.clock(), state=TaskState.ROSTERED, roster=roster
                )
                self.log.write(connection, EntryKind.ROSTER, {"roster": roster}, task.job)
                return
            other = task.roster is not None
            if other:
                self.log.write(connection, EntryKind.REFUSAL, {"other_roster": roster}, task.job)
        if other:
            raise TrustError("SB-6012", job=task.job)
        raise ProtocolError("SB-6011", job=task.job, state=task.state.value)

    # The two-phase spend

    def would_fit(self, charge: Charge, demands: Sequence[Demand]) -> None:
        """Raise the Refusal that `reserve` would raise now; writes nothing."""
        with self.database.read() as connection:
            for demand in demands:
                ledger.admitted(connection, charge, demand, self.now_s())

    def reserve(
        self,
        digest: str,
        roster: str,
        charge: Charge,
        demands: Sequence[Demand],
        disclosed_to: str = "",
    ) -> int:
        """Reserve a job's charge in every budget, or in none; returns a lease for commit_share.

        From here on the task answers to `roster` alone. disclosed_to: the node that will learn which of
        its ids match, which the log names.

        On disk when it returns. A task that was reserved before a crash is not charged again; its
        new lease makes every older one void. Raises Refusal SB-2100..SB-2102 if it does not fit,
        ProtocolError SB-6011 in any other state, StateError SB-6020/SB-6021.
        """
        with self.database.write("reserve") as connection:
            self.log.require_confirmed(connection)
            task = taskrows.get(connection, digest)
            if task.state is TaskState.ROSTERED and task.roster == roster:
                for demand in demands:
                    ledger.reserve(connection, task.job, charge, demand, self.now_s())
                body = {
                    "digest": digest,
                    "loss": exact_loss(charge),
                    "groups": sorted({demand.group for demand in demands}),
                }
                if disclosed_to:
                    body["disclosed_to"] = disclosed_to
                self.log.write(connection, EntryKind.RESERVATION, body, task.job)
            elif task.state is not TaskState.RESERVED:
                raise ProtocolError("SB-6011", job=task.job, state=task.state.value)
            lease = connection.execute(
                "UPDATE tasks SET state = 'reserved', lease = lease + 1, changed_ms = :now"
                " WHERE digest = :digest RETURNING lease",
                {"digest": digest, "now": self.clock()},
            ).scalar()
        return int(lease)

    def commit_share(self, digest: str, lease: int, share: bytes, release: Signed) -> None:
        """Store share, release statement, spend and log entry in one transaction.

        Only after this may the share leave. Raises ProtocolError SB-6013 for a lease that a later
        one replaced, SB-6011 in another state, StateError SB-6020/SB-6021.
        """
        with self.database.write("commit_share") as connection:
            self.log.require_confirmed(connection)
            task = taskrows.get(connection, digest)
            if task.state is not TaskState.RESERVED:
                raise ProtocolError("SB-6011", job=task.job, state=task.state.value)
            newest = connection.execute(
                "SELECT lease FROM tasks WHERE digest = :digest", {"digest": digest}
            ).scalar()
            if newest != lease:
                raise ProtocolError("SB-6013", job=task.job)
            taskrows.update(
                connection,
                digest,
                self.clock(),
                state=TaskState.COMMITTED,
                share=share,
                release=canonical(release.to_document()),
                secret=None,
            )
            connection.execute(
                "UPDATE ledger SET state = 'spent' WHERE job = :job", {"job": task.job}
            )
            body = {
                "roster": task.roster,
                "share": hashlib.sha256(share).hexdigest(),
                "release": release.digest,
            }
            self.log.write(connection, EntryKind.RELEASE, body, task.job)

    def stored_share(self, digest: str) -> StoredShare | None:
        """Return what was committed for a job, the same bytes every time, or None.

        Raises StateError SB-6020/SB-6021 while nothing may leave.
        """
        with self.database.read() as connection:
            self.log.require_confirmed(connection)
            row = connection.execute(
                "SELECT share, release FROM tasks WHERE digest = :digest",
                {"digest": digest},
            ).fetchone()
        if row is None or row["share"] is None:
            return None
        return StoredShare(bytes(row["share"]), bytes(row["release"]))

    def spent(self, group: str, researcher: str = "") -> Spent | None:
        """Return what a budget has lost, reservations included; researcher "": the group's."""
        with self.database.read() as connection:
            return ledger.spent(connection, group, researcher)

    # Encryption contexts

    def keep_context(self, digest: str, context: bytes) -> None:
        """Keep a result key's public contexts, already checked, by their digest."""
        with self.database.write("keep_context") as connection:
            connection.execute(
                "INSERT OR IGNORE INTO contexts VALUES (:digest, :context)",
                {"digest": digest, "context": context},
            )

    def context(self, digest: str) -> bytes | None:
        """Return kept public contexts, or None."""
        with self.database.read() as connection:
            context = connection.execute(
                "SELECT context FROM contexts WHERE digest = :digest", {"digest": digest}
            ).scalar()
        return None if context is None else bytes(context)

    # Reading tasks

    def task(self, digest: str) -> Task:
        """Return the task of a job by its digest; raises ProtocolError SB-6014 if unknown."""
        with self.database.read() as connection:
            return taskrows.get(connection, digest)

    def task_of(self, job: str) -> Task | None:
        """Return the task of a job by its id, or None."""
        with self.database.read() as connection:
            return taskrows.find(connection, job)

    def tasks(self, states: Iterable[TaskState] = tuple(TaskState)) -> list[Task]:
        """Return tasks in these states, oldest first."""
        with self.database.read() as connection:
            return taskrows.in_states(connection, states)

    # Within a transaction

    def _give_up(
        self, digest: str, state: TaskState, kind: EntryKind, error: SandboxError | None
    ) -> Task:
        with self.database.write(state.value) as connection:
            task = taskrows.get(connection, digest)
            if task.state in FINAL:
                return task
            self._end(connection, digest, state, kind, error)
            return taskrows.get(connection, digest)

    def _end(
        self,
        connection: Connection,
        digest: str,
        state: TaskState,
        kind: EntryKind,
        error: SandboxError | None,
    ) -> None:
        refusal = None if error is None else [type(error).__name__, error.code, error.facts]
        taskrows.update(
            connection,
            digest,
            self.clock(),
            state=state,
            refusal=None if refusal is None else json.dumps(refusal),
            secret=None,
        )
        task = taskrows.get(connection, digest)
        self.log.write(connection, kind, {"code": error.code if error else ""}, task.job)


def _other_body(document: Signed) -> dict[str, str]:
    return {"code": "SB-6010", "digest": document.digest, "researcher": document.signer}
