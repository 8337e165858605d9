"""Break j50: a bucket has as many keys as there are rows for it."""

from __future__ import annotations

from nodes import psi_rows
from sandbox.crypto.join.shape import TAG_BYTES


def apply() -> None:
    def as_they_are(tags: memoryview, most: int) -> memoryview:
        return tags[: TAG_BYTES * most]

    psi_rows.filled = as_they_are
