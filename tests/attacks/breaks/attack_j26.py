"""Break j26: a node signs whatever roster of a job it is shown, with whatever keys."""

from __future__ import annotations

from typing import Any

from nodes.rosters import Rosters


def apply() -> None:
    def trusting(self: Rosters, *_: Any) -> None:
        pass

    Rosters._check = trusting  # type: ignore[method-assign]
