"""Take the word of whoever may write in the node's folder, though owners are registered."""

from __future__ import annotations

from typing import Any

from nodes.owners import Owners


def apply() -> None:
    def authorise(self: Any, act: object, subject: str, signed: object) -> str:
        return str(self._node)

    Owners.authorise = authorise  # type: ignore[method-assign, assignment]
