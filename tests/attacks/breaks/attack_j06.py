"""Break j06: a dealer believes the member that it hears first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.crypto.join import dealer
from sandbox.crypto.join.shape import Shape


def apply() -> None:
    def first(stated: Mapping[str, Sequence[Shape]]) -> list[Shape]:
        return [*next(iter(stated.values()))]

    dealer._agreed = first
