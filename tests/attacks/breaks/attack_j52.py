"""Break j52: a coordinator matches whatever members say they will send."""

from __future__ import annotations

from sandbox.crypto.join.dealer import Room


def apply() -> None:
    def anything(self: Room, rows: int) -> None:
        """Ask nothing."""

    Room.require = anything  # type: ignore[method-assign]
