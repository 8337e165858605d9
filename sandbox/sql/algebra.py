"""The small federated algebra between SQL text and what a node runs.

A `Plan` is a pure function of (statement, catalogue). Each node derives it again from the signed job
and never takes one from the coordinator. `Fragment` is a node's row-level part; `measures` are the
integers it sums for each cell; `outputs` are what the researcher reads off the noised sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction

from sandbox.catalog import Table
from sandbox.privacy.statistics import Formula

CellValue = str | int | bool | Decimal | None
"""Dates and timestamps are ISO text; Decimal only where a bucket is not a whole number."""


class MeasureKind(Enum):
    """What a measure adds up within a cell."""

    ROWS = "rows"
    SUM = "sum"
    UNITS = "units"
    BINS = "bins"


@dataclass(frozen=True)
class Measure:
    """An integer (BINS: `width` integers) per cell, summed by nodes and over nodes.

    One row adds a value in [lower, upper] ring units. `l1` and `l2` bound the change of the whole
    measure vector (over all cells) when one privacy unit is added or removed, at all nodes where it
    may occur.
    """

    kind: MeasureKind
    sql: str
    """A total DuckDB expression over the fragment's columns yielding this row's integer (ROWS: 0/1
    or NULL; BINS: the bin's index or NULL; UNITS: 0/1 or NULL)."""
    lower: int
    upper: int
    width: int
    l1: Fraction
    l2_squared: Fraction
    label: str
    """What it is, in the words of the statement, for explain."""
    expected: Fraction = Fraction(0)
    """What a typical row adds, from declared magnitudes alone, for predictions."""
    declared: bool = False
    """Whether a magnitude was declared; else `expected` is an assumption, and no size to refer to."""


@dataclass(frozen=True)
class GroupColumn:
    """One GROUP BY expression with its declared, finite, ordered domain (NULL last if nullable)."""

    name: str
    sql: str
    """A total DuckDB expression yielding the position in `values`, or NULL for none of them."""
    values: tuple[CellValue, ...]


@dataclass(frozen=True)
class Output:
    """One column of the answer: a group value (`group` is its index) or a formula over measures."""

    name: str
    group: int | None
    formula: Formula | None
    magnitude: Fraction | None
    """Declared or stated typical size, for relative error targets."""


@dataclass(frozen=True)
class Comparison:
    """HAVING: `left` operator `right`, evaluated on noised statistics."""

    left: Formula
    operator: str
    right: Formula


@dataclass(frozen=True)
class Junction:
    """HAVING: AND / OR / NOT over conditions."""

    operator: str
    operands: tuple[Condition, ...]


Condition = Comparison | Junction


@dataclass(frozen=True)
class Ordering:
    """ORDER BY one output column (index into outputs)."""

    output: int
    descending: bool


@dataclass(frozen=True)
class RowColumn:
    """An integer that the fragment computes for each row: within [lower, upper], or NULL."""

    name: str
    sql: str
    lower: int
    upper: int
    nullable: bool


@dataclass(frozen=True)
class Quantisation:
    """What exactness costs: `what` is kept in steps of `step`, off by at most `most` in any row."""

    what: str
    step: Fraction
    most: Fraction


@dataclass(frozen=True)
class Fragment:
    """A node's row-level part as DuckDB SQL over a relation named `base` (the member's dataset).

    `rows_sql` selects the columns that groups and measures read (clamped, quantised, filtered), plus
    the privacy unit as column `unit`; the node bounds each unit to `contribution_cap` rows of it.
    """

    rows_sql: str
    columns_read: tuple[str, ...]
    """Columns the statement names; the privacy unit only if it names it."""
    contribution_cap: int
    columns: tuple[RowColumn, ...] = ()
    """What rows_sql yields beside `unit`, in order."""


@dataclass(frozen=True)
class Plan:
    """The whole of one statement."""

    statement: str
    table: Table
    fragment: Fragment
    groups: tuple[GroupColumn, ...]
    measures: tuple[Measure, ...]
    outputs: tuple[Output, ...]
    having: Condition | None
    order_by: tuple[Ordering, ...]
    limit: int | None
    operations: tuple[str, ...]
    """Aggregate operations used, for policies: count, count_distinct, sum, avg, var, stddev, covar,
    corr, quantile, histogram."""
    quantisation: tuple[Quantisation, ...] = ()

    @property
    def cells(self) -> int:
        """Number of cells: the product of the group domains (1 without GROUP BY)."""
        product = 1
        for group in self.groups:
            product *= len(group.values)
        return product

    @property
    def length(self) -> int:
        """Integers in a share: cells x widths, measure by measure, cell by cell, bin by bin."""
        return self.cells * sum(measure.width for measure in self.measures)
