"""The node's side of its single-use workers: a fair queue, limits, and one closed error.

Rows are read and ciphertext is made in processes that serve one request and die; what kills one
does not touch the node. At most `active` run at a time, taken from researchers in turn; a queue
that is full refuses at once. A failure reaches a peer as SB-5201 and nothing else: what failed
could depend on rows. The owner's log gets the class of the failure.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from nodes import sources, worker_main
from nodes.frames import Frames, carry
from nodes.sources import Source
from nodes.turns import Turns
from nodes.worker_main import ENCRYPTION, FRAGMENT, JOIN
from sandbox.disposable import Header
from sandbox.errors import StateError, Unavailable
from sandbox.sql.algebra import Plan
from sandbox.sql.compile import fragment_sql, vector_from_rows
from sandbox.warm_server import WarmServer

if TYPE_CHECKING:
    from sandbox.config import NodeConfig
    from sandbox.crypto.rings import Ring, Slots

log = logging.getLogger(__name__)

TEMP = Path("workers", "temp")
"""Where rows may be spilled to disk, in the node's folder: wiped at every start."""


@dataclass(frozen=True)
class Limits:
    """What requests may use. `active`: at once; `waiting`: in line until there is no room. Of each,
    memory_bytes: DuckDB's memory, the process may map twice that and 1 GiB more; temp_bytes: what
    it may spill into the node's folder; threads: DuckDB's, and a join's kernels'."""

    active: int = 2
    waiting: int = 256
    deadline_s: float = 60.0
    memory_bytes: int = 1 << 30
    temp_bytes: int = 8 << 30
    threads: int = 2
    join_deadline_s: float = 900.0

    @classmethod
    def of(cls, config: NodeConfig) -> Limits:
        """Return the limits that a node's owner configured."""
        return cls(
            active=config.workers_active,
            threads=config.worker_threads,
            memory_bytes=config.worker_memory_mb << 20,
            temp_bytes=config.temp_limit_mb << 20,
        )


@dataclass(frozen=True)
class FragmentRequest:
    """A node's row-level part of one job: `plan`'s fragment over `dataset`, read from `source`."""

    researcher: str
    dataset: str
    source: Source
    plan: Plan


@dataclass(frozen=True)
class JoinRequest:
    """A node's side of one join. document: what join_worker.run reads, beside source and limits;
    secrets: its agreements with the other members, 32 bytes each in the document's order; run_s: for
    how many seconds it may run, if that is more than the limits say; reserved_bytes: what it spills
    whatever rows there are (spilling.py)."""

    researcher: str
    dataset: str
    source: Source
    document: Header
    secrets: bytes = field(repr=False)
    run_s: int
    reserved_bytes: int = 0


