"""Files that joins leave in a node's own folder: written whole, or not at all.

A worker writes beside the final name, and the node renames what is complete and on disk. What a crash
left unfinished is wiped at the next start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = "joined"
UNFINISHED = ".unfinished"


class JoinedFiles:
    """A folder of a node, nobody's but its owner's: `joined` has the ids that matched."""

    def __init__(self, node: Path, folder: str = FOLDER) -> None:
        self.folder = node / folder
        for left in self.folder.glob(f"*{UNFINISHED}"):
            left.unlink()

    @contextmanager
    def writing(self, job: str, ending: str) -> Iterator[Path]:
        """Yield where a worker writes a job's file; within JOB.ending it is whole, or there is none."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        unfinished = self.folder / f"{job}{UNFINISHED}"
        try:
            yield unfinished
            unfinished.rename(self.folder / f"{job}.{ending}")
            self._sync()
        finally:
            unfinished.unlink(missing_ok=True)

    def remove(self, job: str, ending: str) -> None:
        """Remove a job's file, if there is one."""
        (self.folder / f"{job}.{ending}").unlink(missing_ok=True)

    def _sync(self) -> None:
        """Put the file's name on disk, too: the log is going to say that it is there."""
        opened = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
