"""Rows made from a dataset card alone, to develop against: uniform within what is declared.

They say nothing about anybody's rows, and equal cards give equal rows.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from sandbox.catalog import Column, ColumnType, DatasetCard
from sandbox.errors import InputError

NULL_SHARE = 0.05
UNBOUNDED = (Decimal(0), Decimal(1000))
EPOCH = datetime.datetime(1970, 1, 1)
# 1970-01-01 to 2030-01-01 where a card bounds neither dates nor timestamps.
UNBOUNDED_DAYS = (Decimal(0), Decimal(21_915))


def write_mock(card: DatasetCard, file: Path, rows: int) -> None:
    """Write `rows` made-up rows of `card` to `file` (.csv or .parquet); raises InputError SB-1362."""
    table = mock_table(card, rows)
    if file.suffix == ".csv":
        pyarrow.csv.write_csv(table, file)
    elif file.suffix == ".parquet":
        pyarrow.parquet.write_table(table, file)
    else:
        raise InputError("SB-1362", file=str(file))


def mock_table(card: DatasetCard, rows: int) -> pa.Table:
    """Return `rows` made-up rows of `card`; each privacy unit has at most the declared number."""
    chance = np.random.default_rng(0)
    units = np.arange(rows) // max(1, card.contribution_cap)
    columns = {
        column.name: (
            _units(column, units)
            if column.name == card.privacy_unit
            else _values(column, rows, chance)
        )
        for column in card.columns
    }
    return pa.table(columns)


def _units(column: Column, units: np.ndarray) -> pa.Array:
    if column.type is ColumnType.INTEGER:
        start = int(column.lower or 0)
        return pa.array(units + start)
    return pa.array([f"unit-{unit:06}" for unit in units])


def _values(column: Column, rows: int, chance: np.random.Generator) -> pa.Array:
    if column.domain:
        picked = chance.integers(0, len(column.domain), rows)
        values = [column.domain[index] for index in picked]
    else:
        values = [_FREE[column.type](column, chance) for _ in range(rows)]
    if column.nullable:
        empty = chance.random(rows) < NULL_SHARE
        values = [None if gone else value for value, gone in zip(values, empty, strict=True)]
    return pa.array(values)


def _between(column: Column, chance: np.random.Generator, default: tuple[Decimal, Decimal]) -> int:
    """Return a number within the column's bounds, counted in units of its scale."""
    step = 10**column.scale
    lower = int((default[0] if column.lower is None else column.lower) * step)
    upper = int((default[1] if column.upper is None else column.upper) * step)
    return int(chance.integers(lower, upper, endpoint=True))


def _integer(column: Column, chance: np.random.Generator) -> int:
    return _between(column, chance, UNBOUNDED)


def _decimal(column: Column, chance: np.random.Generator) -> float:
    return _between(column, chance, UNBOUNDED) / float(10**column.scale)


def _text(column: Column, chance: np.random.Generator) -> str:
    return f"{column.name}-{int(chance.integers(0, 1000)):03}"


def _boolean(column: Column, chance: np.random.Generator) -> bool:
    return bool(chance.integers(0, 2))


def _date(column: Column, chance: np.random.Generator) -> datetime.date:
    return EPOCH.date() + datetime.timedelta(days=_between(column, chance, UNBOUNDED_DAYS))


def _timestamp(column: Column, chance: np.random.Generator) -> datetime.datetime:
    days = UNBOUNDED_DAYS[0] * 86_400, UNBOUNDED_DAYS[1] * 86_400
    return EPOCH + datetime.timedelta(seconds=_between(column, chance, days))


_FREE: dict[ColumnType, Callable[[Column, np.random.Generator], object]] = {
    ColumnType.INTEGER: _integer,
    ColumnType.DECIMAL: _decimal,
    ColumnType.TEXT: _text,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.DATE: _date,
    ColumnType.TIMESTAMP: _timestamp,
}
