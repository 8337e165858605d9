"""Break j41: masks follow from the pair of members alone, not from the job."""

from __future__ import annotations

import hashlib

from sandbox.crypto.join.channel import SEED_BYTES, Pair


def apply() -> None:
    def fixed(self: Pair, purpose: str) -> bytes:
        return hashlib.sha256(purpose.encode()).digest()[:SEED_BYTES]

    Pair.seed = fixed  # type: ignore[method-assign]
