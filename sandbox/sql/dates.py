"""Parts, truncation and differences of dates and timestamps (DuckDB's meaning; weeks are ISO)."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache

from sandbox.sql.columns import DAYS
from sandbox.sql.scalar import EPOCH, Clock, Moment, Number, derived, missing, moment_literal, reads

MOST_POINTS = 65_536
DAY_PARTS = {
    "quarter": (1, 4),
    "month": (1, 12),
    "day": (1, 31),
    "dayofweek": (0, 6),
    "isodow": (1, 7),
    "dayofyear": (1, 366),
    "week": (1, 53),
}
TIME_PARTS = {"hour": (0, 23), "minute": (0, 59), "second": (0, 59)}
MONTHS = {"year": 12, "quarter": 3, "month": 1}
FIXED = {"week": 604800, "day": 86400, "hour": 3600, "minute": 60, "second": 1}
ALIASES = {"dow": "dayofweek", "doy": "dayofyear", "weekday": "dayofweek", "dayofmonth": "day"}


def source(moment: Moment) -> str:
    """Return the DuckDB DATE or TIMESTAMP that a Moment stands for."""
    if moment.clock is Clock.DAY:
        return f"(DATE '1970-01-01' + {moment.sql}::INTEGER)"
    return f"make_timestamp({moment.sql} * 1000000::BIGINT)"


def start(moment: Moment) -> datetime:
    """Return the earliest time a Moment can be."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment.lower * moment.clock.value)


