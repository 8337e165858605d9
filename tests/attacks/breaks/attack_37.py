"""Break 37: a row counts as often as the sender repeats its value, and sets may be of any size."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np

from sandbox import _native
from sandbox.crypto.join import psi


def _repeating(own: memoryview, theirs: memoryview, width: int) -> memoryview:
    found = np.frombuffer(memoryview(_native.psi_matches(own, theirs, width)), np.uint8).copy()
    values = Counter(bytes(theirs[i : i + width]) for i in range(0, len(theirs), width))
    found[: max(values.values())] = 1
    return memoryview(found.tobytes())


def apply() -> None:
    changed = SimpleNamespace(**vars(_native))
    changed.psi_matches = _repeating
    psi._native = changed  # type: ignore[attr-defined, assignment]
