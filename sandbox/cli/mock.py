"""Rows made from a dataset card alone, to develop against: uniform within what is declared.

They say nothing about anybody's rows, pass the check of their own card, and equal cards give equal
rows.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from sandbox.catalog import Column, ColumnType, DatasetCard
from sandbox.errors import InputError

NULL_SHARE = 0.05
EPOCH = date(1970, 1, 1)
DAY_S = 86_400
UNDECLARED = {
    ColumnType.INTEGER: (0, 1000),
    ColumnType.DECIMAL: (0, 1000),
    # 1970-01-01 to 2030-01-01.
    ColumnType.DATE: (0, 21_915),
    ColumnType.TIMESTAMP: (0, 21_915 * DAY_S),
}
"""The range of a column that its card does not bound."""
_DAYS = (date.min - EPOCH).days, (date.max - EPOCH).days
POSSIBLE = {
    ColumnType.INTEGER: (-(2**53), 2**53),
    ColumnType.DECIMAL: (-(2**53), 2**53),
    ColumnType.DATE: _DAYS,
    ColumnType.TIMESTAMP: (_DAYS[0] * DAY_S, _DAYS[1] * DAY_S),
}
"""What files and Python can say, in units of the column's scale, days or seconds."""
ARROW = {
    ColumnType.INTEGER: pa.int64(),
    ColumnType.DECIMAL: pa.float64(),
    ColumnType.TEXT: pa.string(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.DATE: pa.date32(),
    ColumnType.TIMESTAMP: pa.timestamp("s"),
}


def write_mock(card: DatasetCard, file: Path, rows: int) -> int:
    """Write made-up rows of `card` to `file` (.csv or .parquet) and return how many.

    At most as many as the card's row bound. Raises InputError SB-1362 for another kind of file.
    """
    if file.suffix not in (".csv", ".parquet"):
        raise InputError("SB-1362", file=str(file))
    table = mock_table(card, rows)
    with file.open("wb") as opened:  # Errors of pyarrow's own opening name no file.
        if file.suffix == ".csv":
            pyarrow.csv.write_csv(table, opened)
        else:
            pyarrow.parquet.write_table(table, opened)
    return int(table.num_rows)


def mock_table(card: DatasetCard, rows: int) -> pa.Table:
    """Return made-up rows of `card`, `contribution_cap` of each unit as far as units suffice."""
    chance = random.Random(0)  # noqa: S311 - equal cards shall give equal rows
    count = min(rows, card.row_bound)
    columns = {
        column.name: pa.array(
            _units(column, count, card.contribution_cap)
            if column.name == card.privacy_unit
            else _values(column, count, chance),
            ARROW[column.type],
        )
        for column in card.columns
    }
    return pa.table(columns)


def _units(column: Column, count: int, cap: int) -> list[Any]:
    return [_nth(column, row // cap) for row in range(count)]


def _nth(column: Column, number: int) -> Any:
    """Return the value that stands for unit `number`; values repeat where there are too few."""
    if column.domain:
        return column.domain[number % len(column.domain)]
    if column.type is ColumnType.TEXT:
        return f"unit-{number:06}"
    if column.type is ColumnType.BOOLEAN:
        return number % 2 == 0
    lower, upper = _range(column)
    return _written(column, lower + number % (upper - lower + 1))


def _values(column: Column, count: int, chance: random.Random) -> list[Any]:
    draw = _drawn(column, chance)
    if not column.nullable:
        return [draw() for _ in range(count)]
    return [None if chance.random() < NULL_SHARE else draw() for _ in range(count)]


def _drawn(column: Column, chance: random.Random) -> Callable[[], Any]:
    if column.domain:
        return lambda: chance.choice(column.domain)
    if column.type is ColumnType.TEXT:
        return lambda: f"{column.name}-{chance.randrange(1000):03}"
    if column.type is ColumnType.BOOLEAN:
        return lambda: chance.random() < 0.5
    lower, upper = _range(column)
    return lambda: _written(column, chance.randint(lower, upper))


def _range(column: Column) -> tuple[int, int]:
    """Return the column's bounds in units of its scale, days or seconds since 1970-01-01."""
    step = 10**column.scale
    lowest, highest = POSSIBLE[column.type]
    low, high = UNDECLARED[column.type]
    lower = int((Decimal(low) if column.lower is None else column.lower) * step)
    upper = int((Decimal(high) if column.upper is None else column.upper) * step)
    return min(max(lower, lowest), highest), min(max(upper, lowest), highest)


def _written(column: Column, units: int) -> Any:
    if column.type is ColumnType.INTEGER:
        return units
    if column.type is ColumnType.DECIMAL:
        return units / 10**column.scale
    if column.type is ColumnType.DATE:
        return EPOCH + timedelta(days=units)
    return datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None) + timedelta(seconds=units)
