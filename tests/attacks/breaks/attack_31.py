"""Add noise in floating point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nodes import sharing
from sandbox.privacy.noise import Law, Sampler


def apply() -> None:
    def drawn(sampler: Sampler, laws: Sequence[Law], plan: Any) -> list[float]:
        return [
            draw / 3
            for law, measure in zip(laws, plan.measures, strict=True)
            for draw in sampler.draw(law, plan.cells * measure.width)
        ]

    sharing.draw = drawn  # type: ignore[assignment]
