"""Files without a name: what exceeds memory goes there, and is gone with whoever holds it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

Scratch = Callable[[], BinaryIO]
"""Returns an empty file that nobody else can open and that ends with its holder."""


def scratch_in(folder: Path) -> Scratch:
    """Return what opens such files on the disk of `folder`: unlinked, 0600, gone after a crash."""

    def opened() -> BinaryIO:
        return tempfile.TemporaryFile(dir=folder)

    return opened
