"""A join that was hung up on has ended: no process, no file, no place in the line is left."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from nodes.frames import Frames
from nodes.workers import JoinRequest, Limits, Workers
from sandbox.crypto.join.shape import Shape
from sandbox.errors import Unavailable
from sandbox.warm_server import WarmServer
from tests.data.rows import CARD, KINDS, make_rows
from tests.nodes import lingering

SPILLING = "SELECT a, hash(a) AS h FROM range(1000000000) t(a) ORDER BY h, a"
"""Sorts, on disk, more rows than this test has time for."""
LIMITS = Limits(active=1, memory_bytes=64 << 20, temp_bytes=8 << 30)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Workers, JoinRequest]]:
    """Run workers; yield with them a join that reads for ever."""
    (folder / "owner").mkdir()
    shape = Shape(("a", "b"), (10, 10), (1, 1), 0)
    document = {
        "mode": "blind",
        "columns": [column.name for column in CARD.columns],
        "own": "a",
        "peers": ["b"],
        "coordinator": "coordinator",
        "transcript": "00" * 64,
        "outputs": 1,
        "received": time.monotonic(),
        "row_bound": 10,
        "keys": 1,
        "unit_is_key": True,
        "plain_sql": "",
        "row_sql": SPILLING,
        "local_sql": "",
        "shapes": [asdict(shape)],
        "matching": [[0]],
    }
    source = KINDS["csv"](folder / "owner", make_rows(3))
    async with Workers(folder / "node", LIMITS) as workers:
        yield workers, JoinRequest("who", "meters", source, document, bytes(32), 60)


async def soon(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.02)


def spilled(workers: Workers) -> list[Path]:
    return [left for left in workers._temp.rglob("*") if left.is_file()]


def test_conversation_that_breaks_off_ends_with_its_worker(tmp_path: Path) -> None:
    """What is done after it, as removing files, must not meet a worker that still writes."""

    async def break_off() -> None:
        server = WarmServer((lingering.__name__,), tmp_path / "errors", 1)
        await server.start()
        header = {"file": str(tmp_path / "late"), "deadline_s": 60, "memory_bytes": 1 << 30}
        with contextlib.suppress(EOFError):
            async with server.converse(header, b"") as line:
                await line.receive()
                raise EOFError
        assert (tmp_path / "late").exists()
        await server.stop()

    asyncio.run(break_off())


def test_worker_that_spills_is_gone_with_all_it_wrote_when_its_join_has_ended(
    tmp_path: Path,
) -> None:
    async def stop() -> None:
        async with running(tmp_path) as (workers, request):
            frames = Frames()
            joining = asyncio.create_task(workers.join(request, frames))
            await soon(lambda: sum(file.stat().st_size for file in spilled(workers)) > 1 << 20)
            frames.hang_up()
            with pytest.raises(Unavailable, match="SB-5201"):
                await joining
            for _ in range(20):
                assert [*workers._temp.iterdir()] == []
                await asyncio.sleep(0.02)

    asyncio.run(stop())


def test_join_that_waits_for_its_turn_leaves_the_line_at_once(tmp_path: Path) -> None:
    async def stop() -> None:
        async with running(tmp_path) as (workers, request):
            first, second = Frames(), Frames()
            ahead = asyncio.create_task(workers.join(request, first))
            await soon(lambda: any(workers._temp.iterdir()))
            behind = asyncio.create_task(workers.join(request, second))
            await asyncio.sleep(0.1)
            second.hang_up()
            async with asyncio.timeout(5):
                with pytest.raises(Unavailable, match="SB-5201"):
                    await behind
            assert not ahead.done()
            first.hang_up()
            with pytest.raises(Unavailable, match="SB-5201"):
                await ahead
            assert not workers._turns._lines
            assert workers._turns._free == LIMITS.active

    asyncio.run(stop())
