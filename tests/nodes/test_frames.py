"""A call that breaks off within a join leaves no task behind, and no failure that nobody hears of."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nodes.frames import Frames
from nodes.server import NodeService
from nodes.tasks import Tasks
from sandbox.errors import Unavailable
from sandbox.rpc import node_pb2
from sandbox.rpc.joinparts import Part


def unheard(act: Coroutine[Any, Any, None]) -> list[str]:
    """Run `act`; return what the event loop then has to say of tasks that nobody waits for."""
    said: list[str] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: said.append(context["message"])
        )
        await act
        # What was cancelled ends in the next turn.
        await asyncio.sleep(0)
        said.extend(repr(task) for task in asyncio.all_tasks() - {asyncio.current_task()})
        gc.collect()

    asyncio.run(run())
    return said


async def broken_off(reading: Coroutine[Any, Any, None]) -> None:
    """Cancel what reads, once it waits."""
    task = asyncio.create_task(reading)
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_reader_of_frames_that_is_cancelled_leaves_no_task() -> None:
    async def act() -> None:
        frames, ended = Frames(), asyncio.get_running_loop().create_future()

        async def read() -> None:
            async for _ in frames.until(ended):
                pass

        await broken_off(read())

    assert unheard(act()) == []


def test_work_that_fails_as_it_is_hung_up_on_fails_once() -> None:
    async def act() -> None:
        frames = Frames()

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise OSError

        frames.hang_up()
        with pytest.raises(EOFError):
            await frames.while_carried(work())

    assert unheard(act()) == []


def test_join_whose_call_breaks_off_fails_without_a_traceback_and_its_share_is_made_to_the_end() -> (
    None
):
    ends: list[str] = []

    async def made(digest: str, roster: object, received: float, frames: Frames) -> None:
        await frames.gone.wait()
        ends.append(digest)
        raise Unavailable("SB-5203")

    tasks = SimpleNamespace(_running={}, _share=made)
    tasks.share = partial(Tasks.share, cast(Any, tasks))
    tasks._end = partial(Tasks._end, cast(Any, tasks))

    async def request() -> AsyncIterator[Part]:
        yield node_pb2.JoinPart(start=node_pb2.ComputeRequest(job_digest="digest"))
        await asyncio.Event().wait()

    service = SimpleNamespace(_tasks=tasks, _name="a")

    async def act() -> None:
        async def answer() -> None:
            async for _ in NodeService.Join(cast(Any, service), request(), cast(Any, None)):
                pass

        await broken_off(answer())
        for _ in range(5):
            await asyncio.sleep(0)

    assert unheard(act()) == []
    assert ends == ["digest"]
    assert tasks._running == {}
