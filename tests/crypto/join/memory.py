"""Runs the machines of a join against each other in memory, and lets a test stand in the middle."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any

from sandbox import _native
from sandbox.crypto.join.machine import Machine, Send

Wiretap = Callable[[str, str, bytes], bytes | None]
"""Called with (from, to, payload) of each frame; returns what is delivered instead, None to drop it."""


class Stuck(AssertionError):
    """Every machine waits for a frame that nobody will send."""


def run(machines: Mapping[str, Machine[Any]], wiretap: Wiretap | None = None) -> dict[str, Any]:
    """Drive all machines to their ends and return their results by party."""
    streams: defaultdict[tuple[str, str], deque[bytes]] = defaultdict(deque)
    waiting: dict[str, str | None] = dict.fromkeys(machines)
    results: dict[str, Any] = {}
    while len(results) < len(machines):
        moved = False
        for party, machine in machines.items():
            if party in results:
                continue
            source = waiting[party]
            if source is not None and not streams[source, party]:
                continue
            moved = True
            try:
                step = (
                    next(machine)
                    if source is None
                    else machine.send(streams[source, party].popleft())
                )
            except StopIteration as end:
                results[party] = end.value
                continue
            if isinstance(step, Send):
                waiting[party] = None
                payload: bytes | None = bytes(step.payload)
                if wiretap is not None:
                    payload = wiretap(party, step.party, bytes(step.payload))
                if payload is not None:
                    streams[party, step.party].append(payload)
            else:
                waiting[party] = step.party
        if not moved:
            raise Stuck
    return results


def replied(receiver: _native.PsiReceiver, message: _native.Buffer | bytes | memoryview) -> bytes:
    """Return a receiver's whole reply to a message."""
    receiver.take(message)
    parts = []
    while (part := receiver.next_part()) is not None:
        parts.append(bytes(part))
    return b"".join(parts)
