"""Break j28: a node does not look at which job the others offered for."""

from __future__ import annotations

from typing import Any

from nodes.tasks import Tasks


def apply() -> None:
    def trusting(self: Tasks, *_: Any) -> None:
        pass

    Tasks._check_roster = trusting  # type: ignore[method-assign]
