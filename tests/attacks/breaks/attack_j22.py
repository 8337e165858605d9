"""Break j22: what was allowed at the offer counts, whatever changed since."""

from __future__ import annotations

from nodes.tasks import Accepted, Tasks


def apply() -> None:
    def trusting(self: Tasks, accepted: Accepted) -> None:
        """Hold nothing again."""

    Tasks._hold_again = trusting  # type: ignore[method-assign]
