"""Break 38: always the same number of dummies matches."""

from __future__ import annotations

from nodes import joining
from sandbox.privacy.allocate import MatchingNoise
from sandbox.privacy.noise import Sampler


def apply() -> None:
    def half(noise: MatchingNoise, sampler: Sampler) -> int:
        return noise.most_dummies // 2

    joining.draw_matching = half