def end(moment: Moment) -> datetime:
    """Return the latest time a Moment can be."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment.upper * moment.clock.value)


def part(name: str, moment: Moment) -> Number | None:
    """Return a part such as year, month or hour as an integer; None for a name not known."""
    name = ALIASES.get(name, name)
    if name == "year":
        bounds = start(moment).year, end(moment).year
    elif name in DAY_PARTS:
        bounds = DAY_PARTS[name]
    elif name in TIME_PARTS and moment.clock is Clock.SECOND:
        bounds = TIME_PARTS[name]
    else:
        return None
    number = derived(f"{name}({source(moment)})::BIGINT", Fraction(1), *bounds, [moment])
    return Number(**{**vars(number), "unbounded": moment.unbounded if name == "year" else ""})


def truncated(name: str, moment: Moment) -> Moment | None:
    """Return the start of the year, quarter, month, week, day, hour, minute; None if not known."""
    hours = ("hour", "minute", "second")
    if name not in ("year", "quarter", "month", "week", "day", *hours):
        return None
    if moment.clock is Clock.DAY and name in hours:
        return None
    cut = f"date_trunc('{name}', {source(moment)})"
    if moment.clock is Clock.DAY:
        sql = f"({cut}::DATE - DATE '1970-01-01')"
    else:
        sql = f"(epoch_us({cut}::TIMESTAMP) // 1000000::BIGINT)"
    points = _points(name, moment)
    return Moment(
        sql,
        moment.clock,
        _clock(moment, _cut(name)(start(moment))),
        moment.upper,
        moment.nullable,
        moment.reads,
        points=points,
        unbounded=moment.unbounded,
    )


def _points(name: str, moment: Moment) -> tuple[int, ...] | None:
    if moment.unbounded:
        return None
    return _starts(name, moment.clock, _cut(name)(start(moment)), end(moment), moment.upper)


@lru_cache(maxsize=8)
def _starts(
    name: str, clock: Clock, first: datetime, last: datetime, upper: int
) -> tuple[int, ...] | None:
    """Return the starts of the periods from `first` to `last`; None if there are too many.

    Counted before they are listed: a statement can ask for hundreds of lists.
    """
    if name in FIXED:
        at = int((first - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) // clock.value
        starts = range(at, upper + 1, FIXED[name] // clock.value)
        return tuple(starts) if len(starts) <= MOST_POINTS else None
    months = range(12 * first.year + first.month - 1, 12 * last.year + last.month, MONTHS[name])
    if len(months) > MOST_POINTS:
        return None
    day = Clock.DAY.value // clock.value
    return tuple((date(m // 12, m % 12 + 1, 1) - EPOCH).days * day for m in months)


def _clock(moment: Moment, at: datetime) -> int:
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) // moment.clock.value


def _cut(name: str) -> Callable[[datetime], datetime]:
    def cut(at: datetime) -> datetime:
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        if name == "year":
            return midnight.replace(month=1, day=1)
        if name == "quarter":
            return midnight.replace(month=(at.month - 1) // 3 * 3 + 1, day=1)
        if name == "month":
            return midnight.replace(day=1)
        if name == "week":
            return midnight - timedelta(days=at.weekday())
        seconds = int((at - midnight).total_seconds())
        return midnight + timedelta(seconds=seconds - seconds % FIXED[name])

    return cut


def difference(name: str, a: Moment, b: Moment) -> Number | None:
    """Return how many boundaries of `name` lie between a and b; None for a name not known."""
    if name not in ("year", "quarter", "month", *FIXED):
        return None
    # A week or more of slack: boundaries crossed differ from time elapsed by at most one.
    length = {"year": 365 * 86400, "quarter": 90 * 86400, "month": 28 * 86400}.get(name) or FIXED[
        name
    ]
    low = int((start(b) - end(a)).total_seconds()) // length - 1
    high = int((end(b) - start(a)).total_seconds()) // length + 1
    return derived(f"date_diff('{name}', {source(a)}, {source(b)})", Fraction(1), low, high, [a, b])


def shifted(moment: Moment, days: Number) -> Moment | None:
    """Return a date some whole days later; None where that is not a date."""
    if moment.clock is not Clock.DAY or days.exact is None or days.exact.denominator != 1:
        return None
    offset = int(days.exact)
    if moment.lower + offset < DAYS[0] or moment.upper + offset > DAYS[1]:
        return None
    points = None if moment.points is None else tuple(p + offset for p in moment.points)
    return Moment(
        f"({moment.sql} + {offset}::BIGINT)",
        moment.clock,
        moment.lower + offset,
        moment.upper + offset,
        missing([moment, days]),
        reads([moment, days]),
        points=points,
        unbounded=moment.unbounded,
    )


def later(seconds: int, count: int, unit: str) -> Moment | None:
    """Return a time some units of an INTERVAL later, a month's last day for one that it has not; None
    for a unit that is not known or a time outside of the calendar."""
    name = unit.lower().removesuffix("s")
    at = datetime(1970, 1, 1) + timedelta(seconds=seconds)
    try:
        if name in MONTHS:
            months = 12 * at.year + at.month - 1 + count * MONTHS[name]
            year, month = months // 12, months % 12 + 1
            at = at.replace(year=year, month=month, day=min(at.day, monthrange(year, month)[1]))
        elif name in FIXED:
            at += timedelta(seconds=count * FIXED[name])
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return moment_literal(at.isoformat(" "))


def label(moment: Moment, at: int) -> str:
    """Return the ISO text of a value: 2020-01-31, or 2020-01-31 12:00:00."""
    if moment.clock is Clock.DAY:
        return (EPOCH + timedelta(days=at)).isoformat()
    return (datetime(1970, 1, 1) + timedelta(seconds=at)).isoformat(" ")


def date_of(moment: Moment) -> Moment | None:
    """Return the day of a timestamp."""
    if moment.clock is Clock.DAY:
        return moment
    day = truncated("day", moment)
    if day is None:
        return None
    length = Clock.DAY.value
    points = None if day.points is None else tuple(p // length for p in day.points)
    # A day's start is a whole multiple of its length, so // is exact below zero too.
    return Moment(
        f"({day.sql} // {length}::BIGINT)",
        Clock.DAY,
        day.lower // length,
        day.upper // length,
        day.nullable,
        day.reads,
        points=points,
        unbounded=day.unbounded,
    )
