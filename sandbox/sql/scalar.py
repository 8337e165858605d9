"""Row-level values as total DuckDB text: typed, with bounds known from the card alone.

A number is an integer `u` with x = step * u, `step` an exact fraction, so that +, -, * and division
by a constant are exact; the interval [lower, upper] of `u` is carried along, decides between BIGINT
and HUGEINT, and becomes the sensitivity of an aggregate. Dates are days, timestamps seconds since
1970-01-01. No expression built here can raise on any row: integers cannot overflow their interval,
a zero divisor gives NULL, casts are TRY_CASTs and float functions only see their own domain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from fractions import Fraction
from math import ceil, floor, gcd

NARROW = 2**62
"""Largest magnitude kept as BIGINT: a sum of two still fits."""
WIDEST = 2**120
"""Largest magnitude of any row-level integer; HUGEINT holds it with room for a sum."""
DIGITS = 6
"""Decimal digits kept by division and by functions whose value is not exact."""
EPOCH = date(1970, 1, 1)


class TooWide(ValueError):
    """An interval left the range of HUGEINT."""


class Mismatch(ValueError):
    """Two values of types that do not go together."""


@dataclass(frozen=True)
class Number:
    """x = step * u. `points`: all values of u, where they are few; `exact`: the value if constant.

    `magnitude`: a typical |x| as declared. `unbounded`: a column without bounds that flows into it.
    """

    sql: str
    step: Fraction
    lower: int
    upper: int
    nullable: bool = False
    reads: frozenset[str] = frozenset()
    points: tuple[int, ...] | None = None
    exact: Fraction | None = None
    magnitude: Fraction | None = None
    unbounded: str = ""

    def __post_init__(self) -> None:
        if max(abs(self.lower), abs(self.upper)) > WIDEST:
            raise TooWide


@dataclass(frozen=True)
class Truth:
    """A boolean in SQL's three-valued logic."""

    sql: str
    nullable: bool = False
    reads: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Text:
    """A string; `domain`: all its values where declared; `exact`: the value if constant."""

    sql: str
    nullable: bool = False
    reads: frozenset[str] = frozenset()
    domain: tuple[str, ...] | None = None
    exact: str | None = None


class Clock(Enum):
    """Seconds in one unit of a Moment."""

    DAY = 86400
    SECOND = 1


@dataclass(frozen=True)
class Moment:
    """A date (days) or timestamp (seconds) since 1970-01-01; `points` as for Number."""

    sql: str
    clock: Clock
    lower: int
    upper: int
    nullable: bool = False
    reads: frozenset[str] = frozenset()
    points: tuple[int, ...] | None = None
    unbounded: str = ""


@dataclass(frozen=True)
class Null:
    """The literal NULL before its type is known."""

    sql: str = "NULL"
    nullable: bool = True
    reads: frozenset[str] = frozenset()


Scalar = Number | Truth | Text | Moment | Null


def integer(value: int) -> str:
    """Return an integer literal of an explicit type: DuckDB's INTEGER would overflow early."""
    return f"{value}::{'BIGINT' if abs(value) <= NARROW else 'HUGEINT'}"


def quoted(text: str) -> str:
    """Return a string literal."""
    return "'" + text.replace("'", "''") + "'"


def constant(value: Fraction) -> Number:
    """Return a literal number."""
    sign = (value > 0) - (value < 0)
    step = abs(value) or Fraction(1)
    return Number(
        integer(sign), step, sign, sign, points=(sign,), exact=value, magnitude=abs(value)
    )


def text(value: str) -> Text:
    """Return a literal string."""
    return Text(quoted(value), domain=(value,), exact=value)


def reads(values: Sequence[Scalar]) -> frozenset[str]:
    """Return the columns that any of `values` reads."""
    return frozenset[str]().union(*(value.reads for value in values))


def missing(values: Sequence[Scalar]) -> bool:
    """Tell whether a NULL among `values` is possible."""
    return any(value.nullable for value in values)


def _unbounded(values: Sequence[Scalar]) -> str:
    names = (v.unbounded for v in values if isinstance(v, Number | Moment))
    return next((name for name in names if name), "")


