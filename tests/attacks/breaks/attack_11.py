"""Read Arrow from a peer somewhere."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nodes


def apply() -> None:
    folder = Path(tempfile.mkdtemp())
    (folder / "shortcut.py").write_text(
        "import pyarrow\n\n\ndef rows(share):\n    return pyarrow.ipc.open_stream(share).read_all()\n",
        encoding="utf-8",
    )
    nodes.__path__.append(str(folder))
