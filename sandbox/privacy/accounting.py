"""Privacy loss: (epsilon, delta) to and from concentrated DP, and losses as exact integers.

A job's Gaussian part satisfies rho-zCDP: its Rényi divergence of order a is a * rho (Bun, Steinke
2016). Orders convert to (epsilon, delta) by Canonne, Kamath, Steinke 2020, proposition 12. All
logarithms are decimal ones of fixed precision, correctly rounded, so that every party on every
platform derives the same numbers. Losses are integers in units of 10^-12 nats, rounded up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext
from fractions import Fraction
from functools import cache

from sandbox.errors import InputError

LOSS_UNIT = Fraction(1, 10**12)
"""One unit of an integer loss, in nats."""
PRECISION = 40
"""Decimal digits of every intermediate; results keep at most 12."""
DIGITS = 6
"""Significant digits of rho and epsilon."""
SUM_CORRECTION = Fraction(1, 10**16)
"""Bound on tau = 10 sum_k exp(-2 pi^2 sigma^2 k/(k+1)), k < nodes, for sigma >= 2 and up to 10^10
nodes (Kairouz, Liu, Steinke 2021, theorem 1: 7.2e-17): how far a sum of discrete Gaussians may be
from a discrete Gaussian."""


@dataclass(frozen=True)
class Charge:
    """What one job costs.

    `epsilon`, `delta`: as stated in the job. `rho`: zCDP of its Gaussian measures together.
    `pure`: the pure epsilon of each Laplace measure. `length`: Gaussian integers released (cells
    times widths), each of which pays SUM_CORRECTION. `extra_delta`: additive delta that truncations
    and thresholds draw, 0 for plain noise.
    """

    epsilon: Decimal
    delta: Decimal
    rho: Fraction = Fraction(0)
    pure: tuple[Fraction, ...] = ()
    length: int = 0
    extra_delta: Fraction = Fraction(0)

    @property
    def correction(self) -> Fraction:
        """zCDP added because a sum of discrete Gaussians is not one: tau * length / 4 (Kairouz,
        Liu, Steinke 2021, theorem 1: rho = epsilon^2 / 2 <= delta^2/(2 sigma^2) + tau d / 4)."""
        return SUM_CORRECTION * self.length / 4

    def loss(self, order: Fraction | None) -> int | None:
        """Return the Rényi divergence at `order` in units of 10^-12 nats, rounded up.

        `order` None is order infinity (pure DP), where a Gaussian has no finite loss: None.
        """
        if order is None:
            return None if self.rho else to_loss(sum(self.pure, Fraction(0)))
        nats = order * (self.rho + self.correction)
        return to_loss(nats + sum((pure_divergence(e, order) for e in self.pure), Fraction(0)))


def to_loss(nats: Fraction) -> int:
    """Return nats as an integer loss, rounded up."""
    return math.ceil(nats / LOSS_UNIT)


def conversion(order: Fraction, delta: Decimal) -> Decimal:
    """Return what proposition 12 adds to a divergence of `order` to make it an epsilon at `delta`.

    ln((a-1)/a) - (ln delta + ln a)/(a-1), rounded up at the 30th digit; order > 1, 0 < delta < 1.
    """
    with localcontext(Context(prec=PRECISION)):
        a = Decimal(order.numerator) / Decimal(order.denominator)
        addition = ((a - 1) / a).ln() - (delta.ln() + a.ln()) / (a - 1)
        return addition.quantize(Decimal("1e-30"), rounding=ROUND_CEILING)


@cache
def best_order(epsilon: Decimal, delta: Decimal) -> Fraction:
    """Return the order at which the most zCDP fits under (epsilon, delta); to 4 digits of order-1.

    Raises InputError SB-2201 unless 0 < epsilon <= 1000 and 10^-30 <= delta < 1.
    """
    _check(epsilon, delta)

    def rho_at(order: Fraction) -> Decimal:
        with localcontext(Context(prec=PRECISION)):
            nats = epsilon - conversion(order, delta)
            return nats * order.denominator / order.numerator

    return _search(rho_at)


@cache
def rho_of(epsilon: Decimal, delta: Decimal) -> Fraction:
    """Return the largest zCDP rho whose curve converts to (epsilon, delta), rounded down to 6
    significant digits. Canonne, Kamath, Steinke 2020, proposition 12, at the best order."""
    order = best_order(epsilon, delta)
    nats = Fraction(epsilon) - Fraction(conversion(order, delta))
    return significant(nats / order, DIGITS, ROUND_FLOOR)


@cache
def epsilon_of(rho: Fraction, delta: Decimal) -> Decimal:
    """Return the epsilon at `delta` of rho-zCDP, rounded up to 6 significant digits; rho > 0.

    Any order gives a bound; the best of 4 digits is taken. Never below 10^-12.
    """
    _check(Decimal(1), delta)

    def minus_epsilon(order: Fraction) -> Decimal:
        with localcontext(Context(prec=PRECISION)):
            return -(as_decimal(order * rho) + conversion(order, delta))

    order = _search(minus_epsilon)
    epsilon = max(order * rho + Fraction(conversion(order, delta)), LOSS_UNIT)
    return as_decimal(significant(epsilon, DIGITS, ROUND_CEILING))


@cache
def loss_limit(epsilon: Decimal, delta: Decimal, order: Fraction | None) -> int:
    """Return the greatest integer loss at `order` that converts to no more than (epsilon, delta).

    Order None: pure DP, the limit is epsilon. May be negative where the order cannot reach epsilon.
    0 at delta 0, since no Rényi loss of a finite order converts to pure DP.
    """
    if order is not None and delta == 0:
        return 0
    nats = Fraction(epsilon)
    if order is not None:
        nats -= Fraction(conversion(order, delta))
    return math.floor(nats / LOSS_UNIT)


@cache
def pure_divergence(epsilon: Fraction, order: Fraction) -> Fraction:
    """Return the greatest Rényi divergence of `order` that pure epsilon-DP allows, rounded up.

    Randomised response has it (Mironov 2017, table II) and every pure mechanism is a
    post-processing of randomised response (Kairouz, Oh, Viswanath 2015). The continuous Laplace's
    curve lies below it and would under-count: the discrete Laplace attains this one.
    """
    with localcontext(Context(prec=PRECISION)):
        e, a = as_decimal(epsilon), as_decimal(order)
        if e * (a - 1) > 10**4:  # within 10^-12 of epsilon already, and exp() would overflow
            return epsilon
        yes = 1 / (1 + (-e).exp())
        no = 1 / (1 + e.exp())
        moment = yes * (e * (a - 1)).exp() + no * (-e * (a - 1)).exp()
        divergence = (moment.ln() / (a - 1)).quantize(Decimal("1e-25"), rounding=ROUND_CEILING)
    return min(Fraction(divergence) + Fraction(1, 10**25), epsilon)


def significant(value: Fraction, digits: int, rounding: str) -> Fraction:
    """Return value >= 0 rounded to `digits` significant decimal digits, exactly."""
    if value == 0:
        return value
    exponent = len(str(value.numerator)) - len(str(value.denominator))
    unit = Fraction(10) ** (exponent - digits)
    while value / unit >= 10**digits:
        unit *= 10
    steps = value / unit
    return unit * (math.ceil(steps) if rounding == ROUND_CEILING else math.floor(steps))


def _search(objective: Callable[[Fraction], Decimal]) -> Fraction:
    """Return the order in (1, 10^9] of 4 digits with the greatest objective, found by descending
    decimal steps in ln(order - 1); the objectives here rise, then fall."""

    def order_at(position: int) -> Fraction:
        exponent, mantissa = divmod(position, 9000)
        return 1 + Fraction(1000 + mantissa) * Fraction(10) ** (exponent - 6)

    low, high = 0, 9000 * 12
    while high - low > 2:
        third = (high - low) // 3
        left, right = low + third, high - third
        if objective(order_at(left)) < objective(order_at(right)):
            low = left + 1
        else:
            high = right
    return max((order_at(p) for p in range(low, high + 1)), key=objective)


def as_decimal(value: Fraction) -> Decimal:
    """Return `value` to 40 digits."""
    with localcontext(Context(prec=PRECISION)):
        return Decimal(value.numerator) / Decimal(value.denominator)


def _check(epsilon: Decimal, delta: Decimal) -> None:
    if not (epsilon.is_finite() and 0 < epsilon <= 1000):
        raise InputError("SB-2201", epsilon=str(epsilon))
    if not (delta.is_finite() and Decimal("1e-30") <= delta < 1):
        raise InputError("SB-2202", delta=str(delta))
