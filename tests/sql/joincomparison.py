"""Whether a joined answer is DuckDB's own of the same statement, over all tables in one place."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import duckdb

from sandbox.sql.algebra import CellValue
from sandbox.sql.answer import Answer


def assert_duckdbs(
    connection: duckdb.DuckDBPyConnection, found: Answer, text: str, groups: int, plain: str = ""
) -> None:
    """Hold an answer against DuckDB's of `text`, or of `plain` where keys are read otherwise.

    Groups without rows count nothing; groups of which nothing was counted may be withheld.
    """
    wanted = {
        tuple(map(_label, row[:groups])): row[groups:]
        for row in connection.execute(plain or text).fetchall()
    }
    for row in found.rows:
        cell, values = row.values[:groups], [e.value if e else None for e in row.estimates[groups:]]
        expected = wanted.pop(cell, None)
        if expected is None:
            assert set(values) <= {0, None}, f"{text}\n{cell}: {values}, but there are no rows"
            continue
        for value, exact in zip(values, expected, strict=True):
            assert _same(value, exact), f"{text}\n{cell}: {value}, not {exact}"
    counted = {cell: values for cell, values in wanted.items() if not set(values) <= {0, None}}
    assert not counted, f"{text}\nmissing {counted}"
    assert len(wanted) <= sum(rule.groups for rule in found.withheld), f"{text}\nmissing {wanted}"


def _label(value: object) -> CellValue:
    if isinstance(value, bool | str) or value is None:
        return value
    return int(str(value))


def _same(value: float | int | None, wanted: object) -> bool:
    if isinstance(wanted, float) and not math.isfinite(wanted):
        wanted = None
    if value is None or wanted is None:
        return value is None and wanted is None
    if isinstance(wanted, int | Decimal):
        return Fraction(str(value)) == Fraction(wanted) or float(value) == float(wanted)
    return math.isclose(value, float(str(wanted)), rel_tol=1e-8, abs_tol=1e-7)
