"""A deployment whose processes can be killed at a named point and started again, one by one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from sandbox import health, local
from sandbox.client import Session
from sandbox.config import load_researcher
from sandbox.crypto.identity import load_public
from sandbox.errors import SandboxError
from sandbox.jobs import Missing
from sandbox.jobview import JobView
from sandbox.processes import Program
from sandbox.submission import Terms
from tests.endtoend import deployment
from tests.faults.killed import KILL_AT

KILLED = Path(__file__).resolve().parent / "killed.py"
LOG = "killed.log"
MACHINES = frozenset({"machines"})
SQL = "SELECT kind, COUNT(*) AS n FROM machines GROUP BY kind"


def until(what: str, holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something holds; fails naming it."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@dataclass
class Party:
    """One process of the deployment."""

    program: Program
    process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self.program.folder

    def spawn(self) -> None:
        """Start it; see `ready`."""
        with (self.folder / LOG).open("wb") as out:
            command = (sys.executable, str(KILLED), self.program.role, str(self.folder))
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, process_group=0
            )

    def ready(self) -> bool:
        """Whether it says so of itself."""
        return b'"ready": true' in (self.folder / LOG).read_bytes()

    def arm(self, *points: str) -> None:
        """Let it kill itself when it reaches any of `points`, once at each."""
        (self.folder / KILL_AT).write_text("\n".join(points))

    @property
    def armed(self) -> list[str]:
        """The points that it has not reached yet."""
        return (self.folder / KILL_AT).read_text().splitlines()

    @property
    def dead(self) -> bool:
        """Whether its process has ended."""
        assert self.process is not None
        return self.process.poll() is not None

    def stop(self) -> None:
        """Stop it, however it is."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@dataclass
class Deployment:
    """All parties, and the researcher's session."""

    coordinator: Party
    nodes: dict[str, Party]
    session: Session
    offered: frozenset[str] = MACHINES

    def submit(
        self, missing: Missing = Missing.WAIT, least: int | None = None, sql: str = SQL
    ) -> str:
        """Submit one small job and return its id; by default it waits for whoever is away."""
        terms = Terms(
            Decimal("0.02"),
            Decimal("0.000001"),
            "maintenance",
            missing=missing,
            minimum_members=least,
        )
        return self.session.submit(self.session.sql(sql).plan, terms)

    def view(self, job: str) -> JobView | None:
        """The job as the coordinator tells it, or None while it is away."""
        try:
            return self.session.job(job)
        except SandboxError:
            return None

    def ended(self, job: str, seconds: float = 120.0) -> JobView:
        """Wait for the job's end, starting again whoever dies."""
        last: list[JobView] = []

        def over() -> bool:
            self.revive()
            view = self.view(job)
            last[:] = [view] if view else last
            return view is not None and view.ended

        until(f"the end of job {job}; last {last}", over, seconds)
        return last[0]

    @property
    def parties(self) -> list[Party]:
        """Everybody who serves."""
        return [self.coordinator, *self.nodes.values()]

    def revive(self) -> None:
        """Start again whoever has died."""
        for party in self.parties:
            if party.dead:
                party.spawn()

    def healthy(self) -> None:
        """Revive everybody; wait until every node is there, confirmed and in the catalogue."""
        researcher = self.coordinator.folder.parent / "researcher"
        config, coordinator = load_researcher(researcher), load_public(self.coordinator.folder)

        def well() -> bool:
            self.revive()
            try:
                nodes = health.ask(researcher, config.coordinator, coordinator).nodes
                tables = {table.name for table in self.session.datasets()}
            except SandboxError:
                return False
            there = all(node.reachable and node.confirmed for node in nodes)
            return there and self.offered <= tables

        until("a healthy deployment", well, 60)


@contextmanager
def running(
    folder: Path,
    make: Callable[[Path], None] = deployment.make,
    offered: frozenset[str] = MACHINES,
) -> Iterator[Deployment]:
    """Make a deployment and run it with processes that can be killed; offered: its tables."""
    make(folder)
    parties = [Party(program) for program in local.programs(folder)]
    try:
        for party in parties:
            party.spawn()
        until("all parties ready", lambda: all(party.ready() for party in parties), 60)
        by_name = {party.program.name: party for party in parties}
        coordinator = by_name.pop("coordinator")
        with deployment.researcher(folder) as session:
            whole = Deployment(coordinator, by_name, session, offered)
            whole.healthy()
            yield whole
    finally:
        for party in parties:
            party.stop()
