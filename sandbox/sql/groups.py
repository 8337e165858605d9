"""GROUP BY: an expression whose possible values the card declares becomes a position among them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from sqlglot import exp

from sandbox.errors import Refusal
from sandbox.sql import dates
from sandbox.sql.algebra import CellValue
from sandbox.sql.parse import refusal
from sandbox.sql.scalar import Moment, Number, Scalar, Text, Truth, integer, quoted

MOST_CELLS = 65_536
MOST_LATTICE = 1_000
"""Values of a number that is grouped by as it is, not by declared values."""
MOST_CASES = 16
"""Up to here CASE finds a position fastest; beyond it a hash (ENUM) does."""


def positions(node: exp.Expr, value: Scalar) -> tuple[str, tuple[CellValue, ...]]:
    """Return the SQL of a value's position and all values, NULL last. Raises Refusal SB-1052."""
    sql, values = _positions(node, value)
    if value.nullable:
        return f"coalesce({sql}, {integer(len(values))})", (*values, None)
    return sql, values


def _positions(node: exp.Expr, value: Scalar) -> tuple[str, tuple[CellValue, ...]]:
    if isinstance(value, Truth):
        return f"{value.sql}::BIGINT", (False, True)
    if isinstance(value, Text) and value.domain is not None:
        return _place(value.sql, [quoted(v) for v in value.domain]), value.domain
    if isinstance(value, Number) and not value.unbounded:
        labels = tuple(_label(node, point * value.step) for point in _points(node, value))
        return _lattice_place(value), labels
    if isinstance(value, Moment) and not value.unbounded:
        return _lattice_place(value), tuple(
            dates.label(value, point) for point in _points(node, value)
        )
    raise refusal("SB-1052", node, kind=Refusal, expression=node.sql("duckdb")[:80])


def _points(node: exp.Expr, value: Number | Moment) -> Sequence[int]:
    if value.points is not None:
        return value.points
    most = MOST_CELLS if isinstance(value, Moment) else MOST_LATTICE
    if value.upper - value.lower >= most:
        raise refusal("SB-1052", node, kind=Refusal, expression=node.sql("duckdb")[:80])
    return range(value.lower, value.upper + 1)


def _lattice_place(value: Number | Moment) -> str:
    if value.points is None:
        return f"({value.sql} - {integer(value.lower)})::BIGINT"
    if len(value.points) <= MOST_CASES:
        return _place(value.sql, [integer(p) for p in value.points])
    return _place(f"{value.sql}::VARCHAR", [quoted(str(p)) for p in value.points])


def _place(sql: str, literals: Sequence[str]) -> str:
    if len(literals) <= MOST_CASES:
        arms = " ".join(f"WHEN {literal} THEN {i}" for i, literal in enumerate(literals))
        return f"(CASE {sql} {arms} END)::BIGINT"
    return f"enum_code(TRY_CAST({sql} AS ENUM({', '.join(literals)})))::BIGINT"


def _label(node: exp.Expr, value: Fraction) -> int | Decimal:
    if value.denominator == 1:
        return value.numerator
    decimal = Decimal(value.numerator) / Decimal(value.denominator)
    if Fraction(decimal) != value:
        raise refusal("SB-1052", node, kind=Refusal, expression=node.sql("duckdb")[:80])
    return decimal
