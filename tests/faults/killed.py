"""A real coordinator or node that kills itself at a crash point: python killed.py ROLE FOLDER.

While FOLDER/kill-at exists, the process ends by SIGKILL as soon as it reaches a crash point that
stands on a line there ("ACT: begun|written|committed" of sandbox/database.py, or "sent": a share's
last byte was handed to the transport). The line is removed first, so that the next start gets further.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sandbox import database
from sandbox.database import Step
from tests.attacks import broken

KILL_AT = "kill-at"


def crash_at(folder: Path) -> Callable[[str], None]:
    """Return what each crash point calls."""

    def reached(point: str) -> None:
        armed = folder / KILL_AT
        points = armed.read_text().splitlines() if armed.exists() else []
        if point in points:
            points.remove(point)
            armed.write_text("\n".join(points))
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def main() -> int:
    """Serve FOLDER as ROLE with crash points."""
    role, folder = sys.argv[1], Path(sys.argv[2])
    if broken.active():
        broken.apply(broken.active())
    reached = crash_at(folder)
    opened = database.Database.__init__

    def armed(self: database.Database, file: Path, steps: Sequence[Step], _: Any = None) -> None:
        opened(self, file, steps, reached)

    database.Database.__init__ = armed  # type: ignore[assignment, method-assign]
    if role == "coordinator":
        from sandbox.coordinator.server import serve as serve_coordinator

        return serve_coordinator(folder)
    from nodes import server

    compute = server.NodeService.Compute

    async def sending(self: server.NodeService, request: Any, context: Any) -> AsyncIterator[Any]:
        async for part in compute(self, request, context):
            yield part
        reached("sent")

    server.NodeService.Compute = sending  # type: ignore[assignment, method-assign]
    return server.serve(folder)


if __name__ == "__main__":
    sys.exit(main())
