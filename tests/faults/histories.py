"""Random histories of one node against a model of what may ever leave it.

    python tests/faults/histories.py [COUNT] [FIRST_SEED]

Each history is a seeded walk over offers, rosters, shares, cancellations, crashes at any crash
point, restarts, restored backups and witnesses, in one process without sockets or rows. After every
step: recorded spend covers what has left (I1), a job's share is one and the same bytes under one
roster (I2), every head that was shown still verifies (I3); at the end every task is at an end (I4).
"""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from nodes.taskrows import FINAL, TaskState
from nodes.vault import Vault
from sandbox.audit.log import Head, check_extends
from sandbox.crypto.identity import Signed, parse
from sandbox.errors import ProtocolError, Refusal, SandboxError, StateError, TrustError, Unavailable
from tests.nodes.vaults import (
    Clock,
    Crash,
    CrashAt,
    answer,
    charge,
    demands,
    digest_of,
    job_id,
    limits,
    party,
    release_of,
    signed_job,
)

ROSTERS = ("abc", "ab", "ac")
JOBS = 4
STEPS = 60
ONE = 10**12
BUDGET = limits("3", "3")


class Broken(AssertionError):
    """An invariant does not hold."""


class History:
    """One node, one witness, and the model: what was sent, which heads were shown."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.folder = folder
        self.clock = Clock()
        self.crash = CrashAt()
        self.sent: dict[str, tuple[str, bytes]] = {}
        self.heads: list[Signed] = []
        self.draws = 0
        self.job = 0
        self.crashes = 0
        self.vault = self.open()
        self.start()

    def open(self) -> Vault:
        file = self.folder / "vault.db"
        return Vault(file, party("a"), clock=self.clock, crash_at=self.crash)

    def start(self) -> None:
        """As a node does: begin a run, hear the witness, end what was interrupted."""
        self.vault.log.start()
        answer(self.vault, self.heads[-1] if self.heads else None)
        self.vault.end_interrupted(Unavailable("SB-5203"))

    def run(self) -> None:
        """Walk, checking after every step; raises Broken."""
        steps: list[Callable[[], None]] = [
            *[self.progress] * 12,
            self.accept,
            self.offer,
            self.roster,
            self.share,
            self.cancel,
            self.show_head,
            self.restart,
            self.restore_backup,
        ]
        for _ in range(STEPS):
            if self.chance.random() < 0.3:
                self.crash.countdown = self.chance.randint(1, 8)
            step = self.chance.choice(steps)
            self.job = self.chance.randrange(JOBS)
            try:
                step()
            except Crash:
                self.crashes += 1
                self.recover()
            except (ProtocolError, TrustError, Refusal):
                pass
            self.crash.countdown = 0
            self.check()
        self.end()

    # Steps

    def progress(self) -> None:
        """Do what the task waits for."""
        task = self.vault.task_of(job_id(self.job))
        if task is None:
            self.vault.accept_job(job_id(self.job), signed_job(self.job))
        elif task.state is TaskState.ACCEPTED and task.offer is None:
            self.vault.store_offer(task.digest, 1, b"offer", b"secret")
        elif task.state is TaskState.ACCEPTED:
            self.vault.sign_roster(task.digest, task.attempt, self.some_roster())
        else:
            self.share(task.roster)

    def some_roster(self) -> str:
        return digest_of(self.chance.choice(ROSTERS))

    def accept(self) -> None:
        """The same job again, or another one under its id."""
        body = "SELECT 2" if self.chance.random() < 0.3 else "SELECT COUNT(*) FROM t"
        self.vault.accept_job(job_id(self.job), signed_job(self.job, body))

    def offer(self) -> None:
        """Another attempt, which voids the roster signed before unless budget is reserved."""
        attempt = self.chance.randint(1, 3)
        job = signed_job(self.job)
        self.vault.store_offer(job.digest, attempt, self.chance.randbytes(8), b"secret")

    def roster(self) -> None:
        job = signed_job(self.job)
        attempt = max(1, self.vault.task(job.digest).attempt - self.chance.choice((0, 0, 1)))
        self.vault.sign_roster(job.digest, attempt, self.some_roster())

    def share(self, roster: str | None = None) -> None:
        """As nodes/tasks.py does, whatever roster the coordinator shows."""
        job = signed_job(self.job)
        roster = roster or self.some_roster()
        stored = self.vault.stored_share(job.digest)
        if stored is None:
            task = self.vault.task(job.digest)
            if task.state is not TaskState.ROSTERED or task.roster != roster:
                return
            try:
                lease = self.vault.reserve(job.digest, roster, charge(), demands(most=BUDGET))
            except Refusal as error:
                self.vault.refuse_job(task.job, job, error)
                return
            self.draws += 1
            share = b"draw %d" % self.draws
            self.vault.commit_share(
                job.digest, lease, share, release_of(job, roster, share, party("a"))
            )
            stored = self.vault.stored_share(job.digest)
        assert stored is not None
        self.send(job.digest, stored.share)

    def send(self, digest: str, share: bytes) -> None:
        roster = self.vault.task(digest).roster or ""
        before = self.sent.setdefault(digest, (roster, share))
        if before != (roster, share):
            raise Broken(f"I2: job {digest} left twice: {before} and {(roster, share)}")

    def cancel(self) -> None:
        self.vault.cancel(signed_job(self.job).digest)

    def show_head(self) -> None:
        """The witness takes a head only if it extends the last one it saw."""
        signed = self.vault.log.head()
        new = Head.from_document(parse(signed.body))
        if self.heads:
            known = Head.from_document(parse(self.heads[-1].body))
            try:
                check_extends(known, new, self.vault.log.consistency(known.size, new.size))
            except TrustError as error:
                raise Broken(f"I3: {error}") from error
        self.heads.append(signed)

    def restart(self) -> None:
        self.vault.close()
        self.vault = self.open()
        self.start()

    def recover(self) -> None:
        """A crashed process starts again, and may crash again while it does."""
        for _ in range(3):
            try:
                self.restart()
            except Crash:
                continue
            return
        self.crash.countdown = 0
        self.restart()

    def restore_backup(self) -> None:
        """Do some work, then put an older copy in place: if the witness saw that, nothing leaves."""
        self.crash.countdown = 0
        self.vault.close()
        file, old, newest = (self.folder / name for name in ("vault.db", "old", "newest"))
        copy(file, old)
        self.vault = self.open()
        self.start()
        self.show_head()
        self.vault.close()
        copy(file, newest)
        copy(old, file)
        self.vault = self.open()
        try:
            self.start()
        except StateError as error:
            if error.code != "SB-6022":
                raise
        else:
            raise Broken("an old copy was taken for the newest")
        for number in range(JOBS):
            try:
                self.vault.stored_share(signed_job(number).digest)
            except StateError:
                continue
            raise Broken("an old copy let a share out")
        self.vault.close()
        copy(newest, file)
        self.vault = self.open()
        self.start()

    # What must hold

    def check(self) -> None:
        spent = self.vault.spent("data:t")
        recorded = 0 if spent is None else spent.lifetime_loss
        if recorded < len(self.sent) * ONE:
            raise Broken(f"I1: {len(self.sent)} shares left, {recorded} recorded")
        if recorded > 3 * ONE:
            raise Broken(f"the budget of 3 was overspent: {recorded}")
        reserved = {
            r.body["job"] for r in self.vault.log.entries() if r.entry.kind == "reservation"
        }  # type: ignore[index]
        if recorded != len(reserved) * ONE:
            raise Broken(f"ledger and log disagree: {recorded}, {len(reserved)} reservations")

    def end(self) -> None:
        """Every task can be brought to one end, which holds."""
        self.crash.countdown = 0
        self.restart()
        self.show_head()
        self.vault.log.check()
        for number in range(JOBS):
            job = signed_job(number)
            task = self.vault.task_of(job_id(number))
            if task is None or task.digest != job.digest:
                continue
            if task.state not in FINAL:
                self.vault.cancel(job.digest)
            if self.vault.task(job.digest).state not in FINAL:
                raise Broken(f"I4: job {number} does not end")
            ends = [
                record.entry.kind
                for record in self.vault.log.entries(job_id(number))
                if record.entry.kind in ("release", "failure", "cancellation")
            ]
            if len(ends) > 1:
                raise Broken(f"I4: job {number} has several ends: {ends}")
        self.check()
        self.vault.close()


def copy(source: Path, target: Path) -> None:
    """Copy a database with what is still in its write-ahead log."""
    for left in target.parent.glob(target.name + "*"):
        left.unlink()
    with (
        closing(sqlite3.connect(source)) as reader,
        closing(sqlite3.connect(target)) as writer,
    ):
        reader.backup(writer)


def run(seed: int, folder: Path) -> History:
    """Run one history in an empty folder; raises Broken or whatever else went wrong."""
    history = History(seed, folder)
    try:
        history.run()
    finally:
        history.vault.close()
    return history


def verdict(seed: int) -> tuple[int, str]:
    """Run one history in a folder of its own; returns its crashes and what broke, if anything."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return run(seed, Path(folder)).crashes, ""
        except (AssertionError, SandboxError) as error:
            return 0, f"seed {seed}: {type(error).__name__} {error}"


def main(count: int, first: int) -> int:
    """Run `count` histories on all cores; print the first that breaks."""
    began, crashes = time.monotonic(), 0
    with ProcessPoolExecutor() as pool:
        for crashed, broken in pool.map(verdict, range(first, first + count), chunksize=20):
            if broken:
                print(broken)
                return 1
            crashes += crashed
    seconds = time.monotonic() - began
    print(f"{count} histories of {STEPS} steps, {crashes} crashes, {seconds:.0f} s: all hold")
    return 0


if __name__ == "__main__":
    arguments = [int(given) for given in sys.argv[1:]]
    sys.exit(main(*(arguments + [10_000, 0][len(arguments) :])))
