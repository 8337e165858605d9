"""Break j17: a sender draws the same secrets in every session."""

from __future__ import annotations

from sandbox.crypto.join import psi
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.machine import Entropy, Machine

sender = psi.sender


def apply() -> None:
    def same(
        sizes: psi.Sizes, bucket: int, pair: Pair, keys: psi.Keys, _: Entropy
    ) -> Machine[None]:
        return sender(sizes, bucket, pair, keys, bytes)

    psi.sender = same