class Workers:
    """Three warm servers, one for each kind of work: `async with Workers(folder) as workers`."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._temp = folder / TEMP
        self._folder = self._temp.parent
        self._turns = Turns(self._limits.active, self._limits.waiting)
        self._servers = {
            kind: WarmServer(
                (worker_main.__name__, kind), self._folder / f"{kind}.log", self._limits.active + 2
            )
            for kind in (FRAGMENT, ENCRYPTION, JOIN)
        }

    async def __aenter__(self) -> Self:
        """Wipe what a crash left behind and start; raises Unavailable SB-5200 if that fails."""
        shutil.rmtree(self._temp, ignore_errors=True)
        self._temp.mkdir(parents=True, mode=0o700)
        try:
            await asyncio.gather(*(server.start() for server in self._servers.values()))
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers.values()))
        shutil.rmtree(self._temp, ignore_errors=True)

    def require_room(self) -> None:
        """Raise Unavailable SB-5202 if a request would be refused now: asked before any charge."""
        self._turns.require_room()

    async def sum_fragment(
        self, request: FragmentRequest, deadline_s: float | None = None
    ) -> list[int]:
        """Return a fragment's integers; raises Unavailable SB-5201 for whatever fails.

        deadline_s: seconds of run time, the limits' own if absent.
        """
        async with self._turns.turn(request.researcher):
            with tempfile.TemporaryDirectory(dir=self._temp) as temp:
                header = {
                    "source": sources.to_document(request.source),
                    "columns": [column.name for column in request.plan.table.card.columns],
                    "sql": fragment_sql(request.plan, sources.RELATION),
                    "settings": self._settings(temp, self._limits.temp_bytes),
                }
                answer, _ = await self._ask(FRAGMENT, request.dataset, header, b"", deadline_s)
        return vector_from_rows(request.plan, answer["rows"])

    async def join(self, request: JoinRequest, frames: Frames) -> tuple[Header, bytes]:
        """Run one side of a join, its frames carried by `frames`; returns what join_worker.run answers.

        Raises Unavailable SB-5201 for whatever fails, a peer or coordinator that is gone included.
        It has the line then, or its worker has ended and what that spilled is gone.
        """
        try:
            return await frames.while_carried(self._join(request, frames))
        except EOFError:
            log.warning("join of %s: hung up on", request.dataset)
            raise Unavailable("SB-5201") from None

    async def _join(self, request: JoinRequest, frames: Frames) -> tuple[Header, bytes]:
        deadline_s = max(self._limits.join_deadline_s, request.run_s)
        async with self._turns.turn(request.researcher):
            with tempfile.TemporaryDirectory(dir=self._temp) as temp:
                spare = self._limits.temp_bytes - request.reserved_bytes
                # DuckDB may spill as well, while and after rows are read.
                of_each = max(0, spare // 2) if request.reserved_bytes else spare
                header = {
                    "source": sources.to_document(request.source),
                    "settings": self._settings(temp, of_each),
                    "temp_bytes": of_each,
                    "threads": self._limits.threads,
                    **request.document,
                    **self._confinement(deadline_s),
                }
                try:
                    async with (
                        asyncio.timeout(deadline_s),
                        self._servers[JOIN].converse(header, request.secrets) as line,
                    ):
                        answer, part = await carry(frames, line)
                except (TimeoutError, EOFError, OSError, ValueError) as failure:
                    log.warning("join worker for %s: %s", request.dataset, type(failure).__name__)
                    raise Unavailable("SB-5201") from None
        self._raise_if_failed(JOIN, request.dataset, answer)
        return answer, bytes(part)

    async def encrypt(
        self, researcher: str, contexts: bytes, ring: Ring, length: int, slots: Slots
    ) -> bytes:
        """Return the enveloped ciphertexts of masked slots; raises Unavailable SB-5201."""
        header = {"ring": ring.name, "length": length, "contexts": len(contexts)}
        part = contexts + slots.astype("<u8").tobytes()
        async with self._turns.turn(researcher):
            _, ciphertext = await self._ask(ENCRYPTION, ring.name, header, part, None)
        return ciphertext

    def _settings(self, temp: str, temp_bytes: int) -> dict[str, str | int]:
        return {
            "memory_limit": f"{self._limits.memory_bytes}B",
            "threads": self._limits.threads,
            "temp_directory": temp,
            "max_temp_directory_size": f"{temp_bytes}B",
        }

    async def _ask(
        self, kind: str, subject: str, header: Header, part: bytes, deadline_s: float | None
    ) -> tuple[Header, bytes]:
        """Let a worker answer; subject: what the owner's log calls the request."""
        deadline_s = deadline_s or self._limits.deadline_s
        try:
            async with asyncio.timeout(deadline_s):
                answer, received = await self._servers[kind].ask(
                    {**header, **self._confinement(deadline_s)}, part
                )
        except (TimeoutError, EOFError, OSError, ValueError) as failure:
            log.warning("%s worker for %s: %s", kind, subject, type(failure).__name__)
            raise Unavailable("SB-5201") from None
        self._raise_if_failed(kind, subject, answer)
        return answer, received

    def _confinement(self, deadline_s: float) -> Header:
        return {
            "deadline_s": deadline_s,
            "memory_bytes": 2 * self._limits.memory_bytes + (1 << 30),
        }

    @staticmethod
    def _raise_if_failed(kind: str, subject: str, answer: Header) -> None:
        failed = answer.get("failed")
        if failed == sources.SourceChanged.__name__:
            log.warning("%s", StateError("SB-6024", dataset=subject))
        elif failed:
            log.warning("%s worker for %s: %s", kind, subject, answer.get("code", failed))
        if failed:
            raise Unavailable("SB-5201")
