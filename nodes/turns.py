"""Who may work next: researchers in turn, so that many jobs of one never starve another."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator

from sandbox.errors import Unavailable


class Turns:
    """`active` at a time, researchers in turn.

    A line of `waiting` has no room; who asks for room first is refused at once and free of charge,
    who is charged already is never sent away.
    """

    def __init__(self, active: int, waiting: int) -> None:
        self._free = active
        self._waiting = waiting
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @contextlib.asynccontextmanager
    async def turn(self, researcher: str) -> AsyncIterator[None]:
        """Hold one turn."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(researcher)
        try:
            yield
        finally:
            self._pass_on()

    def require_room(self) -> None:
        """Raise Unavailable SB-5202 if the line is full."""
        in_line = sum(len(line) for line in self._lines.values())
        if in_line >= self._waiting:
            raise Unavailable("SB-5202", waiting=in_line)

    async def _wait(self, researcher: str) -> None:
        called = asyncio.get_running_loop().create_future()
        self._lines.setdefault(researcher, deque()).append(called)
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():
                self._pass_on()
            else:
                self._leave(researcher, called)
            raise

    def _leave(self, researcher: str, called: asyncio.Future[None]) -> None:
        line = self._lines[researcher]
        line.remove(called)
        if not line:
            del self._lines[researcher]

    def _pass_on(self) -> None:
        if not self._lines:
            self._free += 1
            return
        researcher, line = self._lines.popitem(last=False)
        line.popleft().set_result(None)
        if line:
            self._lines[researcher] = line  # to the end: every other researcher comes first
