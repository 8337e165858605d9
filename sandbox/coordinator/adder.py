"""Shares are added in workers that serve one job and exit: SEAL, which parses what nodes sent, never
runs in the coordinator itself (docs/decisions/013)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.coordinator import adder_main
from sandbox.disposable import MOST_BYTES
from sandbox.errors import BY_NAME, Unavailable
from sandbox.warm_server import WarmServer

log = logging.getLogger("sandbox.coordinator")


@dataclass(frozen=True)
class Limits:
    """What adding may use. `active`: workers at once. memory_bytes: what one may map beside four times
    what it is sent. message_bytes: most that is sent to one."""

    active: int = 2
    deadline_s: float = 60.0
    memory_bytes: int = 1 << 30
    message_bytes: int = MOST_BYTES - (1 << 20)


class Adder:
    """Adds shares under encryption. folder: the coordinator's."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._turns = asyncio.Semaphore(self._limits.active)
        self._server = WarmServer(
            (adder_main.__name__,), folder / "adder.log", self._limits.active + 2
        )

    async def start(self) -> None:
        """Start the workers; raises Unavailable SB-5200 if they do not stand by in time."""
        await self._server.start()

    async def stop(self) -> None:
        """End the workers."""
        await self._server.stop()

    async def add(self, vectors: Sequence[bytes]) -> bytes:
        """Return the encrypted sum of vectors of one ring, length and context.

        Raises what he.add raises, Unavailable SB-5051 after the deadline, SB-5050 for a worker that
        ended: killed, out of memory or at fault.
        """
        summed, *left = vectors
        while True:
            batch, size = [summed], len(summed)
            while left and size + len(left[0]) <= self._limits.message_bytes:
                size += len(left[0])
                batch.append(left.pop(0))
            summed = await self._added(batch)
            if not left:
                return summed

    async def _added(self, batch: Sequence[bytes]) -> bytes:
        part = b"".join(batch)
        header = {
            "sizes": [len(vector) for vector in batch],
            "deadline_s": self._limits.deadline_s,
            "memory_bytes": self._limits.memory_bytes + 4 * len(part),
        }
        async with self._turns:
            try:
                async with asyncio.timeout(self._limits.deadline_s):
                    answer, summed = await self._server.ask(header, part)
            except TimeoutError:
                raise Unavailable("SB-5051", limit_s=int(self._limits.deadline_s)) from None
            except (EOFError, OSError, ValueError) as failure:
                log.warning("adding worker: %s", type(failure).__name__)
                raise Unavailable("SB-5050") from None
        if "code" in answer:
            raise BY_NAME[answer["failed"]](answer["code"], **answer["facts"])
        if "failed" in answer:
            log.warning("adding worker: %s", answer["failed"])
            raise Unavailable("SB-5050")
        return summed