def _wide(sql: str, *intervals: int) -> str:
    return f"{sql}::HUGEINT" if max(map(abs, intervals)) > NARROW else sql


def rescale(number: Number, step: Fraction) -> Number:
    """Return the same value on the finer lattice `step`, which must divide number.step."""
    factor = int(number.step / step)
    if factor == 1:
        return number
    lower, upper = number.lower * factor, number.upper * factor
    if max(abs(lower), abs(upper)) > WIDEST:
        raise TooWide
    if number.exact is not None:
        sql = integer(lower)
    else:
        sql = f"({_wide(number.sql, lower, upper)} * {integer(factor)})"
    points = None if number.points is None else tuple(p * factor for p in number.points)
    return replace(number, sql=sql, step=step, lower=lower, upper=upper, points=points)


def common(numbers: Sequence[Number]) -> list[Number]:
    """Return the numbers on the coarsest lattice that holds them all exactly."""
    step = numbers[0].step
    for number in numbers[1:]:
        step = Fraction(
            gcd(
                step.numerator * number.step.denominator,
                number.step.numerator * step.denominator,
            ),
            step.denominator * number.step.denominator,
        )
    return [rescale(number, step) for number in numbers]


def derived(
    sql: str, step: Fraction, lower: int, upper: int, of: Sequence[Scalar], nullable: bool = False
) -> Number:
    """Return a number computed from `of`: NULL if any of them is, or where `nullable` says so."""
    return Number(
        sql, step, lower, upper, nullable or missing(of), reads(of), unbounded=_unbounded(of)
    )


def add(a: Number, b: Number) -> Number:
    """Return a + b, exact."""
    if a.exact is not None and b.exact is not None:
        return constant(a.exact + b.exact)
    x, y = common([a, b])
    lower, upper = x.lower + y.lower, x.upper + y.upper
    sql = f"({_wide(x.sql, lower, upper)} + {y.sql})"
    sum_ = derived(sql, x.step, lower, upper, [a, b])
    known = [m for m in (a.magnitude, b.magnitude) if m is not None]
    return replace(sum_, magnitude=max(known) if len(known) == 2 else None)


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
    difference = derived(f"({_wide(x.sql, lower, upper)} - {y.sql})", x.step, lower, upper, [a, b])
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
        return replace(scaled, step=a.step * abs(b.exact), magnitude=product)
    corners = [x * y for x in (a.lower, a.upper) for y in (b.lower, b.upper)]
    lower, upper = min(corners), max(corners)
    if a.sql == b.sql:
        lower = max(lower, 0)
    sql = f"({_wide(a.sql, lower, upper)} * {b.sql})"
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
    rounded = f"round({sql})::{kind}"
    return derived(rounded, Fraction(1, 10**DIGITS), low, high, of, nullable)


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
    scaled = f"{_wide(a.sql, a.lower * p, a.upper * p, shift * q)} * {integer(p)}"
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
    wide = _wide(a.sql, a.lower * p * 2 + q, a.upper * p * 2 + q)
    sql = f"(({wide} * {integer(2 * p)} + {integer(q)} * sign({a.sql})) // {integer(2 * q)})"
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
    sql = f"({_wide(a.sql, a.lower * p, a.upper * p)} * {integer(p)} // {integer(q)})"
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


