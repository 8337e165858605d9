"""Typical sizes of outputs from what cards declare; no row is read and nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from sandbox.catalog import Table
from sandbox.privacy.statistics import Avg, Corr, Count, Formula, Sum
from sandbox.sql.algebra import Measure, Plan


def magnitude(formula: Formula, measures: Sequence[Measure], rows: Fraction) -> Fraction | None:
    """Return the typical size of one cell's statistic; None where the cards do not tell.

    rows: typical rows of a cell, 0 where undeclared.
    """
    if isinstance(formula, Corr):
        return Fraction(1)
    if isinstance(formula, Count):
        return rows or None
    if isinstance(formula, Avg | Sum) and measures[formula.s].declared:
        typical = abs(formula.x.centre + formula.x.step * measures[formula.s].expected)
        size = typical * (rows if isinstance(formula, Sum) else 1)
        return size or None
    return None


def typical_rows(tables: Iterable[tuple[Table, bool]]) -> int:
    """Return how many rows a statement over `tables` typically ranges over; 0 if a card is silent.

    Of a join: those of its smallest table that is not optional (the flag), as if its keys matched.
    """
    return min(t.card.typical_rows * len(t.members) for t, optional in tables if not optional)


def typical_rows_of(plan: Plan) -> int:
    """Return `typical_rows` of a plan's sides."""
    return typical_rows([(side.table, side.absent_cell is not None) for side in plan.sides])


def reference_rows(plan: Plan) -> int:
    """Return the typical rows of a plan, else the most that its cards allow."""
    tables = [side.table for side in plan.sides if side.absent_cell is None]
    most = min(table.card.row_bound * len(table.members) for table in tables)
    return typical_rows_of(plan) or most


def reference_measures(plan: Plan) -> list[int]:
    """Return what every cell's measures would be (bins listed) if all rows were typical.

    Uses the card's typical_rows (its row_bound if undeclared) and magnitudes. Reads no rows.
    """
    per_cell = Fraction(reference_rows(plan), plan.cells)
    reference: list[int] = []
    for measure in plan.measures:
        reference += [round(per_cell * measure.expected)] * measure.width
    return reference
