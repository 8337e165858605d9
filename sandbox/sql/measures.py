"""The integers a node sums for each cell, shared between the outputs that need them.

An argument enters centred, u = (x - centre) / step, so that its sensitivity is half its declared
range. Sums are exact as long as neither they nor their noise need more than 2^54; beyond that the
argument's step is made coarser, and the plan says by how much.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from sandbox.catalog import Table
from sandbox.privacy.statistics import Axis
from sandbox.sql.algebra import CellValue, Measure, MeasureKind, Quantisation, RowColumn
from sandbox.sql.scalar import Number, Scalar, Truth, integer

WIDEST_SUM = 2**54
WIDEST_STEP = 2**40
"""What one unit may change a measure by: its noise, 2^14 times wider, still fits WIDEST_SUM."""
MOST_BINS = 256


@dataclass(frozen=True)
class Argument:
    """A centred argument: the row column that holds u, and the way back to x."""

    column: str
    axis: Axis
    half: int
    """Largest |u|."""
    expected: Fraction
    spread: Fraction
    """Standard deviation of u as declared, else a quarter of its range."""
    declared: bool
    """Whether `expected` is the declared magnitude, or half of the largest |u| for want of one."""


@dataclass(frozen=True)
class Group:
    """A GROUP BY expression as written, what is equal for those that group alike, the row column that
    holds a row's position among `values`, and the place of the side whose column that is."""

    name: str
    identity: object
    column: str
    values: tuple[CellValue, ...]
    place: int = 0


