"""Let sums be what they are."""

from __future__ import annotations

from collections.abc import Sequence

from nodes import sharing
from sandbox.sql.algebra import Plan


def apply() -> None:
    def as_it_is(sums: Sequence[int], plan: Plan) -> list[int]:
        return list(sums)

    sharing.saturate = as_it_is
