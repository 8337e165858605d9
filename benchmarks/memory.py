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

    A look must not take from what is measured: it asks processes that are known for children of their
    main threads alone, which start all that start during a run.
    """

    def __init__(self) -> None:
        self.mib: dict[bytes, float] = {}
        """The peak of any process, by the command line that runs in it."""
        self._known: set[int] = set()
        self._end = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    @property
    def largest_mib(self) -> float:
        """The peak of the largest process."""
        return max(self.mib.values(), default=0.0)

    def __enter__(self) -> Peak:
        self._known = {*_descendants(os.getpid())}
        for pid in self._known:
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
            for parent in (os.getpid(), *self._known):
                for child in {*_children(parent, parent)} - self._known:
                    self._known |= {child, *_descendants(child)}
            for pid in self._known:
                command = _command(pid)
                if command != own:
                    self.mib[command] = max(self.mib.get(command, 0.0), _peak_mib(pid))
            if self._end.wait(LOOK_S):
                return


def _descendants(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            for child in _children(pid, int(thread)):
                yield child
                yield from _descendants(child)


def _children(pid: int, thread: int) -> list[int]:
    return [*map(int, _read(f"/proc/{pid}/task/{thread}/children").split())]


def _command(pid: int) -> bytes:
    return _read(f"/proc/{pid}/cmdline")


def _peak_mib(pid: int) -> float:
    _, _, peak = _read(f"/proc/{pid}/status").partition(b"VmHWM:")
    return int(peak.split()[0]) / 1024 if peak else 0.0


def _read(file: str) -> bytes:
    """Return what a file of /proc says, nothing if its process is gone."""
    with suppress(OSError), open(file, "rb", buffering=0) as opened:
        return opened.read()
    return b""
