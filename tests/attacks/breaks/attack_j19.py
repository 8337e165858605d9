"""Break j19: a receiver's set is as large as it is, not as its card says."""

from __future__ import annotations

from dataclasses import replace

from sandbox.crypto.join import psi
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.machine import Entropy, Machine
from sandbox.crypto.join.shape import TAG_BYTES

receiver, sender = psi.receiver, psi.sender


def apply() -> None:
    told: dict[bytes, int] = {}

    def small(
        sizes: psi.Sizes, bucket: int, pair: Pair, keys: psi.Keys, entropy: Entropy
    ) -> Machine[psi.Compared]:
        told[pair.transcript] = len(keys()) // TAG_BYTES or 1
        sizes = replace(sizes, receiver=told[pair.transcript])
        return (yield from receiver(sizes, bucket, pair, keys, entropy))

    def knowing(
        sizes: psi.Sizes, bucket: int, pair: Pair, keys: psi.Keys, entropy: Entropy
    ) -> Machine[None]:
        sizes = replace(sizes, receiver=told[pair.transcript])
        yield from sender(sizes, bucket, pair, keys, entropy)

    psi.receiver, psi.sender = small, knowing
