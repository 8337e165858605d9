"""Intervals for what cannot be negative, or cannot leave a range (Feldman, Cousins 1998).

Beside a bound an interval of two equal tails covers too much (nothing can lie beyond the bound) or
is empty. Their unified one accepts, for every true value, the observations whose likelihood ratio to
the best possible value is greatest, up to the level: 95% at every true value, and never empty.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ends = tuple[Floats, Floats]
FARTHEST = 6.0
"""In standard deviations: beyond, a bound changes nothing."""


def within(
    inner: Ends, outer: Ends, bounds: tuple[float, float], level: float
) -> tuple[Floats, Floats]:
    """Return the ends of the unified intervals of something that lies within `bounds`.

    `outer`: the ends of intervals of two equal tails at `level`, `inner`: at 2 level - 1, which are
    one-sided limits at `level`. Their distances give the scale near each end.
    """
    least, most = bounds
    low, high = _beside(inner, outer, least, most - least, level)
    mirrored = _beside(_mirror(inner), _mirror(outer), -most, most - least, level)
    lower, higher = _mirror(mirrored)
    # A bound raises the end beside it, and keeps the other end from passing it.
    low = np.where(lower < outer[0], np.minimum(low, lower), low)
    high = np.where(high > outer[1], np.maximum(high, higher), higher)
    return np.clip(low, least, most), np.clip(high, least, most)


def _mirror(ends: Ends) -> Ends:
    return -ends[1], -ends[0]


def _beside(inner: Ends, outer: Ends, least: float, span: float, level: float) -> Ends:
    truths, lowest, highest = _accepted(level)
    one, two = NormalDist().inv_cdf(level), NormalDist().inv_cdf((1 + level) / 2)
    scale = np.minimum((inner[0] - outer[0]) / (two - one), span)
    x = one + (inner[0] - least) / scale
    low = np.where(x < 3, least + scale * np.interp(x, highest, truths, left=0.0), outer[0])
    scale = np.minimum((outer[1] - inner[1]) / (two - one), span)
    x = (outer[1] - least) / scale - two
    high = np.where(x < 0, least + scale * np.interp(x, lowest, truths), outer[1])
    return low, high


@lru_cache(maxsize=8)
def _accepted(level: float) -> tuple[Floats, Floats, Floats]:
    """Return true values >= 0 (in standard deviations) and the observations accepted for each."""
    truths = np.linspace(1e-3, FARTHEST, 1200)
    low, high = np.zeros_like(truths), np.full_like(truths, 10.0)
    cdf = np.vectorize(NormalDist().cdf)
    for _ in range(50):
        reach = (low + high) / 2
        least = np.where(reach <= truths, -reach, (truths**2 - reach**2) / (2 * truths) - truths)
        enough = cdf(reach) - cdf(least) >= level
        low, high = np.where(enough, low, reach), np.where(enough, reach, high)
    least = np.where(high <= truths, truths - high, (truths**2 - high**2) / (2 * truths))
    highest = np.maximum.accumulate(truths + high)
    return truths, least, highest


@lru_cache(maxsize=64)
def counts(chances: tuple[float, ...], level: float) -> tuple[Floats, Floats, Floats]:
    """Return, for a count >= 0 on the integers with noise P(k) = P(-k) = chances[|k|], k to 12
    standard deviations, the least and greatest count that accept each observation -m .. m, m =
    len(chances) - 1, and its level: that of the most likely count. Good below 5 deviations.
    """
    chance = np.array(chances)
    reach = len(chances) - 1
    observed = np.arange(-reach, reach + 1)
    best = np.where(observed > 0, chance[0], chance[np.abs(observed)])
    lowest, highest = np.full(observed.size, np.inf), np.zeros(observed.size)
    reached = np.full(observed.size, level)
    for count in range(reach * 7 // 12):
        distance = np.abs(observed - count)
        here = np.where(distance <= reach, chance[np.minimum(distance, reach)], 0.0)
        order = np.argsort(-here / np.maximum(best, 1e-300), kind="stable")
        total = np.cumsum(here[order])
        taken = int(np.searchsorted(total, level - 1e-12)) + 1
        accepted = order[:taken]
        lowest[accepted] = np.minimum(lowest[accepted], count)
        highest[accepted] = np.maximum(highest[accepted], count)
        reached[observed == count] = total[min(taken, total.size) - 1]
    reached[observed < 0] = reached[observed == 0]
    return lowest, highest, reached
