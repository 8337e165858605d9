"""The phases of a job at the coordinator, and which may follow which."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """Where a job stands."""

    SUBMITTED = "submitted"
    OFFERING = "offering"
    ROSTER = "roster"
    COMPUTING = "computing"
    ADDING = "adding"
    WITNESSING = "witnessing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


NEXT: dict[Phase, frozenset[Phase]] = {
    Phase.SUBMITTED: frozenset({Phase.OFFERING, Phase.FAILED, Phase.CANCELLED}),
    Phase.OFFERING: frozenset({Phase.ROSTER, Phase.FAILED, Phase.CANCELLED}),
    # A member that drops out before the first share sends the job back for a new attempt.
    Phase.ROSTER: frozenset({Phase.OFFERING, Phase.COMPUTING, Phase.FAILED, Phase.CANCELLED}),
    # From here budgets are spent and shares may have left nodes: no other roster, and nothing but a
    # join, which may run for hours, is cancelled.
    Phase.COMPUTING: frozenset({Phase.ADDING, Phase.FAILED, Phase.CANCELLED}),
    Phase.ADDING: frozenset({Phase.WITNESSING, Phase.FAILED}),
    Phase.WITNESSING: frozenset({Phase.DONE, Phase.FAILED}),
    Phase.DONE: frozenset(),
    Phase.FAILED: frozenset(),
    Phase.CANCELLED: frozenset(),
}

TERMINAL = frozenset(phase for phase, following in NEXT.items() if not following)
