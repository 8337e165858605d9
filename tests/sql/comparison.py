"""Whether an answer is the expected one: exactly, but for roots, which are floating point."""

from __future__ import annotations

import math
from fractions import Fraction

from sandbox.sql.answer import Answer
from tests.sql.generator import Statement
from tests.sql.reference import Line, Value


def assert_equal(statement: Statement, found: Answer, wanted: list[Line]) -> None:
    """Compare rows in order; a statement without ORDER BY comes in the order of its domains."""
    width = len(statement.groups)
    rows = [
        (row.values[:width], [e.value if e else None for e in row.estimates[width:]])
        for row in found.rows
    ]
    assert [labels for labels, _ in rows] == [labels for labels, _ in wanted], statement.text
    for (labels, values), (_, exact) in zip(rows, wanted, strict=True):
        for value, value_wanted in zip(values, exact, strict=True):
            assert _same(value, value_wanted), f"{statement.text}\n{labels}: {value} {value_wanted}"


def _same(value: float | int | None, wanted: Value) -> bool:
    if value is None or wanted is None:
        return value is None and wanted is None
    if isinstance(wanted, Fraction):
        return float(value) == float(wanted)
    return math.isclose(value, wanted, rel_tol=1e-12)
