"""Without the keyed check slots, a sum of fewer shares passes for the sum."""

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
