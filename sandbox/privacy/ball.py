"""The range of a statistic over a ball around the noised measures.

The radius is the noise's own quantile, so that the range holds the values whose profile likelihood
is high enough (Venzon, Moolgavkar 1988). Where a row count lies below what the statistic needs, the
distance to that is not counted (likelihood ratio to the best possible point): for an average this
is exact at every count. Second moments are curved where rows hardly stand out of the noise;
there the radius is calibrated by simulation (tests/privacy/test_coverage.py measures it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.privacy.distribution import radius
from sandbox.privacy.moments import Dual, denominators, evaluate
from sandbox.privacy.statistics import Axis, Corr, Covar, Formula, Quantile, Var

Floats = NDArray[np.float64]

DIRECTIONS = 96
ROUNDS = 12
CALIBRATION: Mapping[type[Var | Covar | Corr], tuple[tuple[float, float], tuple[float, float]]] = {
    Var: ((-0.3, 5.0), (0.8, 6.0)),
    Covar: ((-0.3, 3.5), (-0.3, 3.5)),
    Corr: ((0.4, 4.0), (0.4, 4.0)),
}
"""Change of the radius for the low and the high end: (at no rows, gone at so many times the noise)."""


@dataclass(frozen=True)
class Coordinate:
    """One noised number of every cell: its values, their standard deviation and the noise's excess
    kurtosis."""

    values: Floats
    spread: Floats
    excess: float


class Ball:
    """The ball of `level` around noised measures (by index) and estimated quantiles."""

    def __init__(
        self,
        formula: Formula,
        level: float,
        measures: Mapping[int, Coordinate],
        quantiles: Mapping[Quantile, Coordinate],
    ) -> None:
        self.formula = formula
        self.level = level
        self.measures = list(measures)
        self.quantiles = list(quantiles)
        self.least = denominators(formula)
        coordinates: Sequence[Coordinate] = [*measures.values(), *quantiles.values()]
        self.centre = np.stack([c.values for c in coordinates])[:, :, None]
        self.spread = np.maximum(np.stack([c.spread for c in coordinates])[:, :, None], 1e-300)
        self.excess = np.array([c.excess for c in coordinates])[:, None, None]
        self.stretch: Floats | float = 1.0
        self.outside = np.zeros((1, self.centre.shape[1], 1))
        for n, rows in self.least.items():
            i = self.measures.index(n)
            self.outside += np.maximum((rows - self.centre[i]) / self.spread[i], 0) ** 2

    def range(self) -> tuple[Floats, Floats]:
        """Return the least and greatest value in the ball, per cell (nan: no value anywhere)."""
        dimensions, cells, _ = self.centre.shape
        random = np.random.default_rng(0).standard_normal((dimensions, 1, DIRECTIONS))
        axes = np.concatenate((np.eye(dimensions), -np.eye(dimensions)), axis=1)[:, None, :]
        starts = np.concatenate((random, axes), axis=2)
        starts = np.broadcast_to(starts, (dimensions, cells, starts.shape[2]))
        low, high = self._climb(starts, -1.0), self._climb(starts, 1.0)
        return np.nan_to_num(low, nan=-np.inf), np.nan_to_num(high, nan=np.inf)

    def _calibrated(self, sign: float) -> Floats | float:
        """Return by what the radius is multiplied towards the high (+) or low (-) end, per cell.

        What matters is how far the rows stand out of one row's worth of noise (root mean square over
        the measures): beyond a few times that, nothing is changed.
        """
        if not isinstance(self.formula, Var | Covar | Corr):
            return 1.0
        reach = _contributions(self.formula)
        noise = np.sqrt(
            np.mean([(self.spread[self.measures.index(j)] / r) ** 2 for j, r in reach], axis=0)
        )
        rows = np.maximum(self.centre[self.measures.index(self.formula.n)], 0)
        share, until = CALIBRATION[type(self.formula)][sign > 0]
        stretched: Floats = 1 + share * np.maximum(0, 1 - rows / (noise * until))
        return stretched[None]

    def _climb(self, starts: Floats, sign: float) -> Floats:
        """Maximise sign * statistic over the sphere from the best start, by advanced mean value
        steps (the direction becomes the gradient's), each halved until it improves."""
        self.stretch = self._calibrated(sign)
        values = self._at(starts).value
        score = np.where(np.isfinite(values), sign * values, -np.inf)
        best = score.argmax(axis=1)
        cells = np.arange(score.shape[0])
        here, value = starts[:, cells, best][:, :, None], score[cells, best]
        blends = np.array([1.0, 0.5, 0.25, 0.1, 0.03])
        for _ in range(ROUNDS):
            uphill = sign * self._slope(here)
            norm = np.sqrt((uphill**2).sum(axis=0, keepdims=True))
            uphill = np.where(np.isfinite(uphill / norm), uphill / norm, 0.0)
            unit = here / np.sqrt((here**2).sum(axis=0, keepdims=True))
            trial = blends * uphill + (1 - blends) * unit
            reached = sign * self._at(trial).value
            reached = np.where(np.isfinite(reached), reached, -np.inf)
            chosen = reached.argmax(axis=1)
            better = reached[cells, chosen] > value
            value = np.where(better, reached[cells, chosen], value)
            here = np.where(better[None, :, None], trial[:, cells, chosen][:, :, None], here)
            if not better.any():
                break
        return np.where(np.isfinite(value), sign * value, np.nan)

    def _points(self, directions: Floats) -> Floats:
        """Return measures at distance c along `directions`; row counts kept at their least, and nan
        where that leaves the ball."""
        unit = directions / np.sqrt((directions**2).sum(axis=0, keepdims=True))
        fourth = np.square(np.square(unit)) * self.excess
        reach = radius(self.level, fourth.sum(axis=0, keepdims=True))
        reach = np.sqrt((self.stretch * reach) ** 2 + self.outside)
        points = self.centre + self.spread * reach * unit
        for n, rows in self.least.items():
            i = self.measures.index(n)
            points[i] = np.maximum(points[i], rows)
        moved = ((points - self.centre) / self.spread) ** 2
        inside = moved.sum(axis=0, keepdims=True) <= reach**2 * (1 + 1e-9)
        return np.where(inside, points, np.nan)

    def _at(self, directions: Floats, slopes: bool = False) -> Dual:
        return self._evaluate(self._points(directions), slopes)

    def _evaluate(self, points: Floats, slopes: bool) -> Dual:
        def variable(i: int) -> Dual:
            return Dual(points[i], {(i, 0): 1.0} if slopes else {})

        result = evaluate(
            self.formula,
            lambda j: variable(self.measures.index(j)),
            lambda leaf: variable(len(self.measures) + self.quantiles.index(leaf)),
        )
        assert isinstance(result, Dual)
        return result

    def _slope(self, directions: Floats) -> Floats:
        """Return the gradient by unit noise at the points along `directions`."""
        result = self._at(directions, slopes=True)
        gradient = np.zeros(self.centre.shape)
        for (i, _), slope in result.slopes.items():
            gradient[i] = slope
        return gradient * self.spread


def _contributions(formula: Var | Covar | Corr) -> list[tuple[int, float]]:
    """Return each measure of a statistic with the most that one row adds to it."""
    match formula:
        case Var(n, s, ss, x):
            h = _half(x)
            return [(n, 1.0), (s, h), (ss, h * h)]
        case Covar(n, sx, sy, sxy, x, y):
            return [(n, 1.0), (sx, _half(x)), (sy, _half(y)), (sxy, _half(x) * _half(y))]
        case Corr(n, sx, sy, sxx, syy, sxy, x, y):
            h, k = _half(x), _half(y)
            return [(n, 1.0), (sx, h), (sy, k), (sxx, h * h), (syy, k * k), (sxy, h * k)]


def _half(x: Axis) -> float:
    return float((x.upper - x.lower) / (2 * x.step))
