"""Without a bound on the line: whoever asks is let in."""

from __future__ import annotations


def apply() -> None:
    from nodes import turns

    def any_room(self: turns.Turns) -> None:
        return None

    turns.Turns.require_room = any_room  # type: ignore[method-assign]
