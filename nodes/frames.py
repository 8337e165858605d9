"""The two directions of a join's call, between the coordinator's stream and the worker's socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from sandbox.disposable import Header
from sandbox.rpc.joinparts import Frame
from sandbox.warm_server import Line

UNREAD_FRAMES = 8

T = TypeVar("T")


class Frames:
    """The frames of one join. `incoming`: for the worker; `outgoing`: from it."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[Frame] = asyncio.Queue(UNREAD_FRAMES)
        self.outgoing: asyncio.Queue[Frame] = asyncio.Queue(UNREAD_FRAMES)
        self.gone = asyncio.Event()

    def hang_up(self) -> None:
        """The coordinator is gone, or the job given up: no frame comes in or gets out any more."""
        self.gone.set()

    async def while_carried(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` does. Raises EOFError once the coordinator hangs up; `work` has ended then,
        wherever it stood."""
        working, gone = asyncio.create_task(work), asyncio.create_task(self.gone.wait())
        try:
            await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise EOFError
            return working.result()
        finally:
            gone.cancel()
            working.cancel()
            # Gathered: what it failed with, once hung up on, is nobody's to hear of.
            await asyncio.gather(working, return_exceptions=True)

    async def until(self, ended: asyncio.Future[Any]) -> AsyncIterator[Frame]:
        """Yield outgoing frames until `ended` is done and all that was said before is yielded."""
        while True:
            getting = asyncio.create_task(self.outgoing.get())
            try:
                await asyncio.wait({getting, ended}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                getting.cancel()
            if getting.done():
                yield getting.result()
                continue
            while not self.outgoing.empty():
                yield self.outgoing.get_nowait()
            return


async def carry(frames: Frames, line: Line) -> tuple[Header, memoryview]:
    """Carry frames until the worker answers; return its answer. Raises EOFError when the worker dies."""
    listening = asyncio.create_task(_listen(frames, line))
    feeding = asyncio.create_task(_feed(frames, line))
    try:
        await asyncio.wait({listening, feeding}, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            raise EOFError
        return listening.result()
    finally:
        listening.cancel()
        feeding.cancel()
        # Whoever uses the line next must be alone with it.
        await asyncio.wait({listening, feeding})


async def _feed(frames: Frames, line: Line) -> None:
    while True:
        frame = await frames.incoming.get()
        await line.send({"party": frame.party}, frame.payload)


async def _listen(frames: Frames, line: Line) -> tuple[Header, memoryview]:
    while True:
        header, payload = await line.receive()
        party = header.get("party")
        if party is None:
            return header, payload
        await frames.outgoing.put(Frame(party=party, payload=payload))
