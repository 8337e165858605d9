"""The peak memory of the processes that a measurement starts, the same way for every system (Linux)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

LOOK_S = 0.05


class Peak:
    """Watches all descendants of this process, this one excluded, while the block runs.

    The kernel keeps each process's own peak, which is started anew for those that run already; a
    look every LOOK_S therefore misses only what a process does in its last moments. A child that is
    about to run its program still has this process's memory and command, and does not count.
    """

    def __init__(self) -> None:
        self.mib: dict[bytes, float] = {}
        """The peak of any process, by the command line that runs in it."""
        self._end = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    @property
    def largest_mib(self) -> float:
        """The peak of the largest process."""
        return max(self.mib.values(), default=0.0)

    def __enter__(self) -> Peak:
        for pid in _descendants(os.getpid()):
            with suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._watcher.join()

    def _watch(self) -> None:
        own = _command(os.getpid())
        while True:
            for pid in _descendants(os.getpid()):
                command = _command(pid)
                if command != own:
                    self.mib[command] = max(self.mib.get(command, 0.0), _peak_mib(pid))
            if self._end.wait(LOOK_S):
                return


def _descendants(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                for child in (task / "children").read_text("ascii").split():
                    yield int(child)
                    yield from _descendants(int(child))


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _peak_mib(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0
