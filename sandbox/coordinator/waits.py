"""Whom a job waits for: what passes by itself, how patient a job is, and what its watchers are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sandbox.coordinator.nodelink import NodeLink
from sandbox.errors import SandboxError, Unavailable
from sandbox.jobs import JobSpec

PASSING = {
    "SB-5040": "unreachable",
    "SB-5101": "unreachable",
    "SB-5102": "unreachable",
    "SB-5103": "busy",
    "SB-5104": "busy",
    "SB-5115": "unreachable",
    "SB-5116": "witness",
    "SB-5202": "busy",
    "SB-6003": "busy",
    "SB-6020": "witness",
    "SB-6021": "unreachable",
}
"""What passes by itself, and why the job waits meanwhile. Any other error ends the job."""


@dataclass(frozen=True)
class Patience:
    """In seconds. silent_s: how long a silent node is asked again before the job's rule for missing
    members decides. probe_s: how long an answer may take before the node is asked whether it is
    there at all. witness_s: how long a log that no witness has confirmed is waited for; a start takes
    a second or two. poll_s: between two questions."""

    silent_s: float = 8.0
    probe_s: float = 2.0
    witness_s: float = 25.0
    poll_s: float = 0.25


PATIENCE = Patience()


@dataclass(frozen=True)
class Waiting:
    """Whom a job waits for, why (a key of PASSING's kind), and since when (unix seconds)."""

    party: str
    reason: str
    since: int


class Waits:
    """What one job waits for now, by party. links: the nodes by fingerprint."""

    def __init__(
        self, spec: JobSpec, links: Callable[[], Mapping[str, NodeLink]], patience: Patience
    ) -> None:
        self._spec = spec
        self.links = links
        self.patience = patience
        self._waiting: dict[str, Waiting] = {}
        self.changed = asyncio.Event()
        """Set at the next change of state. Taken when the state is read, it misses none."""

    @property
    def now(self) -> Sequence[Waiting]:
        """Whom the job waits for now."""
        return tuple(self._waiting.values())

    def link(self, member: str) -> NodeLink:
        """Return a node's link; raises Unavailable SB-5115."""
        link = self.links().get(member)
        if link is None:
            raise Unavailable("SB-5115", party=member)
        return link

    def name(self, member: str) -> str:
        """Return a node's name, its fingerprint if it is not known."""
        link = self.links().get(member)
        return member if link is None else link.identity.name

    def names(self, members: Sequence[str]) -> str:
        """Return nodes' names in order, as a message lists them."""
        return ", ".join(sorted(self.name(member) for member in members))

    def reason(self, member: str) -> str | None:
        """Return why the job waits for a party, if it does."""
        waiting = self._waiting.get(member)
        return None if waiting is None else waiting.reason

    def begin(self, member: str, reason: str) -> None:
        """Wait for a party from now on, unless the job does so already for this reason."""
        if self.reason(member) != reason:
            self._waiting[member] = Waiting(self.name(member), reason, int(time.time()))
            self.tell()

    def begin_or_raise(self, member: str, error: SandboxError) -> None:
        """Wait for a party whose error passes by itself; raise any other."""
        reason = PASSING.get(error.code)
        if reason is None:
            raise error
        self.begin(member, reason)

    def end(self, member: str) -> None:
        """Wait for a party no more."""
        if self._waiting.pop(member, None):
            self.tell()

    def clear(self) -> None:
        """Wait for nobody; whoever moves the job on tells."""
        self._waiting.clear()

    def tell(self) -> None:
        """Wake whoever watches the job."""
        self.changed.set()
        self.changed = asyncio.Event()

    def expire(self, party: str, reason: str) -> None:
        """Raise Unavailable SB-5112, naming whom the job waited for, if it has expired."""
        if time.time() > self._spec.expires:
            raise Unavailable("SB-5112", party=party, reason=reason)

    async def pause(self) -> None:
        """Let a moment pass before the next question."""
        await asyncio.sleep(self.patience.poll_s)
