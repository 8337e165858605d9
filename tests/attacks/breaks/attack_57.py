"""Without the limits of a request: it may take what it likes, for as long as it likes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path


def apply() -> None:
    from nodes import workers

    limited = workers.Workers.__init__

    def unlimited(self: workers.Workers, folder: Path, limits: workers.Limits) -> None:
        most = {"deadline_s": 100.0, "memory_bytes": 8 << 30, "temp_bytes": 8 << 30}
        limited(self, folder, replace(limits, **most))

    workers.Workers.__init__ = unlimited  # type: ignore[assignment, method-assign]
