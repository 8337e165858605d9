"""A job as its coordinator reports it: where it stands, and whom it waits for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.errors import SandboxError
from sandbox.rpc import coordinator_pb2
from sandbox.rpc.problems import error_of


@dataclass(frozen=True)
class WaitingFor:
    """Whom a job waits for, why, and since when (unix seconds)."""

    party: str
    reason: str
    since: int


@dataclass(frozen=True)
class JoinProgress:
    """How far one member of a running join is, as its coordinator carries bytes. done, total: of this
    phase, 0 of 0 where none are moved in it; moved, all: of the member's whole join."""

    party: str
    phase: str
    done: int
    total: int
    moved: int
    all: int


@dataclass(frozen=True)
class JobView:
    """A job as the coordinator reports it. Times: unix seconds; untold: nodes that its cancelling, just
    now, has not reached; begun: budgets may have been charged for it, however it ends; progress: where
    the members of its join are, while it runs."""

    job: str
    phase: str
    statement: str
    created: int
    changed: int
    deadline: int
    waiting: tuple[WaitingFor, ...]
    left_out: tuple[str, ...]
    problem: SandboxError | None
    untold: tuple[str, ...] = ()
    begun: bool = False
    progress: tuple[JoinProgress, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.phase in ("done", "failed", "cancelled")


Progress = Callable[[JobView], None]
"""Told every state of a job that is waited for."""


def view_of(state: coordinator_pb2.JobState) -> JobView:
    """Return the state that a coordinator sent."""
    return JobView(
        job=state.job,
        phase=state.phase,
        statement=state.statement,
        created=state.created,
        changed=state.changed,
        deadline=state.deadline,
        waiting=tuple(WaitingFor(w.party, w.reason, w.since) for w in state.waiting),
        left_out=tuple(state.left_out),
        problem=error_of(state.problem) if state.HasField("problem") else None,
        untold=tuple(state.untold),
        begun=state.begun,
        progress=tuple(
            JoinProgress(p.party, p.phase, p.done, p.total, p.moved, p.all) for p in state.progress
        ),
    )
