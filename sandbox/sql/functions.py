"""The allow-list of row-level functions: SQL name and argument types to a total expression.

What is not here does not exist: a function reaches DuckDB only as text that this module or
`scalar` wrote itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeVar

from sandbox.sql import arithmetic, dates, scalar
from sandbox.sql.scalar import Mismatch, Moment, Number, Scalar, Text, Truth

T = TypeVar("T")
Builder = Callable[[Sequence[Scalar]], Scalar]


@dataclass(frozen=True)
class Function:
    """Number of arguments and how to build the value; Mismatch is raised for wrong types."""

    fewest: int
    most: int
    build: Builder


def number(value: Scalar) -> Number:
    """Return `value` as a number; a boolean is 0 or 1. Raises Mismatch."""
    if isinstance(value, Truth):
        return scalar.as_number(value)
    if not isinstance(value, Number):
        raise Mismatch
    return value


def whole(value: Scalar) -> int:
    """Return a literal whole number. Raises Mismatch."""
    if not isinstance(value, Number) or value.exact is None or value.exact.denominator != 1:
        raise Mismatch
    return int(value.exact)


def moment(value: Scalar) -> Moment:
    """Return `value` as a date or timestamp; an ISO text literal is one. Raises Mismatch."""
    if isinstance(value, Text):
        return scalar.moment_literal(value.exact)
    if not isinstance(value, Moment):
        raise Mismatch
    return value


def literal(value: Scalar) -> str:
    """Return the text of a string literal. Raises Mismatch."""
    if not isinstance(value, Text) or value.exact is None:
        raise Mismatch
    return value.exact


def _text(value: Scalar) -> Text:
    if not isinstance(value, Text):
        raise Mismatch
    return value


def _known(value: T | None) -> T:
    if value is None:
        raise Mismatch
    return value


def _numeric(build: Callable[[Number], Number]) -> Function:
    return Function(1, 1, lambda args: build(number(args[0])))


def _part(name: str) -> Function:
    return Function(1, 1, lambda args: _known(dates.part(name, moment(args[0]))))


def _real(name: str, value: Callable[[float], float], domain: str, least: int | None) -> Function:
    return _numeric(lambda a: arithmetic.real_function(name, a, value, domain, least))


def _round(args: Sequence[Scalar]) -> Scalar:
    digits = whole(args[1]) if len(args) == 2 else 0
    if not -18 <= digits <= 18:
        raise Mismatch
    return arithmetic.rounded(number(args[0]), digits)


def _ceiling(a: Number) -> Number:
    return arithmetic.negate(arithmetic.floored(arithmetic.negate(a)))


def _power(args: Sequence[Scalar]) -> Scalar:
    base, exponent = number(args[0]), args[1]
    if isinstance(exponent, Number) and exponent.exact == Fraction(1, 2):
        return arithmetic.real_function("sqrt", base, math.sqrt, ">= 0", 0)
    times = whole(exponent)
    if not 0 <= times <= 8:
        raise Mismatch
    result = scalar.constant(Fraction(1))
    for _ in range(times):
        result = arithmetic.multiply(base, result)
    if times % 2 == 0 and result.exact is None:
        # An even power is never negative; interval arithmetic alone would not know.
        result = replace(result, lower=max(result.lower, 0))
    return result


def _whole_quotient(args: Sequence[Scalar]) -> Scalar:
    a, b = number(args[0]), number(args[1])
    if a.step.denominator != 1 or b.step.denominator != 1:
        raise Mismatch
    a, b = scalar.common([a, b])
    # Towards zero, so monotone in each on each side of zero; NULL for a divisor of zero.
    divisors = {d for d in (b.lower, b.upper, -1, 1) if b.lower <= d <= b.upper and d}
    corners = [abs(x) // abs(d) * (1 if x * d >= 0 else -1)
               for x in (a.lower, a.upper) for d in divisors]  # fmt: skip
    zero = b.lower <= 0 <= b.upper
    return scalar.derived(
        f"({a.sql} // NULLIF({b.sql}, 0))",
        Fraction(1),
        min([0, *corners] if a.lower <= 0 <= a.upper else corners, default=0),
        max([0, *corners] if a.lower <= 0 <= a.upper else corners, default=0),
        [a, b],
        nullable=zero,
    )


def bucket(args: Sequence[Scalar]) -> Number:
    """Return WIDTH_BUCKET(x, low, high, n): 0 below, 1..n within, n + 1 from `high` on."""
    value, low, high, count = (number(a) for a in args)
    n = whole(count)
    if low.exact is None or high.exact is None or low.exact >= high.exact or n < 1:
        raise Mismatch
    width = (high.exact - low.exact) / n
    offset = arithmetic.subtract(value, low)
    index = arithmetic.floored(arithmetic.divide(offset, scalar.constant(width)))
    place = arithmetic.add(index, scalar.constant(Fraction(1)))
    place = scalar.rescale(place, Fraction(1)) if place.exact is None else place
    if place.lower >= 0 and place.upper <= n + 1:
        return place
    lowest, highest = max(0, place.lower), min(n + 1, place.upper)
    sql = (
        f"CASE WHEN {place.sql} < 0 THEN 0::BIGINT WHEN {place.sql} > {n + 1} "
        f"THEN {scalar.integer(n + 1)} ELSE {place.sql} END"
    )
    return scalar.derived(f"({sql})", Fraction(1), min(lowest, n + 1), max(highest, 0), [value])


def _image(value: Text, sql: str, image: Callable[[str], str]) -> Text:
    # Python and DuckDB agree on letters beyond ASCII only by luck, so those lose their domain.
    known = value.domain is not None and all(v.isascii() for v in value.domain)
    domain = tuple(dict.fromkeys(image(v) for v in value.domain or ())) if known else None
    return Text(sql, value.nullable, value.reads, domain)


def _letters(name: str, image: Callable[[str], str]) -> Function:
    def build(args: Sequence[Scalar]) -> Scalar:
        value = _text(args[0])
        return _image(value, f"{name}({value.sql})", image)

    return Function(1, 1, build)


def _slice(args: Sequence[Scalar]) -> Scalar:
    value, start = _text(args[0]), whole(args[1])
    length = whole(args[2]) if len(args) == 3 else 10**6
    if not 1 <= start <= 10**6 or not 0 <= length <= 10**6:
        raise Mismatch
    return _image(
        value,
        f"substring({value.sql}, {start}, {length})",
        lambda v: v[start - 1 : start - 1 + length],
    )


def _left(args: Sequence[Scalar]) -> Scalar:
    return _slice([args[0], scalar.constant(Fraction(1)), args[1]])


def _length(args: Sequence[Scalar]) -> Scalar:
    value = _text(args[0])
    longest = 2**52 if value.domain is None else max(map(len, value.domain), default=0)
    result = scalar.derived(f"length({value.sql})::BIGINT", Fraction(1), 0, longest, [value])
    return replace(result, unbounded="length" if value.domain is None else "")


def _begins(name: str) -> Function:
    def build(args: Sequence[Scalar]) -> Scalar:
        value, piece = _text(args[0]), literal(args[1])
        return Truth(f"{name}({value.sql}, {scalar.quoted(piece)})", value.nullable, value.reads)

    return Function(2, 2, build)


def _nullif(args: Sequence[Scalar]) -> Scalar:
    a, b = scalar.aligned(args)
    if isinstance(a, scalar.Null):
        raise Mismatch
    sql = f"NULLIF({a.sql}, {b.sql})"
    seen = scalar.reads(args)
    if isinstance(a, Number):
        return replace(a, sql=sql, nullable=True, reads=seen, exact=None)
    if isinstance(a, Text):
        return replace(a, sql=sql, nullable=True, reads=seen, exact=None)
    return replace(a, sql=sql, nullable=True, reads=seen)


def _coalesce(args: Sequence[Scalar]) -> Scalar:
    nullable = all(a.nullable for a in args)
    return scalar.choice(lambda sqls: f"coalesce({', '.join(sqls)})", args, nullable)


def _extreme(name: str) -> Function:
    return Function(1, 20, lambda args: arithmetic.extreme(name, [number(a) for a in args]))


def _date_part(args: Sequence[Scalar]) -> Scalar:
    return _known(dates.part(literal(args[0]).lower(), moment(args[1])))


def _date_trunc(args: Sequence[Scalar]) -> Scalar:
    return _known(dates.truncated(literal(args[0]).lower(), moment(args[1])))


def _date_diff(args: Sequence[Scalar]) -> Scalar:
    return _known(dates.difference(literal(args[0]).lower(), moment(args[1]), moment(args[2])))


FUNCTIONS: dict[str, Function] = {
    "abs": _numeric(arithmetic.absolute),
    "sign": _numeric(arithmetic.sign),
    "floor": _numeric(arithmetic.floored),
    "ceil": _numeric(_ceiling),
    "ceiling": _numeric(_ceiling),
    "trunc": _numeric(arithmetic.truncated),
    "round": Function(1, 2, _round),
    "power": Function(2, 2, _power),
    "mod": Function(2, 2, lambda args: arithmetic.remainder(number(args[0]), number(args[1]))),
    "divide": Function(2, 2, _whole_quotient),
    "sqrt": _real("sqrt", math.sqrt, ">= 0", 0),
    "exp": _real("exp", math.exp, "IS NOT NULL", None),
    "ln": _real("ln", math.log, "> 0", 1),
    "log10": _real("log10", math.log10, "> 0", 1),
    "log2": _real("log2", math.log2, "> 0", 1),
    "least": _extreme("least"),
    "greatest": _extreme("greatest"),
    "width_bucket": Function(4, 4, bucket),
    "coalesce": Function(1, 20, _coalesce),
    "nullif": Function(2, 2, _nullif),
    "lower": _letters("lower", str.lower),
    "upper": _letters("upper", str.upper),
    "trim": _letters("trim", lambda v: v.strip(" ")),
    "left": Function(2, 2, _left),
    "substring": Function(2, 3, _slice),
    "length": Function(1, 1, _length),
    "starts_with": _begins("starts_with"),
    "contains": _begins("contains"),
    "date_part": Function(2, 2, _date_part),
    "date_trunc": Function(2, 2, _date_trunc),
    "date_diff": Function(3, 3, _date_diff),
    **{name: _part(name) for name in ("year", *dates.DAY_PARTS, *dates.TIME_PARTS)},
}
