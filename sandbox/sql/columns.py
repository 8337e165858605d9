"""How a declared column is read: total DuckDB text over whatever type the source really has.

Numbers are clamped to the card's bounds, rounded half away from zero to its scale and held as whole
units of 10^-scale; dates become days and timestamps whole seconds (rounded down), clamped too. A
value that cannot be read, NaN, and a value outside a declared domain read as NULL. In a column
declared not nullable such a value breaks the card, and a statement that reads the column leaves the
whole row out, so that COUNT(column) is COUNT(*) there.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

from sandbox.catalog import WIDEST_COLUMN, Column, ColumnType, DatasetCard
from sandbox.sql.scalar import Clock, Moment, Number, Scalar, Text, Truth, integer, quoted

DAYS = (date.min - date(1970, 1, 1)).days, (date.max - date(1970, 1, 1)).days
"""What dates without bounds are clamped to: the years 1 to 9999."""


_UNIT_TYPES = {
    ColumnType.INTEGER: "BIGINT",
    ColumnType.DECIMAL: "DOUBLE",
    ColumnType.TEXT: "VARCHAR",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.DATE: "DATE",
    ColumnType.TIMESTAMP: "TIMESTAMP",
}


def identifier(name: str) -> str:
    """Return a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def units(column: Column) -> tuple[int, int]:
    """Return a column's bounds in units of its scale (days, seconds); the widest if undeclared."""
    if column.type is ColumnType.DATE:
        lowest, highest = DAYS
    elif column.type is ColumnType.TIMESTAMP:
        lowest, highest = DAYS[0] * 86400, DAYS[1] * 86400
    else:
        lowest, highest = -WIDEST_COLUMN, WIDEST_COLUMN
    step = Fraction(1, 10**column.scale)
    lower = lowest if column.lower is None else int(Fraction(column.lower) / step)
    upper = highest if column.upper is None else int(Fraction(column.upper) / step)
    return lower, upper


def bounded(column: Column) -> bool:
    """Tell whether the card bounds the column's values."""
    return column.lower is not None and column.upper is not None


def reading(column: Column) -> str:  # noqa: PLR0911 - one case each
    """Return the DuckDB text that reads `column` from its source; total over any source value."""
    source = identifier(column.name)
    if column.type is ColumnType.BOOLEAN:
        return f"TRY_CAST({source} AS BOOLEAN)"
    if column.type is ColumnType.TEXT:
        value = f"TRY_CAST({source} AS VARCHAR)"
        if not column.domain:
            return value
        values = ", ".join(quoted(str(v)) for v in column.domain)
        return f"CASE WHEN {value} IN ({values}) THEN {value} END"
    lower, upper = units(column)
    if column.type is ColumnType.DATE:
        value = f"TRY_CAST({source} AS DATE)"
        return (
            f"CASE WHEN {value} IS NOT NULL THEN least(greatest({value}, {day(lower)}), "
            f"{day(upper)}) - DATE '1970-01-01' END"
        )
    if column.type is ColumnType.TIMESTAMP:
        # By way of an instant, so that an offset in a text counts; sessions are in UTC.
        value = f"TRY_CAST(TRY_CAST({source} AS TIMESTAMPTZ) AS TIMESTAMP)"
        clamped = f"least(greatest({value}, {second(lower)}), {second(upper)})"
        # From the lower bound on, so that // truncates downwards.
        microseconds = f"epoch_us({clamped}) - {integer(lower * 10**6)}"
        return (
            f"CASE WHEN {value} IS NOT NULL THEN ({microseconds}) // 1000000::BIGINT "
            f"+ {integer(lower)} END"
        )
    number = f"TRY_CAST({source} AS DOUBLE)"
    scale = Decimal(10) ** -column.scale
    kept = f"TRY_CAST({source} AS DECIMAL(18, {column.scale}))"
    if max(-lower, upper) * 10**column.scale >= 10**18:
        kept = f"{kept}::DECIMAL(38, {column.scale})"
    kept = f"({kept} * {10**column.scale})::BIGINT" if column.scale else f"{kept}::BIGINT"
    value = (
        f"CASE WHEN isnan({number}) THEN NULL WHEN {number} >= {upper * scale} "
        f"THEN {integer(upper)} WHEN {number} <= {lower * scale} THEN {integer(lower)} "
        f"ELSE {kept} END"
    )
    if not column.domain:
        return value
    values = ", ".join(integer(int(v)) for v in column.domain)
    return f"CASE WHEN ({value}) IN ({values}) THEN ({value}) END"


def unit(card: DatasetCard) -> str:
    """Return the DuckDB text that reads the privacy unit, neither clamped nor rounded.

    As its declared type: " 7" and "7" in a CSV file are one unit of an integer column, and every
    kind of source tells the same units apart.
    """
    (column,) = (c for c in card.columns if c.name == card.privacy_unit)
    return f"TRY_CAST({identifier(column.name)} AS {_UNIT_TYPES[column.type]})"


def day(days: int) -> str:
    """Return the DuckDB date of a day number."""
    return f"(DATE '1970-01-01' + {days}::INTEGER)"


def second(seconds: int) -> str:
    """Return the DuckDB timestamp of a second number."""
    return f"make_timestamp({integer(seconds * 10**6)})"


def scalar(column: Column, sql: str) -> Scalar:
    """Return the column as a row-level value; `sql` is the name it was read under.

    A column that is not nullable is never NULL here: rows that break the card were left out.
    """
    seen = frozenset({column.name})
    nullable = column.nullable
    if column.type is ColumnType.BOOLEAN:
        return Truth(sql, nullable, seen)
    if column.type is ColumnType.TEXT:
        return Text(sql, nullable, seen, tuple(map(str, column.domain)) or None)
    lower, upper = units(column)
    unbounded = "" if bounded(column) or column.domain else column.name
    if column.type in (ColumnType.DATE, ColumnType.TIMESTAMP):
        clock = Clock.DAY if column.type is ColumnType.DATE else Clock.SECOND
        return Moment(sql, clock, lower, upper, nullable, seen, unbounded=unbounded)
    points = tuple(sorted(int(v) for v in column.domain)) or None
    if points:
        lower, upper = max(lower, points[0]), min(upper, points[-1])
    return Number(
        sql,
        Fraction(1, 10**column.scale),
        lower,
        upper,
        nullable,
        seen,
        points=points,
        magnitude=None if column.magnitude is None else Fraction(column.magnitude),
        spread=None if column.spread is None else Fraction(column.spread),
        unbounded=unbounded,
    )
