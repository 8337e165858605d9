"""The arithmetic of statistics, once, for every kind of number it meets.

`evaluate` works on Fractions (exact answers) and on `Dual`s: floats, or numpy arrays of many cells
at once, with their derivatives by forward differentiation. Quantiles, the one statistic that is no
arithmetic, are given to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from sandbox.privacy.statistics import (
    Avg,
    Axis,
    Constant,
    Corr,
    Count,
    Covar,
    Formula,
    Operation,
    Operator,
    Quantile,
    Statistic,
    Sum,
    Var,
)

Number = Any
"""Fraction, float or Dual: whatever has + - * / and unary minus."""
Variable = tuple[int, int]
"""What a derivative is by: (measure, bin), bin 0 for measures of one integer."""


class Dual:
    """A value with its derivatives by variable; floats or numpy arrays alike.

    Only + - * / and square roots, which IEEE 754 defines to the last bit, so that every platform
    derives the same numbers.
    """

    __array_ufunc__ = None  # numpy then lets Dual's reflected operators work

    def __init__(self, value: Number, slopes: dict[Variable, Number] | None = None) -> None:
        self.value = value
        self.slopes: dict[Variable, Number] = slopes or {}

    def __add__(self, other: Number) -> Dual:
        return self._combine(other, _value(other) + self.value, 1.0, 1.0)

    __radd__ = __add__

    def __sub__(self, other: Number) -> Dual:
        return self._combine(other, self.value - _value(other), 1.0, -1.0)

    def __rsub__(self, other: Number) -> Dual:
        return Dual(float(other)) - self

    def __mul__(self, other: Number) -> Dual:
        return self._combine(other, self.value * _value(other), _value(other), self.value)

    __rmul__ = __mul__

    def __truediv__(self, other: Number) -> Dual:
        divisor = _value(other)
        quotient = self.value / divisor
        return self._combine(other, quotient, 1.0 / divisor, -quotient / divisor)

    def __rtruediv__(self, other: Number) -> Dual:
        return Dual(float(other)) / self

    def __neg__(self) -> Dual:
        return self._combine(0.0, -self.value, -1.0, 0.0)

    def scaled(self, value: Number, slope: Number) -> Dual:
        """Return g(self) for a function g with this value and slope here."""
        return self._combine(0.0, value, slope, 0.0)

    def _combine(self, other: Number, value: Number, mine: Number, theirs: Number) -> Dual:
        slopes = {k: s * mine for k, s in self.slopes.items()}
        if isinstance(other, Dual):
            for k, s in other.slopes.items():
                slopes[k] = slopes[k] + s * theirs if k in slopes else s * theirs
        return Dual(value, slopes)


def square_root(x: Number) -> Number:
    """Return the square root of a Fraction or float (as a float), of an array or of a Dual."""
    if isinstance(x, Dual):
        root = square_root(x.value)
        return x.scaled(root, 0.5 / root)
    if isinstance(x, Fraction | float | int):
        return math.sqrt(x)
    import numpy as np

    return np.sqrt(x)


def evaluate(
    formula: Formula, measure: Callable[[int], Number], quantile: Callable[[Quantile], Number]
) -> Number:
    """Return the formula over the numbers that `measure(index)` and `quantile(leaf)` give.

    Fractions stay exact up to the first square root. Raises ZeroDivisionError or ValueError where a
    formula over Fractions or floats is undefined; arrays hold nan or inf there.
    """
    match formula:
        case Constant(value):
            return value
        case Operation(operator, arguments):
            return operate(operator, [evaluate(a, measure, quantile) for a in arguments])
        case Quantile():
            return quantile(formula)
        case _:
            return _statistic(formula, measure)


def _statistic(leaf: Statistic, m: Callable[[int], Number]) -> Number:
    match leaf:
        case Count(n):
            return m(n)
        case Sum(n, s, x):
            return m(s) * x.step + m(n) * x.centre
        case Avg(n, s, x):
            return m(s) / m(n) * x.step + x.centre
        case Var():
            variance = _second(m(leaf.n), m(leaf.s), m(leaf.s), m(leaf.ss), leaf.sample)
            variance = variance * (leaf.x.step * leaf.x.step)
            if leaf.root and isinstance(variance, Fraction):
                variance = max(variance, Fraction(0))  # noise may push it below
            return square_root(variance) if leaf.root else variance
        case Covar():
            joint = _second(m(leaf.n), m(leaf.sx), m(leaf.sy), m(leaf.sxy), leaf.sample)
            return joint * (leaf.x.step * leaf.y.step)
        case Corr(n, sx, sy, sxx, syy, sxy):
            joint = _second(m(n), m(sx), m(sy), m(sxy), sample=False)
            spread_x = _second(m(n), m(sx), m(sx), m(sxx), sample=False)
            spread_y = _second(m(n), m(sy), m(sy), m(syy), sample=False)
            return joint / square_root(spread_x * spread_y)
    raise TypeError(leaf)


def _second(n: Number, s: Number, t: Number, st: Number, sample: bool) -> Number:
    """Return the central second moment (st - s t / n) / (n - sample)."""
    return (st - s * t / n) / (n - int(sample))


def operate(operator: Operator, arguments: list[Number]) -> Number:  # noqa: PLR0911 - one case each
    """Return an operator applied to its arguments."""
    match operator:
        case Operator.ADD:
            return arguments[0] + arguments[1]
        case Operator.SUBTRACT:
            return arguments[0] - arguments[1]
        case Operator.MULTIPLY:
            return arguments[0] * arguments[1]
        case Operator.DIVIDE:
            return arguments[0] / arguments[1]
        case Operator.NEGATE:
            return -arguments[0]
        case Operator.ABS:
            return _absolute(arguments[0])
        case Operator.SQRT:
            return square_root(arguments[0])
        case Operator.ROUND:
            return _rounded(arguments[0], arguments[1] if len(arguments) > 1 else Fraction(0))


def _absolute(x: Number) -> Number:
    if not isinstance(x, Dual):
        return abs(x)
    sign = 1.0 - 2.0 * (x.value < 0)
    return x.scaled(x.value * sign, sign)


def _rounded(x: Number, digits: Number) -> Number:
    """Round half away from zero, as SQL does. A Dual passes unchanged: its slope is what counts."""
    if isinstance(x, Dual):
        return x
    unit = Fraction(10) ** -int(digits)
    steps = math.floor(abs(Fraction(x)) / unit + Fraction(1, 2))
    rounded = steps * unit * (1 if x >= 0 else -1)
    return rounded if isinstance(x, Fraction) else float(rounded)


def _value(x: Number) -> Number:
    if isinstance(x, Dual):
        return x.value
    return float(x) if isinstance(x, Fraction | int) else x


def leaves(formula: Formula) -> Iterator[Statistic]:
    """Yield the statistics in a formula, left to right."""
    if isinstance(formula, Operation):
        for argument in formula.arguments:
            yield from leaves(argument)
    elif not isinstance(formula, Constant):
        yield formula


def measures_of(leaf: Statistic) -> tuple[int, ...]:
    """Return the indices of the measures that a statistic reads."""
    match leaf:
        case Count(n):
            return (n,)
        case Sum(n, s, _) | Avg(n, s, _):
            return (n, s)
        case Var():
            return (leaf.n, leaf.s, leaf.ss)
        case Covar():
            return (leaf.n, leaf.sx, leaf.sy, leaf.sxy)
        case Corr(n, sx, sy, sxx, syy, sxy):
            return (n, sx, sy, sxx, syy, sxy)
        case Quantile(bins, _, _):
            return (bins,)


def denominators(formula: Formula) -> dict[int, int]:
    """Return {measure: least rows} of the row counts that must be positive for the formula to have
    a value: 1, or 2 where a sample statistic divides by n - 1."""
    least: dict[int, int] = {}
    for leaf in leaves(formula):
        match leaf:
            case Sum(n) | Avg(n) | Corr(n):
                least[n] = max(least.get(n, 1), 1)
            case Var() | Covar():
                least[leaf.n] = max(least.get(leaf.n, 1), 1 + int(leaf.sample))
            case _:
                pass
    return least


def natural_range(formula: Formula) -> tuple[float, float]:  # noqa: PLR0911 - one case each
    """Return the range that a statistic of clamped values cannot leave, whatever the data.

    Sample moments exceed population ones by n / (n - 1), at most 2.
    """
    match formula:
        case Count():
            return 0.0, math.inf
        case Avg(_, _, x):
            return float(x.lower), float(x.upper)
        case Var():
            greatest = float(_span(formula.x)) ** 2 / 4 * (1 + int(formula.sample))
            return 0.0, math.sqrt(greatest) if formula.root else greatest
        case Covar():
            greatest = float(_span(formula.x) * _span(formula.y)) / 4 * (1 + int(formula.sample))
            return -greatest, greatest
        case Corr():
            return -1.0, 1.0
        case Quantile(_, _, edges):
            return float(edges[0]), float(edges[-1])
        case _:
            return -math.inf, math.inf


def _span(axis: Axis) -> Fraction:
    return axis.upper - axis.lower
