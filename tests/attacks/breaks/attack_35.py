"""Without the closed code, a failure says what it was about the rows."""

from __future__ import annotations

from nodes import tasks
from sandbox.errors import SandboxError, Unavailable


def apply() -> None:
    def told(error: Exception) -> SandboxError:
        return error if isinstance(error, SandboxError) else Unavailable("SB-5203")

    tasks._closed = told
