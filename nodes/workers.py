"""The node's side of its single-use workers: a fair queue, limits, and one closed error.

Rows are read and ciphertext is made in processes that serve one request and die; what kills one
does not touch the node. At most `active` run at a time, taken from researchers in turn; a queue
that is full refuses at once. A failure reaches a peer as SB-5201 and nothing else: what failed
could depend on rows. The owner's log gets the class of the failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import sys
import tempfile
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from nodes import sources, worker_main
from nodes.sources import Source
from nodes.worker_main import ENCRYPTION, FRAGMENT, Header
from sandbox.errors import StateError, Unavailable
from sandbox.sql.algebra import Plan
from sandbox.sql.compile import fragment_sql, vector_from_rows

if TYPE_CHECKING:
    from sandbox.config import NodeConfig
    from sandbox.crypto.rings import Ring, Slots

log = logging.getLogger(__name__)

TEMP = Path("workers", "temp")
"""Where rows may be spilled to disk, in the node's folder: wiped at every start."""
START_S = 30.0
"""Longest wait for a warm server's imports on a busy machine."""
STOP_S = 5.0
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
)
_FORK_SAFE = {
    # A fork is safe only while the server has one thread.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # macOS would end a forked child that touches a framework its parent has loaded.
    "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
}


@dataclass(frozen=True)
class Limits:
    """What requests may use. `active`: at once; `waiting`: in line until there is no room. Of each,
    memory_bytes: DuckDB's memory, the process may map twice that and 1 GiB more; temp_bytes: what
    it may spill into the node's folder."""

    active: int = 2
    waiting: int = 256
    deadline_s: float = 60.0
    memory_bytes: int = 1 << 30
    temp_bytes: int = 4 << 30
    threads: int = 2

    @classmethod
    def of(cls, config: NodeConfig) -> Limits:
        """Return the limits that a node's owner configured."""
        return cls(
            active=config.workers_active,
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


class Workers:
    """Two warm servers, one for each kind of work: `async with Workers(folder) as workers`."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._temp = folder / TEMP
        self._folder = self._temp.parent
        self._turns = Turns(self._limits.active, self._limits.waiting)
        self._servers = {
            kind: WarmServer(kind, self._folder / f"{kind}.log", self._limits.active + 2)
            for kind in (FRAGMENT, ENCRYPTION)
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
                    "settings": self._settings(temp),
                }
                answer, _ = await self._ask(FRAGMENT, request.dataset, header, b"", deadline_s)
        return vector_from_rows(request.plan, answer["rows"])

    async def encrypt(
        self, researcher: str, contexts: bytes, ring: Ring, length: int, slots: Slots
    ) -> bytes:
        """Return the enveloped ciphertexts of masked slots; raises Unavailable SB-5201."""
        header = {"ring": ring.name, "length": length, "contexts": len(contexts)}
        part = contexts + slots.astype("<u8").tobytes()
        async with self._turns.turn(researcher):
            _, ciphertext = await self._ask(ENCRYPTION, ring.name, header, part, None)
        return ciphertext

    def _settings(self, temp: str) -> dict[str, str | int]:
        return {
            "memory_limit": f"{self._limits.memory_bytes}B",
            "threads": self._limits.threads,
            "temp_directory": temp,
            "max_temp_directory_size": f"{self._limits.temp_bytes}B",
        }

    async def _ask(
        self, kind: str, subject: str, header: Header, part: bytes, deadline_s: float | None
    ) -> tuple[Header, bytes]:
        """Let a worker answer; subject: what the owner's log calls the request."""
        deadline_s = deadline_s or self._limits.deadline_s
        limits = {
            "deadline_s": deadline_s,
            "memory_bytes": 2 * self._limits.memory_bytes + (1 << 30),
        }
        try:
            async with asyncio.timeout(deadline_s):
                answer, received = await self._servers[kind].ask({**header, **limits}, part)
        except (TimeoutError, EOFError, OSError, ValueError) as failure:
            log.warning("%s worker for %s: %s", kind, subject, type(failure).__name__)
            raise Unavailable("SB-5201") from None
        failed = answer.get("failed")
        if failed == worker_main.SourceChanged.__name__:
            log.warning("%s", StateError("SB-6024", dataset=subject))
        elif failed:
            log.warning("%s worker for %s: %s", kind, subject, failed)
        if failed:
            raise Unavailable("SB-5201")
        return answer, received


class WarmServer:
    """One `python -m nodes.worker_main`, started again whenever it ends."""

    def __init__(self, kind: str, errors: Path, standing_by: int) -> None:
        self._kind = kind
        self._errors = errors
        self._standing_by = standing_by
        self._tray: socket.socket | None = None
        self._guard: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def start(self) -> None:
        """Start the process and wait until it stands by; raises Unavailable SB-5200."""
        process = await self._launch()
        self._guard = asyncio.create_task(self._keep(process))

    async def stop(self) -> None:
        """End the process and its children."""
        if self._guard is not None:
            self._guard.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._guard
            self._guard = None

    async def ask(self, header: Header, part: bytes) -> tuple[Header, bytes]:
        """Hand a request to a standing child; raises EOFError or OSError when it dies.

        A request that no child had taken when the server died is handed over again.
        """
        while True:
            await self._ready.wait()
            try:
                reader, writer = await self._hand_over()
            except (BrokenPipeError, ConnectionError):
                self._ready.clear()
                continue
            try:
                if await reader.read(1) != worker_main.TAKEN:
                    continue
                writer.write(worker_main.message(header, part))
                await writer.drain()
                head, tail = worker_main.lengths(await reader.readexactly(worker_main.PREFIX_BYTES))
                return (
                    worker_main.parse_header(await reader.readexactly(head)),
                    await reader.readexactly(tail),
                )
            finally:
                # Hanging up also ends a child that is still at work.
                writer.transport.abort()

    async def _hand_over(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._tray is None:
            raise BrokenPipeError
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._tray, [b"x"], [theirs.fileno()])
            except BaseException:
                ours.close()
                raise
        return await asyncio.open_unix_connection(sock=ours)

    async def _launch(self) -> asyncio.subprocess.Process:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
        arguments = (self._kind, str(theirs.fileno()), str(self._standing_by))
        with theirs, self._errors.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                worker_main.__name__,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors,
                env=environment | _FORK_SAFE,
                pass_fds=(theirs.fileno(),),
                # Ctrl-C in a terminal is the node's to handle.
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(START_S):
                said = await asyncio.get_running_loop().sock_recv(ours, 1)
        except TimeoutError:
            said = b""
        if said != worker_main.READY:
            ours.close()
            await _end(process)
            raise Unavailable("SB-5200", kind=self._kind, log=str(self._errors))
        self._tray = ours
        self._ready.set()
        return process

    async def _keep(self, process: asyncio.subprocess.Process) -> None:
        try:
            while True:
                await process.wait()
                log.warning("%s server ended with status %s", self._kind, process.returncode)
                self._put_away()
                process = await self._relaunch()
        finally:
            self._put_away()
            await _end(process)

    async def _relaunch(self) -> asyncio.subprocess.Process:
        pause_s = 0.1
        while True:
            try:
                return await self._launch()
            except (Unavailable, OSError):
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, 10.0)

    def _put_away(self) -> None:
        """Close the tray: children that stand by see it and exit."""
        self._ready.clear()
        if self._tray is not None:
            self._tray.close()
            self._tray = None


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_S):
            await process.wait()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


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
