"""A protocol's party as a generator: it yields what it sends and whom it waits for; no socket here.

Each pair of parties has an ordered stream in either direction. Who drives a machine delivers to it the
next frame of the stream that it asks for; the value it returns is the party's result.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

from sandbox.errors import ProtocolError

FRAME_BYTES = 1 << 21
"""Payload of a full frame: large enough to make per-frame costs vanish, small enough for any stream."""


@dataclass(frozen=True)
class Send:
    """A frame for `party` (a fingerprint)."""

    party: str
    payload: bytes | memoryview


@dataclass(frozen=True)
class Receive:
    """The machine goes on when the next frame from `party` is handed to it."""

    party: str


Entropy = Callable[[int], bytes]
"""Returns so many bytes that nobody can foresee."""

T = TypeVar("T")
Machine = Generator[Send | Receive, bytes | memoryview, T]


def drive(machine: Machine[T], write: Callable[[Send], None], read: Callable[[str], bytes]) -> T:
    """Run a machine to its end and return its result. read: waits for the next frame of a party."""
    received: bytes | None = None
    while True:
        try:
            step = next(machine) if received is None else machine.send(received)
        except StopIteration as end:
            result: T = end.value
            return result
        received = None
        if isinstance(step, Send):
            write(step)
        else:
            received = read(step.party)


def frames(payload: bytes | memoryview) -> Iterator[memoryview]:
    """Yield `payload` in frames; nothing for an empty payload, as its length is known on both sides."""
    view = memoryview(payload)
    for start in range(0, len(view), FRAME_BYTES):
        yield view[start : start + FRAME_BYTES]


def send(party: str, payload: bytes | memoryview) -> Machine[None]:
    """Send a payload of a length that both sides know."""
    for frame in frames(payload):
        yield Send(party, frame)


def receive(party: str, length: int) -> Machine[bytes | memoryview]:
    """Return the next `length` bytes from `party`; raises ProtocolError SB-4010 for frames that do not
    add up to it, or that are not full before the last: each takes memory of its own."""
    whole: memoryview | None = None
    missing = length
    while missing:
        frame = yield Receive(party)
        if len(frame) != min(FRAME_BYTES, missing):
            raise ProtocolError("SB-4010", party=party)
        if len(frame) == length:
            return frame
        # Only now: a party that sends nothing takes no memory.
        whole = whole or memoryview(bytearray(length))
        whole[length - missing :][: len(frame)] = frame
        missing -= len(frame)
    return b"" if whole is None else whole.toreadonly()
