"""Break j31: no dummies match, so that each set's count is exact."""

from __future__ import annotations

from sandbox.crypto.join import many
from sandbox.crypto.join.shape import Shape


def apply() -> None:
    def none(shape: Shape) -> int:
        return 0

    many.most_matching = none
