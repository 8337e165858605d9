"""Break j28: a node does not look at which job the others offered for."""

from __future__ import annotations

from typing import Any

from nodes.rosters import Rosters


def apply() -> None:
    def trusting(self: Rosters, *_: Any) -> None:
        pass

    Rosters._check = trusting  # type: ignore[method-assign]
