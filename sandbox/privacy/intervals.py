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

from sandbox.privacy.derivatives import gradient, predicted_error
from sandbox.privacy.distribution import Laws, half_width, kurtosis, radius, variance
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
    Count,
    Formula,
    Operation,
    Operator,
    Quantile,
    Sum,
    Var,
)

__all__ = ["Estimate", "estimate", "estimates", "gradient", "predicted_error"]

Floats = NDArray[np.float64]
Cell = Mapping[int, int | Sequence[int]] | Sequence[int | Sequence[int]]
"""The noised measures of one cell by index; a sequence of bins for BINS."""

DIRECTIONS = 96
ROUNDS = 12


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
    for v, a, b in zip(values, low.tolist(), high.tolist(), strict=True):
        inside = v if v is None else min(max(v, a), b)
        results.append(Estimate(inside, a, b, reached))
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

    def interval(self, formula: Formula) -> tuple[Floats, Floats, float]:
        """Return low, high (per cell) and the level they have; within the natural range."""
        low, high, level = self._interval(formula)
        least, most = natural_range(formula)
        for n, rows in denominators(formula).items():
            width, _ = half_width(((1, self.laws[n]),), self.level)
            empty = self._column(n) + width < rows
            low, high = np.where(empty, least, low), np.where(empty, most, high)
        return np.clip(low, least, most), np.clip(high, least, most), level

    def _interval(self, formula: Formula) -> tuple[Floats, Floats, float]:
        match formula:
            case Count(n):
                return self._linear([(n, Fraction(1))])
            case Sum(n, s, x):
                return self._linear([(s, x.step), (n, x.centre)])
            case Quantile():
                low, high, _ = self._cumulated(formula)
                return low, high, self.level
            case Var(root=True):
                low, high, level = self.interval(replace(formula, root=False))
                return np.sqrt(low), np.sqrt(high), level
            case Operation(operator, arguments) if _varying(arguments) == 1:
                return self._mapped(operator, arguments)
            case _:
                return *_Ball(self, formula).range(), self.level

    def _column(self, measure: int) -> Floats:
        return np.array([cell[measure] for cell in self.cells], dtype=np.float64)

    def _linear(self, terms: list[tuple[int, Fraction]]) -> tuple[Floats, Floats, float]:
        """Sums of measures: the exact distribution of the sum of their noises."""
        unit = Fraction(1, math.lcm(*(c.denominator for _, c in terms)))
        whole = tuple((int(c / unit), self.laws[j]) for j, c in terms if c)
        width, level = half_width(whole, self.level)
        centre = np.array(
            [float(sum(c * int(cell[j]) for j, c in terms)) for cell in self.cells]  # type: ignore[arg-type]
        )
        return centre - width * float(unit), centre + width * float(unit), level

    def _mapped(
        self, operator: Operator, arguments: tuple[Formula, ...]
    ) -> tuple[Floats, Floats, float]:
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
        """Invert the test of T(k) = C(k) - p N for every bin k; also return the sd of each cell.

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
        reach = radius(self.level, excess) * spread
        edges = np.array([float(e) for e in leaf.edges])
        first = (tests < -reach).sum(axis=1)
        last = (tests[:, :-1] <= reach[:-1]).sum(axis=1)
        return edges[np.minimum(first, width - 1)], edges[last], spread


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


class _Ball:
    """The range of a statistic over the ball around the noised measures."""

    def __init__(self, table: _Table, formula: Formula) -> None:
        self.formula = formula
        self.level = table.level
        parts = {leaf for leaf in leaves(formula) if isinstance(leaf, Quantile)}
        plain = {
            j
            for leaf in leaves(formula)
            if not isinstance(leaf, Quantile)
            for j in measures_of(leaf)
        }
        self.measures = sorted(plain)
        self.quantiles = sorted(parts, key=lambda q: (q.bins, q.p))
        self.least = denominators(formula)
        laws = [table.laws[j] for j in self.measures]
        columns = [table._column(j) for j in self.measures]
        spreads = [np.full(len(table.cells), math.sqrt(variance(x))) for x in laws]
        excess = [kurtosis(x) for x in laws]
        for leaf in self.quantiles:
            low, high, _ = table._cumulated(leaf)
            columns.append((low + high) / 2)
            spreads.append((high - low) / (2 * float(radius(self.level, 0.0))))
            excess.append(0.0)
        self.centre = np.stack(columns)[:, :, None]
        self.spread = np.stack(spreads)[:, :, None]
        self.excess = np.array(excess)[:, None, None]

    def range(self) -> tuple[Floats, Floats]:
        """Return the least and greatest value in the ball, per cell (nan: no value anywhere)."""
        dimensions, cells, _ = self.centre.shape
        random = np.random.default_rng(0).standard_normal((dimensions, 1, DIRECTIONS))
        axes = np.concatenate((np.eye(dimensions), -np.eye(dimensions)), axis=1)[:, None, :]
        starts = np.concatenate((random, axes), axis=2)
        starts = np.broadcast_to(starts, (dimensions, cells, starts.shape[2]))
        values = self._at(starts).value
        low, high = self._climb(starts, values, -1.0), self._climb(starts, values, 1.0)
        least, most = natural_range(self.formula)
        return np.nan_to_num(low, nan=least), np.nan_to_num(high, nan=most)

    def _climb(self, starts: Floats, values: Floats, sign: float) -> Floats:
        """Maximise sign * statistic over the sphere from the best start, by advanced mean value
        steps (the direction becomes the gradient's), each halved until it improves."""
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
        reach = radius(self.level, (unit**4 * self.excess).sum(axis=0, keepdims=True))
        points = self.centre + self.spread * reach * unit
        for n, rows in self.least.items():
            i = self.measures.index(n)
            points[i] = np.maximum(points[i], rows)
        moved = ((points - self.centre) / np.maximum(self.spread, 1e-300)) ** 2
        inside = moved.sum(axis=0, keepdims=True) <= reach**2 * (1 + 1e-9)
        return np.where(inside, points, np.nan)

    def _at(self, directions: Floats, slopes: bool = False) -> Dual:
        points = self._points(directions)

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
