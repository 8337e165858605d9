"""Arithmetic of row-level numbers: exact where integers are, else rounded to DIGITS digits.

Every function returns the SQL together with the interval that its value cannot leave.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

from sandbox.sql.scalar import (
    NARROW,
    WIDEST,
    Number,
    Scalar,
    TooWide,
    common,
    constant,
    derived,
    integer,
    wide,
)

DIGITS = 6
"""Decimal digits kept by division and by functions whose value is not exact."""


def add(a: Number, b: Number) -> Number:
    """Return a + b, exact."""
    if a.exact is not None and b.exact is not None:
        return constant(a.exact + b.exact)
    x, y = common([a, b])
    lower, upper = x.lower + y.lower, x.upper + y.upper
    sql = f"({wide(x.sql, lower, upper)} + {y.sql})"
    sum_ = derived(sql, x.step, lower, upper, [a, b])
    known = [m for m in (a.magnitude, b.magnitude) if m is not None]
    moved = b.exact is not None or a.exact is not None
    spread = (a.spread or b.spread) if moved else None
    return replace(sum_, magnitude=max(known) if len(known) == 2 else None, spread=spread)


def negate(a: Number) -> Number:
    """Return -a."""
    if a.exact is not None:
        return constant(-a.exact)
    points = None if a.points is None else tuple(-p for p in reversed(a.points))
    return replace(a, sql=f"(-{a.sql})", lower=-a.upper, upper=-a.lower, points=points)


def subtract(a: Number, b: Number) -> Number:
    """Return a - b, exact."""
    if a.sql == b.sql and a.step == b.step and a.exact is None:
        return derived(f"({a.sql} - {b.sql})", a.step, 0, 0, [a, b])
    if b.exact is not None:
        return add(a, negate(b))
    x, y = common([a, b])
    lower, upper = x.lower - y.upper, x.upper - y.lower
    difference = derived(f"({wide(x.sql, lower, upper)} - {y.sql})", x.step, lower, upper, [a, b])
    known = [m for m in (a.magnitude, b.magnitude) if m is not None]
    return replace(difference, magnitude=max(known) if len(known) == 2 else None)


def multiply(a: Number, b: Number) -> Number:
    """Return a * b, exact; by a constant it only changes the step."""
    if a.exact is not None and b.exact is not None:
        return constant(a.exact * b.exact)
    if a.exact is not None:
        a, b = b, a
    product = None if a.magnitude is None or b.magnitude is None else a.magnitude * b.magnitude
    if b.exact:
        scaled = a if b.exact > 0 else negate(a)
        spread = None if a.spread is None else a.spread * abs(b.exact)
        return replace(scaled, step=a.step * abs(b.exact), magnitude=product, spread=spread)
    corners = [x * y for x in (a.lower, a.upper) for y in (b.lower, b.upper)]
    lower, upper = min(corners), max(corners)
    if a.sql == b.sql:
        lower = max(lower, 0)
    sql = f"({wide(a.sql, lower, upper)} * {b.sql})"
    return replace(derived(sql, a.step * b.step, lower, upper, [a, b]), magnitude=product)


def divide(a: Number, b: Number) -> Number:
    """Return a / b: exact by a constant, else rounded to DIGITS digits; NULL where b is zero."""
    if b.exact == 0:
        return derived("NULL::BIGINT", Fraction(1), 0, 0, [a, b], nullable=True)
    if b.exact is not None:
        return multiply(a, constant(1 / b.exact))
    step = Fraction(1, 10**DIGITS)
    factor = a.step / (b.step * step)
    smallest = 1 if b.lower <= 0 <= b.upper else min(abs(b.lower), abs(b.upper))
    bound = max(abs(a.lower), abs(a.upper)) * factor / smallest
    sql = f"{a.sql}::DOUBLE * {float(factor)!r}::DOUBLE / NULLIF({b.sql}, 0)::DOUBLE"
    quotient = _from_double(sql, -bound, bound, [a, b], nullable=b.lower <= 0 <= b.upper)
    known = a.magnitude is not None and b.magnitude
    return replace(quotient, magnitude=a.magnitude / b.magnitude if known else None)  # type: ignore[operator]


def _from_double(
    sql: str, lower: Fraction, upper: Fraction, of: Sequence[Scalar], nullable: bool
) -> Number:
    """Round a double in units of 10^-DIGITS; the slack covers what floating point may add."""
    slack = max(abs(lower), abs(upper)) / 2**40 + 1
    low, high = floor(lower - slack), ceil(upper + slack)
    if max(abs(low), abs(high)) > WIDEST:
        raise TooWide
    kind = "BIGINT" if max(abs(low), abs(high)) <= NARROW else "HUGEINT"
    value = derived(f"round({sql})::{kind}", Fraction(1, 10**DIGITS), low, high, of, nullable)
    return replace(value, rounded=True)


def real_function(
    name: str, a: Number, value: Callable[[float], float], domain: str, smallest: int | None
) -> Number:
    """Return an increasing function rounded to DIGITS digits, NULL outside its domain.

    `domain`: the comparison that u must meet ("> 0"); `smallest`: the least such u, or None.
    """
    low = a.lower if smallest is None else max(a.lower, smallest)
    if low > a.upper:
        return derived("NULL::BIGINT", Fraction(1), 0, 0, [a], nullable=True)
    try:
        ends = [Fraction(value(float(u * a.step))) * 10**DIGITS for u in (low, a.upper)]
    except OverflowError:
        raise TooWide from None
    guarded = f"CASE WHEN {a.sql} {domain} THEN {a.sql} END" if low > a.lower else a.sql
    sql = f"{name}(({guarded})::DOUBLE * {float(a.step)!r}::DOUBLE) * {10**DIGITS}::DOUBLE"
    return _from_double(sql, ends[0], ends[1], [a], nullable=low > a.lower)


def floored(a: Number) -> Number:
    """Return the largest integer <= a, exact."""
    p, q = a.step.numerator, a.step.denominator
    if a.exact is not None:
        return constant(Fraction(floor(a.exact)))
    if q == 1:
        return a
    # DuckDB's // truncates towards zero: shift by whole quotients so that it never meets a negative.
    lower, upper = a.lower * p // q, a.upper * p // q
    shift = max(0, -lower)
    scaled = f"{wide(a.sql, a.lower * p, a.upper * p, shift * q)} * {integer(p)}"
    sql = f"(({scaled} + {integer(shift * q)}) // {integer(q)} - {integer(shift)})"
    return replace(derived(sql, Fraction(1), lower, upper, [a]), magnitude=a.magnitude)


def rounded(a: Number, digits: int) -> Number:
    """Return a rounded half away from zero to `digits` decimals, exact."""
    step = Fraction(10) ** -digits
    ratio = a.step / step
    p, q = ratio.numerator, ratio.denominator
    if q == 1:
        return a

    def half_away(u: int) -> int:
        return (abs(u) * p * 2 + q) // (2 * q) * (1 if u >= 0 else -1)

    if a.exact is not None:
        return constant(half_away(a.lower) * step)
    scaled = wide(a.sql, a.lower * p * 2 + q, a.upper * p * 2 + q)
    sql = f"(({scaled} * {integer(2 * p)} + {integer(q)} * sign({a.sql})) // {integer(2 * q)})"
    return replace(
        derived(sql, step, half_away(a.lower), half_away(a.upper), [a]), magnitude=a.magnitude
    )


def truncated(a: Number) -> Number:
    """Return a rounded towards zero, exact."""
    p, q = a.step.numerator, a.step.denominator
    if q == 1:
        return a

    def towards_zero(u: int) -> int:
        return abs(u) * p // q * (1 if u >= 0 else -1)

    if a.exact is not None:
        return constant(Fraction(towards_zero(a.lower)))
    sql = f"({wide(a.sql, a.lower * p, a.upper * p)} * {integer(p)} // {integer(q)})"
    return derived(sql, Fraction(1), towards_zero(a.lower), towards_zero(a.upper), [a])


def remainder(a: Number, b: Number) -> Number:
    """Return a % b with the sign of a (as DuckDB), NULL where b is zero."""
    x, y = common([a, b])
    most = max(abs(y.lower), abs(y.upper), 1) - 1
    lower = 0 if x.lower >= 0 else -min(most, -x.lower)
    upper = 0 if x.upper <= 0 else min(most, x.upper)
    zero = y.lower <= 0 <= y.upper
    return derived(f"({x.sql} % NULLIF({y.sql}, 0))", x.step, lower, upper, [a, b], nullable=zero)


def absolute(a: Number) -> Number:
    """Return |a|."""
    lower = 0 if a.lower <= 0 <= a.upper else min(abs(a.lower), abs(a.upper))
    number = derived(f"abs({a.sql})", a.step, lower, max(abs(a.lower), abs(a.upper)), [a])
    return replace(number, magnitude=a.magnitude)


def sign(a: Number) -> Number:
    """Return -1, 0 or 1."""
    low, high = (a.lower > 0) - (a.lower < 0), (a.upper > 0) - (a.upper < 0)
    return derived(f"sign({a.sql})::BIGINT", Fraction(1), low, high, [a])


def extreme(name: str, numbers: Sequence[Number]) -> Number:
    """Return LEAST or GREATEST, which pass over NULLs."""
    scaled = common(numbers)
    sure = [n for n in scaled if not n.nullable] or None
    lows, highs = [n.lower for n in scaled], [n.upper for n in scaled]
    if name == "least":
        lower, upper = min(lows), min(n.upper for n in sure) if sure else max(highs)
    else:
        lower, upper = max(n.lower for n in sure) if sure else min(lows), max(highs)
    sql = f"{name}({', '.join(n.sql for n in scaled)})"
    number = derived(sql, scaled[0].step, lower, upper, numbers)
    return replace(number, nullable=sure is None)
