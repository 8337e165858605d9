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
from datetime import date, datetime, timedelta
from enum import Enum
from fractions import Fraction
from math import gcd

NARROW = 2**62
"""Largest magnitude kept as BIGINT: a sum of two still fits."""
WIDEST = 2**120
"""Largest magnitude of any row-level integer; HUGEINT holds it with room for a sum."""
EPOCH = date(1970, 1, 1)
LARGEST = Fraction(10**60)
"""Largest step of a lattice, and its inverse the smallest: doubles hold every product of two."""


class TooWide(ValueError):
    """An interval left the range of HUGEINT."""


class Mismatch(ValueError):
    """Two values of types that do not go together."""


@dataclass(frozen=True)
class Number:
    """x = step * u. `points`: all values of u, where they are few; `exact`: the value if constant.

    `magnitude`, `spread`: a typical |x| and a typical standard deviation, as declared. `unbounded`:
    a column without bounds that flows into it.
    `rounded`: whether this value itself was rounded to `step`, not exact.
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
    spread: Fraction | None = None
    unbounded: str = ""
    rounded: bool = False

    def __post_init__(self) -> None:
        widest = max(abs(self.lower), abs(self.upper))
        if widest > WIDEST or not 1 / LARGEST <= self.step <= LARGEST:
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


def meaning(value: Scalar) -> tuple[type, str, Fraction]:
    """Return what is equal for values that are equal in every row: a multiple of a number has its SQL
    and another step."""
    return type(value), value.sql, value.step if isinstance(value, Number) else Fraction(1)


def reads(values: Sequence[Scalar]) -> frozenset[str]:
    """Return the columns that any of `values` reads."""
    return frozenset[str]().union(*(value.reads for value in values))


def missing(values: Sequence[Scalar]) -> bool:
    """Tell whether a NULL among `values` is possible."""
    return any(value.nullable for value in values)


def _unbounded(values: Sequence[Scalar]) -> str:
    names = (v.unbounded for v in values if isinstance(v, Number | Moment))
    return next((name for name in names if name), "")


def wide(sql: str, *intervals: int) -> str:
    """Return `sql` as HUGEINT where one of `intervals` needs it."""
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
        sql = f"({wide(number.sql, lower, upper)} * {integer(factor)})"
    points = None if number.points is None else tuple(p * factor for p in number.points)
    return replace(number, sql=sql, step=step, lower=lower, upper=upper, points=points)


def common(numbers: Sequence[Number]) -> list[Number]:
    """Return the numbers on the coarsest lattice that holds them all exactly."""
    step = common_step([number.step for number in numbers])
    return [rescale(number, step) for number in numbers]


def common_step(steps: Sequence[Fraction]) -> Fraction:
    """Return the largest step that divides all of `steps`."""
    common, *rest = steps
    for step in rest:
        common = Fraction(
            gcd(common.numerator * step.denominator, step.numerator * common.denominator),
            common.denominator * step.denominator,
        )
    return common


def derived(
    sql: str, step: Fraction, lower: int, upper: int, of: Sequence[Scalar], nullable: bool = False
) -> Number:
    """Return a number computed from `of`: NULL if any of them is, or where `nullable` says so."""
    return Number(
        sql, step, lower, upper, nullable or missing(of), reads(of), unbounded=_unbounded(of)
    )


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
    null_safe = operator.startswith("IS")
    if isinstance(a, Null) or isinstance(b, Null):
        if not null_safe:
            return Truth("NULL::BOOLEAN", nullable=True, reads=reads([a, b]))
        return Truth(f"({a.sql} {operator} {b.sql})", reads=reads([a, b]))
    x, y = aligned([a, b])
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
    """Return the Moment an ISO date or timestamp (UTC, whole seconds) names.

    Raises Mismatch for anything else: a fraction of a second could not be compared exactly, and
    databases disagree about what an offset means.
    """
    if value is None:
        raise Mismatch
    try:
        if len(value) <= 10:
            days = (date.fromisoformat(value) - EPOCH).days
            return Moment(integer(days), Clock.DAY, days, days, points=(days,))
        at = datetime.fromisoformat(value)
    except ValueError:
        raise Mismatch from None
    if at.tzinfo or at.microsecond:
        raise Mismatch
    seconds = (at - datetime(1970, 1, 1)) // timedelta(seconds=1)
    return Moment(integer(seconds), Clock.SECOND, seconds, seconds, points=(seconds,))
