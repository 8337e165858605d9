"""Without the keyed check slots, a flipped bit changes the answer in silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sandbox.crypto import he, rings
from sandbox.crypto.rings import Ring, Slots


def apply() -> None:
    def unframe(slots: Slots, ring: Ring, length: int, **_: Any) -> Sequence[int]:
        (row,) = slots
        return rings._centred([row[:length].tolist()], ring)

    he.unframe = unframe  # type: ignore[assignment]
