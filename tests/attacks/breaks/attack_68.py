"""Without release slots, a share leaves as soon as the rows allow."""

from __future__ import annotations

from nodes import tasks


def apply() -> None:
    async def at_once(received: float, slot: int) -> None:
        return None

    tasks._hold = at_once
