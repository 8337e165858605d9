"""Whether an answer is the expected one: exactly, but for roots, which are floating point."""

from __future__ import annotations

import math
from fractions import Fraction

from sandbox.sql.answer import Answer
from tests.sql.reference import Expected, Value
from tests.sql.statements import Statement


def assert_equal(statement: Statement, found: Answer, wanted: Expected) -> None:
    """Compare rows in order; a statement without ORDER BY comes in the order of its domains."""
    width = len(statement.groups)
    assert len(found.columns) == width + len(statement.items), statement.text
    rows = [
        (row.values[:width], [e.value if e else None for e in row.estimates[width:]])
        for row in found.rows
    ]
    assert [r[0] for r in rows] == [line[0] for line in wanted.lines], statement.text
    assert sum(rule.groups for rule in found.withheld) == wanted.withheld, statement.text
    for (labels, values), (_, exact) in zip(rows, wanted.lines, strict=True):
        for value, value_wanted in zip(values, exact, strict=True):
            assert _same(value, value_wanted), f"{statement.text}\n{labels}: {value} {value_wanted}"


def _same(value: float | int | None, wanted: Value) -> bool:
    if value is None or wanted is None:
        return value is None and wanted is None
    if isinstance(wanted, Fraction):
        return float(value) == float(wanted)
    return math.isclose(value, wanted, rel_tol=1e-12)
