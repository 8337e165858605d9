"""Without a bound on the line: whoever asks is let in."""

from __future__ import annotations


def apply() -> None:
    from nodes import workers

    def any_room(self: workers.Turns) -> None:
        return None

    workers.Turns.require_room = any_room  # type: ignore[method-assign]
