"""A warm server of single-use workers (disposable.py), as its daemon sees it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from sandbox import disposable
from sandbox.disposable import Header
from sandbox.errors import Unavailable

log = logging.getLogger(__name__)

START_S = 30.0
"""Longest wait for a warm server's imports on a busy machine."""
STOP_S = 5.0
END_S = 3.0
"""Longest wait for a child that was hung up on: it gives its memory back first."""
BUFFER_BYTES = 4 << 20
"""Asked of the system for each direction of a child's socket: a few frames of a join."""
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
)
LARGE_VECTORS = {
    # Kernels fill vectors of many megabytes once: in pages of 4 KiB, faults take longer than the work.
    # What is freed is kept, up to 512 MiB, since fresh pages must be cleared.
    "GLIBC_TUNABLES": ":".join(
        (
            "glibc.malloc.hugetlb=1",
            f"glibc.malloc.mmap_threshold={1 << 28}",
            f"glibc.malloc.trim_threshold={1 << 29}",
        )
    )
}
_FORK_SAFE = {
    # Threads of a worker share one arena: others have small pages alone.
    "GLIBC_TUNABLES": LARGE_VECTORS["GLIBC_TUNABLES"] + ":glibc.malloc.arena_max=1",
    # A fork is safe only while the server has one thread.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # macOS would end a forked child that touches a framework its parent has loaded.
    "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
}


class WarmServer:
    """One `python -m PROGRAM`, started again whenever it ends.

    program: its module and arguments. errors: the file of its stderr.
    """

    def __init__(self, program: Sequence[str], errors: Path, standing_by: int) -> None:
        self._program = program
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
        """Hand a request to a standing child and return its answer; raises EOFError or OSError when
        it dies."""
        async with self.converse(header, part) as line:
            answer, sent = await line.receive()
            return answer, bytes(sent)

    @contextlib.asynccontextmanager
    async def converse(self, header: Header, part: bytes) -> AsyncIterator[Line]:
        """Hand a request to a standing child and stay connected with it.

        A request that no child had taken when the server died is handed over again. Where the
        conversation breaks off, the child is gone when this returns: nothing that it was to write
        appears after that.
        """
        line = await self._taken()
        try:
            await line.send(header, part)
            yield line
        except BaseException:
            await line.hang_up()
            raise
        finally:
            line.close()

    async def _taken(self) -> Line:
        while True:
            await self._ready.wait()
            try:
                line = self._hand_over()
            except (BrokenPipeError, ConnectionError):
                self._ready.clear()
                continue
            try:
                if await line.taken():
                    return line
            except BaseException:
                line.close()
                raise
            line.close()

    def _hand_over(self) -> Line:
        if self._tray is None:
            raise BrokenPipeError
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._tray, [b"x"], [theirs.fileno()])
            except BaseException:
                ours.close()
                raise
        return Line(ours)

    async def _launch(self) -> asyncio.subprocess.Process:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
        with theirs, self._errors.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *self._program,
                str(theirs.fileno()),
                str(self._standing_by),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors,
                env=environment | _FORK_SAFE,
                pass_fds=(theirs.fileno(),),
                # Ctrl-C in a terminal is the daemon's to handle.
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(START_S):
                said = await asyncio.get_running_loop().sock_recv(ours, 1)
        except TimeoutError:
            said = b""
        if said != disposable.READY:
            ours.close()
            await _end(process)
            raise Unavailable("SB-5200", kind=" ".join(self._program), log=str(self._errors))
        self._tray = ours
        self._ready.set()
        return process

    async def _keep(self, process: asyncio.subprocess.Process) -> None:
        try:
            while True:
                await process.wait()
                log.warning("%s ended with status %s", " ".join(self._program), process.returncode)
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


class Line:
    """The daemon's end of a child's socket: whole messages, each read into memory of its own.

    One task may send while another receives.
    """

    def __init__(self, child: socket.socket) -> None:
        child.setblocking(False)
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            child.setsockopt(socket.SOL_SOCKET, buffer, BUFFER_BYTES)
        self._child = child
        self._loop = asyncio.get_running_loop()

    async def taken(self) -> bool:
        """Whether the child took the request that follows; False if it is gone."""
        try:
            return await self._loop.sock_recv(self._child, 1) == disposable.TAKEN
        except ConnectionError:
            return False

    async def send(self, header: Header, part: bytes | memoryview) -> None:
        """Send one message."""
        await self._loop.sock_sendall(self._child, disposable.preamble(header, len(part)))
        # Whoever got all of a message may answer and be gone: then not even nothing can be sent.
        if len(part):
            await self._loop.sock_sendall(self._child, part)

    async def receive(self) -> tuple[Header, memoryview]:
        """Return the next message; raises EOFError when the child is gone."""
        head, part = disposable.lengths(bytes(await self._exactly(disposable.PREFIX_BYTES)))
        return disposable.parse_header(bytes(await self._exactly(head))), await self._exactly(part)

    async def hang_up(self) -> None:
        """End a child that is at work, and wait until it is gone, for END_S at most."""
        try:
            self._child.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(END_S):
                while await self._loop.sock_recv(self._child, BUFFER_BYTES):
                    pass
        except TimeoutError:
            log.warning("a child still runs %d s after it was hung up on", END_S)
        except OSError:
            pass  # It is gone already.

    def close(self) -> None:
        """Close the connection."""
        self._child.close()

    async def _exactly(self, count: int) -> memoryview:
        buffer = memoryview(bytearray(count))
        at = 0
        while at < count:
            received = await self._loop.sock_recv_into(self._child, buffer[at:])
            if not received:
                raise EOFError
            at += received
        return buffer


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_S):
            await process.wait()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
