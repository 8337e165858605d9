"""Without the list of who may call what, any certificate of the authority opens every method."""

from __future__ import annotations

from sandbox.rpc.guard import Guard


def apply() -> None:
    Guard._check_role = lambda self, method, peer: None  # type: ignore[method-assign]
