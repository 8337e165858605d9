"""Draw noise an eighth as wide as the plan demands."""

from __future__ import annotations

from sandbox.privacy.allocate import NoisePlan
from sandbox.privacy.noise import Law

full = NoisePlan.node_law


def apply() -> None:
    def thin(plan: NoisePlan, measure: int, pinned: int, h: int) -> Law:
        law = full(plan, measure, pinned, h)
        return Law(law.mechanism, law.scale / 8)

    NoisePlan.node_law = thin  # type: ignore[method-assign]