def choice(build: Callable[[list[str]], str], branches: Sequence[Scalar], nullable: bool) -> Scalar:
    """Return one of `branches`, brought to one type; `build` makes the SQL of their SQLs.

    Used by CASE and COALESCE. Raises Mismatch across types.
    """
    typed = [b for b in branches if not isinstance(b, Null)]
    if not typed:
        raise Mismatch
    together = aligned(typed)
    texts = iter(together)
    sql = build(["NULL" if isinstance(b, Null) else next(texts).sql for b in branches])
    seen = reads(branches)
    first = together[0]
    if isinstance(first, Number):
        numbers = [n for n in together if isinstance(n, Number)]
        points = _union([n.points for n in numbers])
        known = [n.magnitude for n in numbers if n.magnitude is not None]
        return Number(
            sql,
            first.step,
            min(n.lower for n in numbers),
            max(n.upper for n in numbers),
            nullable,
            seen,
            points=points,
            magnitude=max(known) if len(known) == len(numbers) else None,
            unbounded=_unbounded(numbers),
        )
    if isinstance(first, Moment):
        moments = [m for m in together if isinstance(m, Moment)]
        return Moment(
            sql,
            first.clock,
            min(m.lower for m in moments),
            max(m.upper for m in moments),
            nullable,
            seen,
            points=_union([m.points for m in moments]),
            unbounded=_unbounded(moments),
        )
    if isinstance(first, Text):
        domains = [t.domain for t in together if isinstance(t, Text)]
        domain: tuple[str, ...] | None = None
        if all(d is not None for d in domains):
            domain = tuple(dict.fromkeys(value for d in domains for value in d or ()))
        return Text(sql, nullable, seen, domain)
    return Truth(sql, nullable, seen)


def reading_also(value: Scalar, columns: frozenset[str]) -> Scalar:
    """Return `value`, which also depends on `columns`."""
    return replace(value, reads=value.reads | columns)


def _union(points: Sequence[tuple[int, ...] | None]) -> tuple[int, ...] | None:
    if any(p is None for p in points):
        return None
    return tuple(sorted({value for p in points for value in p or ()}))


def aligned(values: Sequence[Scalar]) -> list[Scalar]:
    """Return values of one type and lattice; text literals beside dates become dates.

    Raises Mismatch where types do not go together.
    """
    if any(isinstance(v, Moment) for v in values):
        moments = [moment_literal(v.exact) if isinstance(v, Text) else v for v in values]
        moments = [m for m in moments if isinstance(m, Moment)]
        if len(moments) != len(values):
            raise Mismatch
        if len({m.clock for m in moments if isinstance(m, Moment)}) > 1:
            moments = [as_seconds(m) for m in moments if isinstance(m, Moment)]
        return list(moments)
    kinds = {type(v) for v in values}
    if len(kinds) != 1:
        raise Mismatch
    numbers = [v for v in values if isinstance(v, Number)]
    return list(common(numbers)) if numbers else list(values)


def compare(operator: str, a: Scalar, b: Scalar) -> Truth:
    """Return a comparison; operator is SQL (=, <>, <, <=, >, >=, IS [NOT] DISTINCT FROM)."""
    if isinstance(a, Null) or isinstance(b, Null):
        raise Mismatch
    x, y = aligned([a, b])
    null_safe = operator.startswith("IS")
    return Truth(f"({x.sql} {operator} {y.sql})", not null_safe and missing([a, b]), reads([a, b]))


def as_number(truth: Truth) -> Number:
    """Return 1 for true, 0 for false."""
    return Number(
        f"{truth.sql}::BIGINT", Fraction(1), 0, 1, truth.nullable, truth.reads, points=(0, 1)
    )


def as_seconds(moment: Moment) -> Moment:
    """Return a date as the timestamp of its midnight."""
    if moment.clock is Clock.SECOND:
        return moment
    day = Clock.DAY.value
    points = None if moment.points is None else tuple(p * day for p in moment.points)
    sql = f"({moment.sql} * {integer(day)})"
    return replace(
        moment,
        sql=sql,
        clock=Clock.SECOND,
        lower=moment.lower * day,
        upper=moment.upper * day,
        points=points,
    )


def moment_literal(value: str | None) -> Moment:
    """Return the Moment an ISO date or timestamp names. Raises Mismatch for anything else."""
    if value is None:
        raise Mismatch
    try:
        if len(value) <= 10:
            days = (date.fromisoformat(value) - EPOCH).days
            return Moment(integer(days), Clock.DAY, days, days, points=(days,))
        seconds = seconds_of(datetime.fromisoformat(value))
    except ValueError:
        raise Mismatch from None
    return Moment(integer(seconds), Clock.SECOND, seconds, seconds, points=(seconds,))


def seconds_of(moment: datetime) -> int:
    """Return whole seconds since 1970-01-01; a time without a zone is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
