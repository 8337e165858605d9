"""Break j16: a worker keeps frames of whatever party they are said to be."""

from __future__ import annotations

from collections import deque

from nodes.join_worker import Wire
from sandbox.disposable import receive


def apply() -> None:
    def listen(self: Wire) -> None:
        while True:
            header, payload = receive(self._peer)
            with self._arrived:
                self._frames.setdefault(header["party"], deque()).append(payload)
                self._arrived.notify()

    Wire._listen = listen  # type: ignore[method-assign]
