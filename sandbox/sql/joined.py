"""Joined rows as aggregates see them: conditions, numbers and measures, all of them sums of products.

Where there are left joins, each is a sum over their cases too (leftjoins.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt

from sqlglot import exp

from sandbox.errors import Refusal
from sandbox.privacy.statistics import Axis
from sandbox.sql import joint
from sandbox.sql.algebra import FactorKind, JoinMode, Measure, MeasureKind, Quantisation, Side, Term
from sandbox.sql.bind import Sources, card_column, no_keys
from sandbox.sql.groups import positions
from sandbox.sql.joins import read_tables
from sandbox.sql.joint import JointNumber, JointTruth, Piece, Polynomial, Value
from sandbox.sql.jointrows import Absent, JointRows, Products, strict
from sandbox.sql.leftjoins import LeftJoins
from sandbox.sql.magnitude import typical_rows
from sandbox.sql.measures import Group
from sandbox.sql.onetable import roundings
from sandbox.sql.parse import refusal, written
from sandbox.sql.reach import holders, joined_rows, keys_per_unit, reaches
from sandbox.sql.scalar import TooWide, integer, meaning
from sandbox.sql.sides import Columns, Presence

WIDEST_SUM = 2**61
"""Largest sum of a measure over all joined rows; noise and shares need as much again (2^62)."""
WIDEST_CHANGE = 2**46
"""What one unit may change a measure by: its noise, 2^14 times wider, still fits WIDEST_SUM."""
Kept = Mapping[Absent, JointTruth]
X = Mapping[Absent, JointNumber]


@dataclass(frozen=True)
class JointArgument:
    """A centred argument: by case u, and the rows where it counts; the way back to x."""

    label: str
    u: Mapping[Absent, Polynomial]
    kept: Mapping[Absent, Polynomial]
    axis: Axis
    half: int
    """Largest |u|."""
    expected: Fraction
    spread: Fraction
    declared: bool


class Joined:
    """What a statement over joined tables ranges over."""

    mode: JoinMode | None = JoinMode.BLIND
    semi: Side | None = None

    def __init__(self, select: exp.Select, sources: Sources) -> None:
        self._select = select
        self._tables = read_tables(select, sources)
        self._bind = JointRows(self._tables)
        tables = self._tables.tables
        self._count = len(tables)
        self.columns_named = frozenset(
            name.lower() for table in tables for name in table.relation.columns
        )
        self.typical_rows = typical_rows([(t.table, t.optional) for t in tables])
        self.measures: list[Measure] = []
        self._quantisation: list[Quantisation] = []
        self._columns = [Columns() for _ in tables]
        self._reaches = reaches(self._tables)
        self.joined_rows = joined_rows(self._tables)
        self._left_joins = LeftJoins(select, self._tables, self._bind)
        self._cases = self._left_joins.cases
        self._grouped: set[int] = set()

    # Conditions and numbers

    def condition(self, node: exp.Expr) -> Kept:
        """Return the condition `node`."""
        return {case: self._bind.truth(node, case) for case in self._cases}

    def present(self, node: exp.Expr) -> Kept | None:
        """Return the condition that `node` is not NULL."""
        if isinstance(node, exp.Distinct):
            raise refusal("SB-1065", node, kind=Refusal, key=self._key_name())
        return {case: self._bind.present(node, case) for case in self._cases}

    def number(self, node: exp.Expr) -> X:
        """Return the bounded number `node`; raises Refusal SB-1051, SB-1065."""
        if isinstance(node, exp.Distinct):
            raise refusal("SB-1065", node, kind=Refusal, key=self._key_name())
        found = {case: self._bind.number(node, case) for case in self._cases}
        unbounded = next((x.unbounded for x in found.values() if x.unbounded), "")
        if unbounded:
            raise refusal("SB-1051", node, kind=Refusal, name=unbounded)
        return dict(zip(found, joint.common(list(found.values())), strict=True))

    def there(self, x: X) -> Kept:
        """Return the condition that `x` is not NULL."""
        return {case: number.present for case, number in x.items()}

    def both(self, *conditions: Kept | None) -> Kept | None:
        """Return the conjunction of those conditions that are there."""
        there = [c for c in conditions if c is not None]
        if not there:
            return None
        first, *rest = there
        for condition in rest:
            with self._products():
                first = {
                    case: joint.conjunction(first[case], condition[case]) for case in self._cases
                }
        return first

    # Measures

    def rows(self, kept: Kept | None, label: str) -> int:
        """Return the measure that counts joined rows."""
        return self._add(
            MeasureKind.ROWS, self._masks(kept), 0, 1, label, Fraction(1), declared=False
        )

    def argument(self, x: X, kept: Kept | None, power: int, label: str) -> JointArgument:
        """Return `x` centred, coarse enough for sums of u^power if it is of one table."""
        there = self.both(kept, self.there(x))
        numbers = list(x.values())
        lower, upper = min(n.lower for n in numbers), max(n.upper for n in numbers)
        centre = (lower + upper) // 2 if lower < upper else 0
        half = max(upper - centre, centre - lower, 1)
        widest = min(
            WIDEST_SUM // self.joined_rows, WIDEST_CHANGE // max(r.rows for r in self._reaches)
        )
        limit = max(1, isqrt(widest) if power == 2 else widest)
        factor = -(-half // limit)
        step = numbers[0].step * factor
        if factor > 1:
            self._quantisation.append(Quantisation(label, step, step / 2))
        u = {case: self._centred(n, centre, factor, label) for case, n in x.items()}
        half = (2 * half + factor) // (2 * factor) if factor > 1 else half
        axis = Axis(
            numbers[0].step * centre, step, numbers[0].step * lower, numbers[0].step * upper
        )
        sizes = [n for n in numbers if n.polynomial]
        magnitude = sizes[0].magnitude if sizes else None
        spread = sizes[0].spread if sizes else None
        deviation = Fraction(half, 2) if spread is None else min(spread / step, Fraction(half))
        expected = Fraction(half, 2)
        if magnitude is not None:
            expected = (min(max(magnitude, axis.lower), axis.upper) - axis.centre) / step
        return JointArgument(
            label, u, self._masks(there), axis, half, expected, deviation, magnitude is not None
        )

    def _centred(self, x: JointNumber, centre: int, factor: int, label: str) -> Polynomial:
        """Return (x - centre) / factor, rounded where factor is not 1: only of one table's number."""
        own = _own_value(x.polynomial)
        if own is not None:
            place, value = own
            sql = f"({value.sql} - {integer(centre)})" if centre else value.sql
            lower, upper = value.lower - centre, value.upper - centre
            if factor > 1:
                sql = (
                    f"((2 * {sql}::HUGEINT + {integer(factor)} * sign({sql})) "
                    f"// {integer(2 * factor)})"
                )
                lower, upper = (_halved(n, factor) for n in (lower, upper))
            part = Piece(values=(Value(sql, lower, upper),))
            return joint.piece(place, part, self._count)
        if factor > 1 and x.polynomial:
            raise refusal("SB-1066", self._select, kind=Refusal, label=label[:80])
        with self._products():
            return joint.plus(x.polynomial, joint.scaled(joint.one(self._count), -centre))

    def total(self, a: JointArgument, label: str) -> int:
        """Return the measure sum(u)."""
        with self._products():
            sums = {case: joint.times(a.u[case], a.kept[case]) for case in self._cases}
        return self._add(
            MeasureKind.SUM, sums, -a.half, a.half, label, a.expected, declared=a.declared
        )

    def product(self, a: JointArgument, b: JointArgument, label: str) -> int:
        """Return the measure sum(u * v), or sum(u^2) for one argument twice."""
        same = a.u == b.u
        with self._products():
            sums = {
                case: joint.times(
                    a.u[case],
                    b.u[case],
                    *([a.kept[case]] if a.kept == b.kept else [a.kept[case], b.kept[case]]),
                )
                for case in self._cases
            }
        most = a.half * b.half
        # At a correlation of zero the variances would seem not to matter for CORR: take one half.
        together = Fraction(1) if same else Fraction(1, 2)
        expected = a.expected * b.expected + together * a.spread * b.spread
        return self._add(
            MeasureKind.SUM, sums, 0 if same else -most, most, label, expected, declared=False
        )

    def units(self, node: exp.Distinct, kept: Kept | None, label: str) -> int:
        """Return the measure that counts keys with a joined row, or units of one row each that are in
        one; nothing else is counted distinctly."""
        key, counted = self._key_name(), self._counted(node)
        masks = self._masks(kept)
        weights = list(self._left_joins.weights.values())
        if len(weights) > 1:
            raise refusal("SB-1064", node, kind=Refusal, table=self._optional_name())
        ((_, _, where),) = weights[0].parts
        with self._products():
            product = joint.times(where, masks[self._cases[0]])
        if len(product) != 1:
            raise refusal("SB-1065", node, kind=Refusal, key=key)
        ((pieces, _),) = product.items()
        factors = tuple(
            self._columns[n].factor(part if n == counted else Presence(part, FactorKind.ANY))
            for n, part in enumerate(pieces)
        )
        # A unit's rows that match are a part of the joined rows that are in, with their sensitivity.
        kind = MeasureKind.UNITS if counted is None else MeasureKind.ROWS
        return self._measure(kind, (Term(1, factors),), 0, 1, label, Fraction(1), False)

    def _counted(self, node: exp.Distinct) -> int | None:
        """Return the side whose rows COUNT(DISTINCT unit) counts, None where it counts keys.

        Raises Refusal SB-1055 where several members may hold what is to be counted once, SB-1065.
        """
        named = node.expressions[0] if len(node.expressions) == 1 else None
        place = self._tables.place(named) if isinstance(named, exp.Column) else 0
        table = self._tables.tables[place].table
        relation = self._tables.tables[place].relation
        column = card_column(relation, named.name) if isinstance(named, exp.Column) else None
        others, counted = set(range(self._count)), None
        if column is None or [key[place] for key in self._tables.keys] != [column]:
            own = column is not None and column.name == table.card.privacy_unit
            if not own or table.card.contribution_cap > 1 or table.occurrences > 1:
                raise refusal("SB-1065", node, kind=Refusal, key=self._key_name())
            counted = place
            others.remove(place)
        if any(holders(self._tables, n) > 1 for n in others):
            raise refusal("SB-1055", node, kind=Refusal, unit=self._key_name())
        return counted

    def bins(
        self, call: exp.Expr, kept: Kept | None, label: str
    ) -> tuple[int, tuple[Fraction, ...]]:
        """Refuse: bins of joined rows would need a column for each."""
        raise refusal("SB-1073", call, kind=Refusal, function=written(call))

    def _masks(self, kept: Kept | None) -> dict[Absent, Polynomial]:
        one = joint.one(self._count)
        return {case: one if kept is None else kept[case].true for case in self._cases}

    def _add(
        self, kind: MeasureKind, sums: Mapping[Absent, Polynomial], lower: int, upper: int,
        label: str, expected: Fraction, declared: bool,
    ) -> int:  # fmt: skip
        """Return the measure that is the sum of `sums` over all cases."""
        if self.joined_rows * max(abs(lower), abs(upper)) > WIDEST_SUM:
            raise refusal("SB-1066", self._select, kind=Refusal, label=label[:80])
        entries: dict[tuple[Piece | Presence | None, ...], int] = {}
        with self._products():
            for case, polynomial in sums.items():
                for product, coefficient in self._left_joins.weighted(case, polynomial):
                    entries[product] = entries.get(product, 0) + coefficient
        try:
            terms = tuple(
                Term(coefficient, tuple(
                    None if part is None else self._columns[n].factor(part)
                    for n, part in enumerate(product)
                ))
                for product, coefficient in entries.items()
                if coefficient
            )  # fmt: skip
        except TooWide:
            raise refusal("SB-1066", self._select, kind=Refusal, label=label[:80]) from None
        return self._measure(kind, terms, lower, upper, label, expected, declared)

    def _measure(
        self, kind: MeasureKind, terms: tuple[Term, ...], lower: int, upper: int,
        label: str, expected: Fraction, declared: bool,
    ) -> int:  # fmt: skip
        for index, measure in enumerate(self.measures):
            if measure.kind is kind and measure.terms == terms:
                return index
        self.measures.append(
            Measure(kind, "", lower, upper, 1, Fraction(0), Fraction(0), label, expected, declared,
                    terms)
        )  # fmt: skip
        return len(self.measures) - 1

    # Groups and sides

    def group(self, node: exp.Expr) -> Group:
        """Return what GROUP BY `node` means. Raises Refusal SB-1052, SB-1053, SB-1063."""
        places = self._tables.places(node)
        if len(places) > 1:
            raise refusal("SB-1063", node, kind=Refusal, expression=node.sql("duckdb")[:80])
        place = min(places, default=0)
        table = self._tables.tables[place]
        value = self._bind.scalar(node, place)
        no_keys(node, value, table.relation)
        if table.optional:
            if not strict(node):
                raise refusal("SB-1064", node, kind=Refusal, table=table.name)
            value = replace(value, nullable=True)
        sql, values = positions(node, value)
        name = self._columns[place].group(sql, value, len(values))
        return Group(node.sql("duckdb"), (place, meaning(value)), name, values, place)

    def identity(self, node: exp.Expr) -> object:
        """Return what is equal for expressions that group alike."""
        places = self._tables.places(node)
        if len(places) > 1:
            raise refusal("SB-1063", node, kind=Refusal, expression=node.sql("duckdb")[:80])
        place = min(places, default=0)
        value = self._bind.scalar(node, place)
        return place, meaning(value)

    def histogram(self, node: exp.Expr) -> Group:
        """Refuse: HISTOGRAM is of one table."""
        raise refusal("SB-1073", node, kind=Refusal, function="HISTOGRAM")

    def sides(self, groups: tuple[Group, ...]) -> tuple[Side, ...]:
        """Return every table as a side; the measures learn what a unit of each may change."""
        found = []
        for place, table in enumerate(self._tables.tables):
            own = {n: group for n, group in enumerate(groups) if group.place == place}
            keys = tuple(key[place] for key in self._tables.keys)
            side = self._columns[place].side(table, keys, own)
            keys_moved = keys_per_unit(self._tables, self._reaches, place)
            found.append(replace(side, keys_per_unit=keys_moved))
        self._change(groups)
        return tuple(found)

    def _change(self, groups: tuple[Group, ...]) -> None:
        cells = [1] * self._count
        for group in groups:
            cells[group.place] *= len(group.values)
        for index, measure in enumerate(self.measures):
            changes = tuple(reach.change(measure, cells) for reach in self._reaches)
            self.measures[index] = replace(
                measure,
                changes=changes,
                l1=max(c.l1 for c in changes),
                l2_squared=max(c.l2_squared for c in changes),
            )

    def quantised(self, sides: tuple[Side, ...]) -> list[Quantisation]:
        """Return everything that is rounded."""
        return [*roundings(sides, self._tables.scopes[0]), *self._quantisation]

    def _key_name(self) -> str:
        return ", ".join(key[0].name for key in self._tables.keys)

    def _optional_name(self) -> str:
        return next(t.name for t in self._tables.tables if t.optional)

    def _products(self) -> Products:
        return Products(self._select)


def _own_value(polynomial: Polynomial) -> tuple[int, Value] | None:
    """Return the place and the value of a polynomial that is one table's number."""
    if len(polynomial) != 1:
        return None
    ((product, coefficient),) = polynomial.items()
    parts = [(n, part) for n, part in enumerate(product) if part != joint.ONE]
    if coefficient != 1 or len(parts) != 1:
        return None
    place, part = parts[0]
    return (place, part.values[0]) if len(part.values) == 1 and not part.conditions else None


def _halved(value: int, factor: int) -> int:
    """Return value / factor rounded half away from zero."""
    rounded = (2 * abs(value) + factor) // (2 * factor)
    return rounded if value >= 0 else -rounded
