"""Break j34: a member takes the slots that it is given, or others that fit, without a word."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from sandbox import _native
from sandbox.crypto.join import blind, many


def apply() -> None:
    def trusting(total: int, slots: bytes, order: memoryview) -> _native.Placement:
        any_slots = np.arange(len(slots) // blind.SLOT_BYTES, dtype="<u4").tobytes()
        return _native.Placement(total, any_slots, order)

    changed = SimpleNamespace(**vars(_native))
    changed.Placement = trusting
    many._native = changed  # type: ignore[attr-defined, assignment]
