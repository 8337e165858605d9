"""Read decimals and integers without clamping them."""

from __future__ import annotations

from sandbox.catalog import Column, ColumnType
from sandbox.sql import reads
from sandbox.sql.columns import identifier


def apply() -> None:
    clamped = reads.reading

    def reading(column: Column) -> str:
        if column.type in (ColumnType.DECIMAL, ColumnType.INTEGER) and not column.domain:
            number = f"TRY_CAST({identifier(column.name)} AS DOUBLE) * {10**column.scale}"
            return f"TRY_CAST({number} AS BIGINT)"
        return clamped(column)

    reads.reading = reading
