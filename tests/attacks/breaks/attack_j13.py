"""Break j13: a node says what failed in its worker."""

from __future__ import annotations

from nodes import tasks
from nodes.workers import Workers
from sandbox.disposable import Header
from sandbox.errors import SandboxError, Unavailable


def apply() -> None:
    def telling(kind: str, subject: str, answer: Header) -> None:
        if failed := answer.get("failed"):
            raise Unavailable("SB-5202" if failed == "TrustError" else "SB-5201")

    def as_it_is(error: Exception) -> SandboxError:
        return error if isinstance(error, SandboxError) else Unavailable("SB-5203")

    Workers._raise_if_failed = staticmethod(telling)  # type: ignore[method-assign]
    tasks._closed = as_it_is
