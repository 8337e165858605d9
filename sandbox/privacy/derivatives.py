"""Predicted errors: how noise on measures moves an output, to first order, at declared magnitudes.

Reads no rows. Plain floats with IEEE operations in a fixed order, so that every node derives the
same gradient, hence the same noise, from the same plan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

from sandbox.privacy.moments import Dual, Variable, evaluate
from sandbox.privacy.statistics import Formula, Quantile

Z95 = 1.959963984540054
"""Two-sided 95% point of the normal distribution."""
Reference = Mapping[int, float | Sequence[float]]
"""Expected size of each measure by its index, one number per bin for BINS; from the card alone."""


def gradient(formula: Formula, reference: Reference) -> dict[int, float]:
    """Return, for each measure used, how far the formula moves per unit of independent noise on
    each of the measure's integers (root of summed squares over bins).

    Empty where the formula has no finite derivative at the reference (no rows declared, say).
    """
    try:
        result = _at(formula, reference)
    except (ZeroDivisionError, ValueError, OverflowError):
        return {}
    squares: dict[int, float] = {}
    for (measure, _), slope in result.slopes.items():
        squares[measure] = squares.get(measure, 0.0) + slope * slope
    if not all(math.isfinite(s) for s in squares.values()):
        return {}
    return {measure: math.sqrt(square) for measure, square in squares.items()}


def reference_value(formula: Formula, reference: Reference) -> float | None:
    """Return the formula at the reference; None where it has no value there."""
    try:
        return float(_at(formula, reference).value)
    except (ZeroDivisionError, ValueError, OverflowError):
        return None


def predicted_error(formula: Formula, reference: Reference, sigma: Sequence[float]) -> float:
    """Return the expected half width of the 95% interval, in the output's unit.

    `sigma`: standard deviation of each measure's summed noise. inf where no prediction is possible.
    """
    slopes = gradient(formula, reference)
    if not slopes:
        return math.inf
    return Z95 * math.sqrt(math.fsum((g * sigma[j]) ** 2 for j, g in slopes.items()))


def _at(formula: Formula, reference: Reference) -> Dual:
    def measure(index: int) -> Dual:
        value = cast(float, reference[index])
        return Dual(float(value), {(index, 0): 1.0})

    def quantile(leaf: Quantile) -> Dual:
        bins = cast(Sequence[float], reference[leaf.bins])
        return _quantile(leaf, [float(b) for b in bins])

    result = evaluate(formula, measure, quantile)
    return result if isinstance(result, Dual) else Dual(float(result))


def _quantile(leaf: Quantile, bins: list[float]) -> Dual:
    """The quantile q solves T(q) = C(q) - p N = 0, so dq = -dT / density(q)."""
    p = float(leaf.p)
    total = sum(bins)
    below, at = 0.0, 0
    for at, count in enumerate(bins):  # noqa: B007 - the position is what is sought
        below += count
        if below >= p * total:
            break
    width = float(leaf.edges[-1] - leaf.edges[0]) / max(len(leaf.edges) - 1, 1)
    density = (bins[at] or total / len(bins)) / width
    slopes: dict[Variable, float] = {
        (leaf.bins, i): ((p - 1.0) if i <= at else p) / density for i in range(len(bins))
    }
    return Dual(float(leaf.edges[at]), slopes)
