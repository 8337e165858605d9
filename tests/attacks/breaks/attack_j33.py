"""Break j33: a member masks every product with one seed."""

from __future__ import annotations

from sandbox.crypto.join import many, manydealer

own_seed = many.seed_of


def apply() -> None:
    def same(seed: bytes, product: int) -> bytes:
        return own_seed(seed, 0)

    many.seed_of = same
    manydealer.seed_of = same  # type: ignore[attr-defined]
