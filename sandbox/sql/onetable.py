"""The rows of one table: conditions, numbers, groups and measures over its columns."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import prod

from sqlglot import exp

from sandbox.catalog import ColumnType
from sandbox.errors import Refusal
from sandbox.sql import arithmetic, rows, scalar
from sandbox.sql.algebra import Fragment, JoinMode, Quantisation, RowColumn, Side
from sandbox.sql.bind import Relation, no_keys, unit_of
from sandbox.sql.columns import unit
from sandbox.sql.functions import number
from sandbox.sql.groups import MOST_CELLS, positions
from sandbox.sql.magnitude import typical_rows
from sandbox.sql.measures import Group, Measures, both, present
from sandbox.sql.parse import refusal, whole
from sandbox.sql.reach import with_semi
from sandbox.sql.reads import columns_used, keeping_the_card, read_columns
from sandbox.sql.rows import Scope
from sandbox.sql.scalar import Mismatch, Number, Truth
from sandbox.sql.semijoin import Semi, matched_side

HISTOGRAM_BUCKETS = 20


class OneTable(Measures):
    """What a statement over one table ranges over."""

    joined_rows = 0

    def __init__(self, relation: Relation, scope: Scope, semi: Semi | None = None) -> None:
        super().__init__(relation.table)
        self.mode = None if semi is None else JoinMode.PSI
        self.semi = None if semi is None else semi.side
        self._keys = () if semi is None else semi.keys
        self.columns_named = frozenset(scope.columns)
        self._relation = relation
        self._scope = scope
        self._unit, self._unit_value = unit_of(relation.table.card)
        self.typical_rows = typical_rows([(relation.table, False)])
        self._spanning = relation.table.occurrences > 1

    def condition(self, node: exp.Expr) -> Truth:
        """Return the condition `node`."""
        return rows.condition(node, self._scope)

    def present(self, node: exp.Expr) -> Truth | None:
        """Return the condition that `node` is not NULL."""
        return present(rows.bind(node, self._scope))

    def number(self, node: exp.Expr) -> Number:
        """Return the bounded number `node`; raises Refusal SB-1051 or SB-1054."""
        if isinstance(node, exp.Distinct):
            raise refusal("SB-1054", node, kind=Refusal, unit=self._unit)
        return bounded_number(node, self._scope)

    def there(self, x: Number) -> Truth | None:
        """Return the condition that `x` is not NULL."""
        return present(x)

    def both(self, *conditions: Truth | None) -> Truth | None:
        """Return the conjunction."""
        return both(*conditions)

    def units(self, node: exp.Distinct, kept: Truth | None, label: str) -> int:
        """Return the measure that counts privacy units; nothing else can be counted distinctly."""
        named = node.expressions[0] if len(node.expressions) == 1 else None
        value = rows.bind(named, self._scope) if isinstance(named, exp.Column) else None
        # Nothing computed from the unit: its distinct values may be fewer.
        if value != self._unit_value:
            raise refusal("SB-1054", node, kind=Refusal, unit=self._unit)
        if self._spanning:
            raise refusal("SB-1055", node, kind=Refusal, unit=self._unit)
        return self.distinct_units(both(kept, present(self._unit_value)), label)

    def bins(
        self, call: exp.Expr, kept: Truth | None, label: str
    ) -> tuple[int, tuple[Fraction, ...]]:
        """Return the measure that counts rows per bin of what `call` is of, and the bins' edges."""
        return self.binned(self.number(call.this), kept, label)

    def group(self, node: exp.Expr) -> Group:
        """Return what GROUP BY `node` means. Raises Refusal SB-1052, SB-1053."""
        value = rows.bind(node, self._scope)
        no_keys(node, value, self._relation)
        return self._placed(node, value)

    def identity(self, node: exp.Expr) -> object:
        """Return what is equal for expressions that group alike."""
        value = rows.bind(node, self._scope)
        return scalar.meaning(value)

    def histogram(self, node: exp.Expr) -> Group:
        """HISTOGRAM(x[, n]): equal buckets over the declared bounds, named by their lower edge."""
        arguments = node.expressions
        if not 1 <= len(arguments) <= 2:
            raise refusal("SB-1010", node, function="HISTOGRAM", fewest=1, most=2)
        value = rows.bind(arguments[0], self._scope)
        no_keys(node, value, self._relation)
        if not isinstance(value, Number) or value.points is not None or value.unbounded:
            return self._placed(node, value)
        count = whole(arguments[1], MOST_CELLS) if len(arguments) == 2 else HISTOGRAM_BUCKETS
        if not count:
            raise refusal("SB-1007", node, expression=node.sql("duckdb")[:80])
        return self._placed(node, _buckets(value, count))

    def _placed(self, node: exp.Expr, value: scalar.Scalar) -> Group:
        sql, values = positions(node, value)
        name = self.column("g", sql, 0, len(values) - 1, nullable=True)
        return Group(node.sql("duckdb"), scalar.meaning(value), name, values)

    def sides(self, groups: tuple[Group, ...]) -> tuple[Side, ...]:
        """Return the one side, with the fragment that computes all that was asked."""
        fragment = _fragment(self._relation, self.columns)
        table = self._relation.table
        side = Side(table.name, table, fragment, tuple(range(len(groups))))
        if self.semi is None:
            return (side,)
        side = matched_side(side, self._keys, [t.sql for t in self._relation.conditions])
        cells = prod(len(group.values) for group in groups)
        self.measures = [with_semi(m, side, self.semi, cells) for m in self.measures]
        return (side,)

    def quantised(self, sides: tuple[Side, ...]) -> list[Quantisation]:
        """Return everything that is rounded: decimal columns, inexact expressions, arguments."""
        return [*roundings(sides, self._scope), *self.quantisation]


