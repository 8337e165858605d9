"""Estimates with intervals that include the noise, for the statistic of the clamped, quantised rows.

Noise has a known law, so an interval is the set of values that a test of size 1 - level does not
reject (test inversion; for a ratio, Fieller 1954). Counts and sums use the exact lattice
distribution. For any other smooth statistic the set is the range of the statistic over the ball
(Mahalanobis radius c) around the noised measures: the values whose profile likelihood is high enough
(Venzon, Moolgavkar 1988). A quantile inverts the test of its cumulated bins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sandbox.privacy.ball import Ball, Coordinate
from sandbox.privacy.derivatives import gradient, predicted_error
from sandbox.privacy.distribution import Laws, chances, half_width, kurtosis, radius, tail, variance
from sandbox.privacy.moments import (
    Dual,
    Number,
    denominators,
    evaluate,
    leaves,
    measures_of,
    natural_range,
    operate,
)
from sandbox.privacy.noise import Law
from sandbox.privacy.statistics import (
    Constant,
    Corr,
    Count,
    Formula,
    Operation,
    Operator,
    Quantile,
    Sum,
    Var,
)
from sandbox.privacy.unified import counts, within

__all__ = ["Estimate", "estimate", "estimates", "gradient", "predicted_error"]

Floats = NDArray[np.float64]
Cell = Mapping[int, int | Sequence[int]] | Sequence[int | Sequence[int]]
"""The noised measures of one cell by index; a sequence of bins for BINS."""


@dataclass(frozen=True)
class Estimate:
    """One number of an answer. `value` None: NULL, the statistic has no value (no rows, or none that
    stand out of the noise). The exact answer lies in [low, high] with probability `level`."""

    value: float | int | None
    low: float
    high: float
    level: float


def estimate(
    formula: Formula, noised: Cell, noise: Sequence[Sequence[Law]], level: float = 0.95
) -> Estimate:
    """Return the estimate of one cell. `noise`: per measure, the laws its nodes drew from."""
    return estimates(formula, [noised], noise, level)[0]


def estimates(
    formula: Formula, cells: Sequence[Cell], noise: Sequence[Sequence[Law]], level: float = 0.95
) -> list[Estimate]:
    """Return the estimates of many cells at once; about 0.1 ms a cell."""
    laws = [tuple(measure) for measure in noise]
    values = [_value(formula, cell) for cell in cells]
    used = {j for leaf in leaves(formula) for j in measures_of(leaf)}
    if not any(laws[j] for j in used):
        bounds = natural_range(formula)
        return [
            Estimate(v, *(bounds if v is None else (float(v), float(v))), level=1.0) for v in values
        ]
    with np.errstate(all="ignore"):
        low, high, reached = _Table(cells, laws, level).interval(formula)
    results = []
    rows = zip(values, low.tolist(), high.tolist(), reached.tolist(), strict=True)
    for v, a, b, true_level in rows:
        inside = v if v is None else min(max(v, a), b)
        results.append(Estimate(inside, a, b, true_level))
    return results


def _value(formula: Formula, cell: Cell) -> float | int | None:
    """Return the formula over the released integers, exact before the last rounding to a float."""
    if any(cell[n] < least for n, least in denominators(formula).items()):  # type: ignore[operator]
        return None
    try:
        result = evaluate(
            formula,
            lambda j: Fraction(cast(int, cell[j])),
            lambda leaf: _quantile_value(leaf, cast(Sequence[int], cell[leaf.bins])),
        )
    except (ZeroDivisionError, ValueError, OverflowError, TypeError):
        return None
    return int(result) if _is_integer(formula) else float(result)


def _is_integer(formula: Formula) -> bool:
    match formula:
        case Count():
            return True
        case Sum(_, _, x):
            return x.step.denominator == 1 and x.centre.denominator == 1
        case _:
            return False


def _quantile_value(leaf: Quantile, bins: Sequence[int]) -> Fraction:
    total = sum(bins)
    if total < 1:
        raise ZeroDivisionError
    below, position = 0, 0
    for count in bins:
        below += count
        position += below < leaf.p * total
    return leaf.edges[min(position, len(bins) - 1)]


class _Table:
    """The noised measures of many cells, and intervals over them."""

    def __init__(self, cells: Sequence[Cell], laws: Sequence[Laws], level: float) -> None:
        self.cells = cells
        self.laws = laws
        self.level = level

    def interval(  # noqa: PLR0911 - one case each
        self, formula: Formula
    ) -> tuple[Floats, Floats, Floats]:
        """Return low, high and the level they have, per cell; within the natural range."""
        match formula:
            case Count(n):
                return self._count(n)
            case Sum(n, s, x):
                return self._linear([(s, x.step), (n, x.centre)])
            case Quantile():
                return self._cumulated(formula)
            case Var(root=True):
                low, high, level = self.interval(replace(formula, root=False))
                return np.sqrt(low), np.sqrt(high), level
            case Operation(Operator.ROUND, arguments) if _varying(arguments) == 1:
                return self._rounded(formula)
            case Operation(operator, arguments) if _varying(arguments) == 1:
                return self._mapped(operator, arguments)
            case Operation():
                return *self._ball(formula, self.level).range(), self.levels()
            case _:
                inner = self._ball(formula, 2 * self.level - 1).range()
                outer = self._ball(formula, self.level).range()
                least, most = natural_range(formula)
                low, high = within(inner, outer, (least, most), self.level)
                sure = (low <= least) & (high >= most) & isinstance(formula, Var | Corr)
                return low, high, np.where(sure, 1.0, self.level)

    def _ball(self, formula: Formula, level: float) -> Ball:
        plain, quantiles = {}, {}
        for leaf in leaves(formula):
            if isinstance(leaf, Quantile):
                low, high, _ = self._cumulated(leaf)
                spread = (high - low) / (2 * float(radius(self.level, 0.0)))
                quantiles[leaf] = Coordinate((low + high) / 2, spread, 0.0)
                continue
            for j in measures_of(leaf):
                laws = self.laws[j]
                spread = np.full(len(self.cells), math.sqrt(variance(laws)))
                plain[j] = Coordinate(self._column(j), spread, kurtosis(laws))
        return Ball(formula, level, plain, quantiles)

    def levels(self) -> Floats:
        """Return the level asked for, per cell."""
        return np.full(len(self.cells), self.level)

    def _column(self, measure: int) -> Floats:
        return np.array([cell[measure] for cell in self.cells], dtype=np.float64)

    def _count(self, n: int) -> tuple[Floats, Floats, Floats]:
        """A count cannot be negative: near 0 the unified interval, else two equal tails."""
        noised, laws = self._column(n), self.laws[n]
        low, high, level = self._linear([(n, Fraction(1))])
        table = chances(laws)
        if table is None:
            inner = _Table(self.cells, self.laws, 2 * self.level - 1)._linear([(n, Fraction(1))])
            return *within(inner[:2], (low, high), (0.0, math.inf), self.level), level
        least, most, reached = counts(table, self.level)
        reach = len(table) - 1
        place = (np.clip(noised, -reach // 2, reach) + reach).astype(np.int64)
        near = noised < reach * 4 // 10
        return (
            np.where(near, least[place], low),
            np.where(near, most[place], high),
            np.where(near, reached[place], level),
        )

    def _linear(self, terms: list[tuple[int, Fraction]]) -> tuple[Floats, Floats, Floats]:
        """Sums of measures: the exact distribution of the sum of their noises."""
        unit = Fraction(1, math.lcm(*(c.denominator for _, c in terms)))
        whole = tuple((int(c / unit), self.laws[j]) for j, c in terms if c)
        width, level = half_width(whole, self.level)
        centre = np.array(
            [float(sum(c * int(cell[j]) for j, c in terms)) for cell in self.cells]  # type: ignore[arg-type]
        )
        reach = width * float(unit)
        return centre - reach, centre + reach, np.full(len(self.cells), level)

    def _rounded(self, formula: Operation) -> tuple[Floats, Floats, Floats]:
        """Rounding may be coarser than the noise: the level is the greatest whose interval rounds to
        the same ends."""
        low, high, level = self._mapped(formula.operator, formula.arguments)
        for wider in (1 - (1 - self.level) * share for share in (0.6, 0.3, 0.1, 0.01)):
            table = _Table(self.cells, self.laws, wider)
            least, most, reached = table._mapped(formula.operator, formula.arguments)
            level = np.where((least == low) & (most == high), np.maximum(level, reached), level)
        return low, high, level

    def _mapped(
        self, operator: Operator, arguments: tuple[Formula, ...]
    ) -> tuple[Floats, Floats, Floats]:
        """Return the image of the one varying argument's interval: every operator is monotone in one
        argument on each side of zero."""
        position = next(i for i, a in enumerate(arguments) if not isinstance(a, Constant))
        low, high, level = self.interval(arguments[position])
        ends = []
        for end in (low, high):
            numbers: list[Number] = [a.value if isinstance(a, Constant) else end for a in arguments]
            ends.append(_apply(operator, numbers))
        spans = (low < 0) & (high > 0)
        low, high = np.fmin(*ends), np.fmax(*ends)
        if operator is Operator.ABS:
            low = np.where(spans, 0.0, low)
        if operator is Operator.DIVIDE and position == 1:
            low, high = np.where(spans, -np.inf, low), np.where(spans, np.inf, high)
        return low, high, level

    def _cumulated(self, leaf: Quantile) -> tuple[Floats, Floats, Floats]:
        """Invert the test of T(k) = C(k) - p N for every bin k; also return the level.

        The true quantile k has T(k) >= 0 > T(k-1). Noised T is not monotone, so each bound is the
        number of bins on its wrong side, as if T were rearranged in order.
        """
        bins = np.array([cell[leaf.bins] for cell in self.cells], dtype=np.float64)
        laws, p, width = self.laws[leaf.bins], float(leaf.p), bins.shape[1]
        upto = np.arange(1, width + 1)
        tests = np.cumsum(bins, axis=1) - p * bins.sum(axis=1, keepdims=True)
        spread = np.sqrt(variance(laws) * (upto * (1 - p) ** 2 + (width - upto) * p**2))
        fourth = upto * (1 - p) ** 4 + (width - upto) * p**4
        excess = kurtosis(laws) * variance(laws) ** 2 * fourth / np.maximum(spread, 1e-300) ** 4
        edges = np.array([float(e) for e in leaf.edges])
        scaled = tests / np.maximum(spread, 1e-300)
        reach = radius(self.level, excess)
        rejected, kept = scaled < -reach, scaled[:, :-1] <= reach[:-1]
        first, last = rejected.sum(axis=1), kept.sum(axis=1)
        # Bins may hold far more rows than noise: the level is the greatest that leaves the interval.
        below = _nearest(np.where(rejected, -scaled, np.inf), excess)
        above = _nearest(np.where(kept, np.inf, scaled[:, :-1]), excess[:-1])
        return edges[np.minimum(first, width - 1)], edges[last], 1 - below - above


def _nearest(distances: Floats, excess: Floats) -> Floats:
    """Return, per cell, the chance of noise beyond the least of the distances (inf: none)."""
    if not distances.shape[1]:
        return np.zeros(len(distances))
    nearest = distances.argmin(axis=1)
    return tail(distances[np.arange(len(distances)), nearest], excess[nearest])


def _varying(arguments: tuple[Formula, ...]) -> int:
    return sum(not isinstance(a, Constant) for a in arguments)


def _apply(operator: Operator, numbers: list[Number]) -> Floats:
    """Return an operator over arrays and constants."""
    floats = [float(x) if isinstance(x, Fraction) else x for x in numbers]
    match operator:
        case Operator.SQRT:
            return np.asarray(np.sqrt(np.maximum(floats[0], 0)))
        case Operator.ROUND:
            unit = 10.0 ** -int(floats[1] if len(floats) > 1 else 0)
            return np.asarray(np.sign(floats[0]) * np.floor(np.abs(floats[0]) / unit + 0.5) * unit)
        case _:
            return np.asarray(operate(operator, [Dual(x) for x in floats]).value)
