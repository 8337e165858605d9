"""Count a person at one node only."""

from __future__ import annotations

from typing import Any

from sandbox.sql.measures import Measures

made = Measures.__init__


def apply() -> None:
    def once(self: Measures, *given: Any) -> None:
        made(self, *given)
        self._reach = self._cap

    Measures.__init__ = once  # type: ignore[method-assign]