class Measures:
    """Collects row columns and measures of one statement; the same one is never added twice."""

    def __init__(self, table: Table) -> None:
        card = table.card
        self.columns: list[RowColumn] = []
        self.measures: list[Measure] = []
        self.quantisation: list[Quantisation] = []
        self._rows = card.row_bound * len(table.members)
        self._reach = card.contribution_cap * table.occurrences
        """Rows of one unit that count, over all members where it may occur."""
        self._cap = card.contribution_cap

    def column(self, prefix: str, sql: str, lower: int, upper: int, nullable: bool) -> str:
        """Return the name of a row column, adding it if it is new."""
        known = next((c.name for c in self.columns if c.sql == sql), None)
        if known is None:
            known = f"{prefix}{len(self.columns)}"
            self.columns.append(RowColumn(known, sql, lower, upper, nullable))
        return known

    def rows(self, kept: Truth | None, label: str) -> int:
        """Return the measure that counts rows where `kept` holds (all rows if None)."""
        return self._add(MeasureKind.ROWS, self._flag(kept), 0, 1, label, Fraction(1))

    def distinct_units(self, kept: Truth | None, label: str) -> int:
        """Return the measure that counts distinct privacy units with a row where `kept` holds."""
        return self._add(MeasureKind.UNITS, self._flag(kept), 0, 1, label, Fraction(1))

    def _flag(self, kept: Truth | None) -> str:
        if kept is None:
            return "1"
        return self.column("k", f"CASE WHEN {kept.sql} THEN 1::BIGINT END", 1, 1, nullable=True)

    def argument(self, x: Number, kept: Truth | None, power: int, label: str) -> Argument:
        """Return `x` centred, NULL where not `kept`, coarse enough for sums of u^power."""
        # A constant would have half = 0 and thereby no sensitivity: keep it off-centre.
        centre = (x.lower + x.upper) // 2 if x.lower < x.upper else 0
        half = max(x.upper - centre, centre - x.lower, 1)
        widest = min(WIDEST_SUM // self._rows, WIDEST_STEP // self._reach)
        limit = max(1, isqrt(widest) if power == 2 else widest)
        factor = -(-half // limit)
        sql = f"({x.sql} - {integer(centre)})" if centre else x.sql
        if factor > 1:
            sql = (
                f"((2 * {sql}::HUGEINT + {integer(factor)} * sign({sql})) // {integer(2 * factor)})"
            )
            half = (2 * half + factor) // (2 * factor)
            self.quantisation.append(Quantisation(label, x.step * factor, x.step * factor / 2))
        if kept is not None:
            sql = f"CASE WHEN {kept.sql} THEN {sql} END"
        step = x.step * factor
        axis = Axis(x.step * centre, step, x.step * x.lower, x.step * x.upper)
        nullable = x.nullable or kept is not None
        column = self.column("v", f"({sql})::BIGINT", -half, half, nullable)
        spread = Fraction(half, 2) if x.spread is None else min(x.spread / step, Fraction(half))
        if x.magnitude is None:
            # At the centre the noise of the count would seem not to matter for a mean.
            return Argument(column, axis, half, Fraction(half, 2), spread, declared=False)
        typical = min(max(x.magnitude, axis.lower), axis.upper)
        expected = (typical - axis.centre) / step
        return Argument(column, axis, half, expected, spread, declared=True)

    def total(self, a: Argument, label: str) -> int:
        """Return the measure sum(u)."""
        return self._add(
            MeasureKind.SUM, a.column, -a.half, a.half, label, a.expected, declared=a.declared
        )

    def product(self, a: Argument, b: Argument, label: str) -> int:
        """Return the measure sum(u * v), or sum(u^2) for one argument twice."""
        most = a.half * b.half
        lower = 0 if a.column == b.column else -most
        # At a correlation of zero the variances would seem not to matter for CORR: take one half.
        together = Fraction(1) if a.column == b.column else Fraction(1, 2)
        expected = a.expected * b.expected + together * a.spread * b.spread
        first, second = sorted((a.column, b.column))
        return self._add(MeasureKind.SUM, f"{first} * {second}", lower, most, label, expected)

    def binned(self, x: Number, kept: Truth | None, label: str) -> tuple[int, tuple[Fraction, ...]]:
        """Return the measure that counts rows per bin of x, and the bins' edges."""
        span = x.upper - x.lower + 1
        width = -(-span // MOST_BINS)
        count = -(-span // width)
        sql = f"(({x.sql} - {integer(x.lower)}) // {integer(width)})"
        if kept is not None:
            sql = f"CASE WHEN {kept.sql} THEN {sql} END"
        nullable = x.nullable or kept is not None
        column = self.column("b", f"({sql})::BIGINT", 0, count - 1, nullable)
        index = self._add(MeasureKind.BINS, column, 0, 1, label, Fraction(1, count), width=count)
        if width > 1:
            self.quantisation.append(Quantisation(label, x.step * width, x.step * (width - 1)))
        edges = tuple(x.step * (x.lower + i * width) for i in range(count + 1))
        return index, edges

    def _add(
        self,
        kind: MeasureKind,
        sql: str,
        lower: int,
        upper: int,
        label: str,
        expected: Fraction,
        width: int = 1,
        declared: bool = False,
    ) -> int:
        for index, measure in enumerate(self.measures):
            if measure.kind is kind and measure.sql == sql:
                return index
        largest = max(abs(lower), abs(upper))
        if kind is MeasureKind.UNITS:
            # In at most `cap` cells, once in each.
            l1, l2_squared = Fraction(self._cap), Fraction(self._cap)
        else:
            # All of a unit's rows may fall into one cell, at every node.
            l1 = Fraction(self._reach * largest)
            l2_squared = l1 * l1
        self.measures.append(
            Measure(kind, sql, lower, upper, width, l1, l2_squared, label, expected, declared)
        )
        return len(self.measures) - 1


def both(*conditions: Truth | None) -> Truth | None:
    """Return the conjunction of those conditions that are there."""
    there = [c for c in conditions if c is not None]
    if len(there) < 2:
        return there[0] if there else None
    return Truth(f"({' AND '.join(c.sql for c in there)})")


def present(value: Scalar) -> Truth | None:
    """Return the condition that `value` is not NULL, None if it never is."""
    return Truth(f"({value.sql} IS NOT NULL)") if value.nullable else None
