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

from sandbox.catalog import ColumnType, Member, Table
from sandbox.privacy.statistics import Formula

CellValue = str | int | bool | Decimal | None
"""Dates and timestamps are ISO text; Decimal only where a bucket is not a whole number."""


class JoinMode(Enum):
    """How rows of several providers are matched; a provider's policy names the modes it allows."""

    PSI = "psi"
    BLIND = "blind"


class MeasureKind(Enum):
    """What a measure adds up within a cell."""

    ROWS = "rows"
    SUM = "sum"
    UNITS = "units"
    BINS = "bins"


@dataclass(frozen=True)
class Change:
    """How far one privacy unit moves a measure over all cells, in ring units."""

    l1: Fraction
    l2_squared: Fraction


@dataclass(frozen=True)
class Term:
    """`coefficient` times, for each side, one of its factors (an index into Side.factors), or None.

    A side whose entry is None does not take part: a term that names one side alone is a local sum,
    the NULL keys of its rows included. A side whose entry is None or of kind FOUND has no row in what
    the term counts: the term goes to that side's `absent_cell` alone.
    """

    coefficient: int
    factors: tuple[int | None, ...]


@dataclass(frozen=True)
class Measure:
    """An integer (BINS: `width` integers) per cell, summed by nodes and over nodes.

    One row adds a value in [lower, upper] ring units. `l1` and `l2` bound the change of the whole
    measure vector (over all cells) when one privacy unit is added or removed, at all nodes where it
    may occur.

    A measure of a join has `terms`: its value in the cell (g_1, .., g_S) of the sides' own cells is
    the sum over terms of coefficient x sum over keys of the product over sides s of the factor's
    value for that key in g_s. There `lower` and `upper` bound what one joined row adds, `changes`
    hold for a unit of each side, and `l1`, `l2_squared` are the largest of them.
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
    terms: tuple[Term, ...] = ()
    changes: tuple[Change, ...] = ()


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
class KeyColumn:
    """One column of a join key. `sql`: the fragment's column that holds its canonical value, BIGINT
    (integers, days, seconds) or VARCHAR (normalised as the card says, NFKC), never equal by chance
    across types."""

    name: str
    type: ColumnType
    sql: str


class FactorKind(Enum):
    """How the rows of one key become one integer.

    SUM: their sum, in each own cell. ANY: 1 if one of them is 1, in each own cell. FOUND: 1 if one of
    them, in whatever cell, is 1; counted where a left join has no row, in the `absent_cell`.
    """

    SUM = "sum"
    ANY = "any"
    FOUND = "found"


@dataclass(frozen=True)
class Factor:
    """An integer of each row, in [lower, upper], and how a side adds it up per key.

    `sql`: a column of the fragment, or 1. `cells`: the own cells outside of which it is zero, None
    where it may be in any.
    """

    sql: str
    lower: int
    upper: int
    kind: FactorKind = FactorKind.SUM
    cells: frozenset[int] | None = None

    def may_be_in(self, cell: int) -> bool:
        """Tell whether the factor may be other than zero in an own cell."""
        return self.cells is None or cell in self.cells


@dataclass(frozen=True)
class Side:
    """One table of a statement, as its members run it.

    `groups`: indexes into Plan.groups of the columns that are this side's. `multiplicity`: rows of
    one key that count at each member. `absent_cell`: for a side that a left join may find no row of,
    the own cell (all groups NULL) in which rows without it are counted; else None.
    """

    name: str
    table: Table
    fragment: Fragment
    groups: tuple[int, ...] = ()
    keys: tuple[KeyColumn, ...] = ()
    multiplicity: int = 1
    factors: tuple[Factor, ...] = ()
    keys_per_unit: int = 1
    """Keys of which one unit may change which sides have them."""
    absent_cell: int | None = None


@dataclass(frozen=True)
class Plan:
    """The whole of one statement: one side, or the sides of a join.

    BLIND: every side has keys and factors, every measure has terms. PSI: the only side's rows count
    where their key is among those of `semi`, whose fragment yields keys alone.
    """

    statement: str
    sides: tuple[Side, ...]
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
    mode: JoinMode | None = None
    semi: Side | None = None
    joined_rows: int = 0
    """The most joined rows there can be."""
    matched: tuple[str, ...] = ()
    """Of a disclosure: the first side's columns whose values its node keeps, in rows that match. Then
    nothing is summed, and nothing is released."""
    prepares: bool = False
    """Whether it only matches keys, for its members to keep; then, too, nothing is released."""

    @property
    def table(self) -> Table:
        """The first side's table: the only one whose rows a plan that is no BLIND join sums."""
        return self.sides[0].table

    @property
    def fragment(self) -> Fragment:
        """The first side's fragment, as `table`."""
        return self.sides[0].fragment

    @property
    def name(self) -> str:
        """The tables that the statement reads."""
        sides = self.sides if self.semi is None else (*self.sides, self.semi)
        return ", ".join(dict.fromkeys(side.table.name for side in sides))

    @property
    def members(self) -> tuple[Member, ...]:
        """Every dataset that takes part, side by side, those of `semi` last."""
        sides = self.sides if self.semi is None else (*self.sides, self.semi)
        return tuple(member for side in sides for member in side.table.members)

    @property
    def receivers(self) -> list[str]:
        """The nodes that learn which of their own rows match, in order: those of a PSI's outer table."""
        return [] if self.semi is None else sorted(member.node for member in self.table.members)

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

    def side_of(self, node: str) -> int:
        """Return which side of a join a node's dataset is on."""
        (place,) = (
            place
            for place, side in enumerate(self.sides)
            if any(member.node == node for member in side.table.members)
        )
        return place

    def own_cells(self, side: Side) -> int:
        """Return the number of a side's own cells: the product of its groups' domains."""
        product = 1
        for group in side.groups:
            product *= len(self.groups[group].values)
        return product

    def own_cell(self, side: Side, cell: int) -> int:
        """Return which own cell of a side the cell `cell` of the plan is in."""
        places = []
        for group in reversed(self.groups):
            cell, place = divmod(cell, len(group.values))
            places.append(place)
        places.reverse()
        own = 0
        for index in side.groups:
            own = own * len(self.groups[index].values) + places[index]
        return own
