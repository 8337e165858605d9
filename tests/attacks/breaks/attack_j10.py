"""Break j10: tags leave in the order of the rows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from sandbox import _native
from sandbox.crypto.join import pool


def apply() -> None:
    def in_order(seed: bytes, items: int) -> memoryview:
        return memoryview(np.arange(items, dtype="<u4").tobytes())

    changed = SimpleNamespace(**vars(_native))
    changed.permutation = in_order
    pool._native = changed  # type: ignore[attr-defined, assignment]