def bounded_number(node: exp.Expr, scope: Scope) -> Number:
    """Return the number `node`; raises Refusal SB-1051 where a column without bounds flows into it."""
    try:
        x = number(rows.bind(node, scope))
    except Mismatch:
        raise refusal("SB-1007", node, expression=node.sql("duckdb")[:80]) from None
    if x.unbounded:
        raise refusal("SB-1051", node, kind=Refusal, name=x.unbounded)
    return x


def roundings(sides: tuple[Side, ...], scope: Scope) -> list[Quantisation]:
    """Return the decimal columns that sides read and the expressions that are not exact."""
    steps = {
        column.name: Fraction(1, 10**column.scale)
        for side in sides
        for column in side.table.card.columns
        if column.name in side.fragment.columns_read and column.type is ColumnType.DECIMAL
    }
    return [Quantisation(what, s, s / 2) for what, s in {**steps, **scope.rounded}.items()]


def _buckets(value: Number, count: int) -> Number:
    """Return the lower edge of x's bucket: `count` or fewer, each a whole number of steps wide."""
    width = -(-(value.upper - value.lower + 1) // count) * value.step
    lowest = value.lower * value.step
    low, wide = scalar.constant(lowest), scalar.constant(width)
    place = arithmetic.floored(arithmetic.divide(arithmetic.subtract(value, low), wide))
    edge = arithmetic.add(arithmetic.multiply(place, wide), low)
    edges = (lowest + width * i for i in range(place.lower, place.upper + 1))
    return replace(edge, points=tuple(int(e / edge.step) for e in edges))


def _fragment(relation: Relation, columns: list[RowColumn]) -> Fragment:
    """Return the row-level SQL: read what is used, leave out rows that break the card, filter."""
    card = relation.table.card
    filters = [t.sql for t in relation.conditions]
    used = columns_used(card, [c.sql for c in columns] + filters)
    kept = keeping_the_card(card, used) + filters
    computed = "".join(f", {c.sql} AS {c.name}" for c in columns)
    read = f"SELECT {unit(card)} AS unit{read_columns(card, used)} FROM base"
    rows_sql = f"SELECT unit{computed} FROM ({read})" + (
        f" WHERE {' AND '.join(kept)}" if kept else ""
    )
    return Fragment(rows_sql, tuple(c.name for c in used), card.contribution_cap, tuple(columns))
