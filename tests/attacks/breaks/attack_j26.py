"""Break j26: a node signs whatever roster of a job it is shown, with whatever keys."""

from __future__ import annotations

from typing import Any

from nodes.tasks import Tasks


def apply() -> None:
    def trusting(self: Tasks, *_: Any) -> None:
        pass

    Tasks._check_roster = trusting  # type: ignore[method-assign]
