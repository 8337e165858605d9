"""How far the members of a running join are, from the bytes that the coordinator carries anyway.

Totals follow from padded sizes: what members have stated of a blind join, what cards declare for a PSI.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sandbox.crypto.join.legs import JoinPhase, Leg, legs_of_sessions, legs_of_shapes
from sandbox.crypto.join.psi import Sizes
from sandbox.crypto.join.shape import read_shapes
from sandbox.errors import ProtocolError

MOST_STATED_BYTES = 1 << 18
"""Of a first frame that is read for progress: the event loop does it, which serves all others."""

Session = tuple[Sizes, str, str]
"""One intersection of a PSI: sizes, receiver, sender."""


@dataclass(frozen=True)
class Progress:
    """Where a member is. done, total: bytes of this phase, 0 of 0 where none are moved in it; moved,
    all: bytes of its whole join."""

    party: str
    phase: JoinPhase
    done: int
    total: int
    moved: int
    all: int


class Track:
    """One member's way through its legs."""

    def __init__(self, legs: Sequence[Leg]) -> None:
        self._legs = legs
        self._at = 0
        self._done = 0

    def carried(self, source: str, to: str, count: int) -> None:
        """Count bytes on their way from one party to another."""
        leg, following = self._leg(self._at), self._leg(self._at + 1)
        if leg and following and leg.bytes is None and self._done and _is(following, source, to):
            leg = self._step()
        if leg is None or not _is(leg, source, to):
            return
        self._done += count
        if leg.bytes is not None and self._done >= leg.bytes:
            self._step()

    def _leg(self, number: int) -> Leg | None:
        return self._legs[number] if number < len(self._legs) else None

    def _step(self) -> Leg | None:
        self._at, self._done = self._at + 1, 0
        return self._leg(self._at)

    @property
    def planned(self) -> bool:
        """Whether anything is known of the way."""
        return bool(self._legs)

    def now(self, party: str) -> Progress:
        """Return where the member is now."""
        past = sum(leg.bytes or 0 for leg in self._legs[: self._at])
        every = sum(leg.bytes or 0 for leg in self._legs)
        leg = self._leg(self._at)
        if leg is None:
            return Progress(party, JoinPhase.SHARES, 0, 0, past, every)
        current = 0 if leg.bytes is None else self._done
        # What ends with an answer may have ended.
        following = self._leg(self._at + 1) if leg.bytes is None else leg
        awaited = (leg.bytes is None) == (self._done > 0)
        if following is not None and following.before is not None and awaited:
            return Progress(party, following.before, 0, 0, past, every)
        of_phase = [each.bytes or 0 if each.phase is leg.phase else 0 for each in self._legs]
        done = sum(of_phase[: self._at]) + current
        return Progress(party, leg.phase, done, sum(of_phase), past + current, every)


class Tracks:
    """All members' ways through one join. own: the coordinator's fingerprint; sessions: a PSI's."""

    def __init__(self, own: str, sessions: Sequence[Session]) -> None:
        self._own = own
        self._sessions = sessions
        self._tracks: dict[str, Track] = {}

    def carried(self, source: str, to: str, payload: bytes | memoryview) -> None:
        """Take note of a frame."""
        if to == self._own and source not in self._tracks:
            self._tracks[source] = Track(self._legs(source, payload))
            return  # What it states is no part of its way.
        for track in self._tracks.values():
            track.carried(source, to, len(payload))

    def now(self) -> list[Progress]:
        """Return where each member is whose join has begun, and of whose way there is a plan."""
        tracks = sorted(self._tracks.items())
        return [track.now(member) for member, track in tracks if track.planned]

    def _legs(self, member: str, first: bytes | memoryview) -> list[Leg]:
        """Return a member's legs; first: its first frame, in which it states its blind joins."""
        if len(first) > MOST_STATED_BYTES:
            return []
        try:
            shapes = read_shapes(first, member)
            if any(member not in shape.members for shape in shapes):
                return []
        except ProtocolError:
            return []  # The dealer's to refuse.
        if shapes:
            return legs_of_shapes(shapes, member, self._own)
        return legs_of_sessions(self._sessions, member)


Seen = Callable[[str, str, bytes | memoryview], None]
"""Told of every frame that is carried: from whom, to whom."""


def unseen(source: str, to: str, payload: bytes | memoryview) -> None:
    """Take note of nothing."""


def _is(leg: Leg, source: str, to: str) -> bool:
    return leg.source == source and leg.to in (None, to)
