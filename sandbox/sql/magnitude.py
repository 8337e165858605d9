"""Typical sizes of outputs from what cards declare; no row is read and nothing is guessed."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from sandbox.catalog import Table
from sandbox.privacy.statistics import Avg, Corr, Count, Formula, Sum
from sandbox.sql.algebra import Measure, Plan


def magnitude(
    formula: Formula, measures: Sequence[Measure], table: Table, cells: Fraction
) -> Fraction | None:
    """Return the typical size of one cell's statistic; None where the card does not tell."""
    rows = Fraction(table.card.typical_rows * len(table.members)) / cells
    if isinstance(formula, Corr):
        return Fraction(1)
    if isinstance(formula, Count):
        return rows or None
    if isinstance(formula, Avg | Sum) and measures[formula.s].declared:
        typical = abs(formula.x.centre + formula.x.step * measures[formula.s].expected)
        size = typical * (rows if isinstance(formula, Sum) else 1)
        return size or None
    return None


def reference_measures(plan: Plan) -> list[int]:
    """Return what every cell's measures would be (bins listed) if all rows were typical.

    Uses the card's typical_rows (its row_bound if undeclared) and magnitudes. Reads no rows.
    """
    card = plan.table.card
    rows = (card.typical_rows or card.row_bound) * len(plan.table.members)
    per_cell = Fraction(rows, plan.cells)
    reference: list[int] = []
    for measure in plan.measures:
        reference += [round(per_cell * measure.expected)] * measure.width
    return reference
