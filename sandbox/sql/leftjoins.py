"""Left joins: which tables may find no row, and what a joined row counts where they find none.

Every aggregate is a sum over *cases*, one for each set of absent tables: in a case the absent tables'
columns are NULL, and "absent" is 1 minus "has a matching row", itself a factor of the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from sqlglot import exp

from sandbox.errors import Refusal
from sandbox.sql import joint
from sandbox.sql.algebra import FactorKind
from sandbox.sql.joins import Tables
from sandbox.sql.joint import Piece, Polynomial
from sandbox.sql.jointrows import Absent, JointRows, Products
from sandbox.sql.parse import refusal
from sandbox.sql.sides import Presence


@dataclass(frozen=True)
class Weight:
    """What a joined row of one case counts: a sum of `coefficient` x `polynomial` x what stands for
    each absent table (None: nothing; a Presence: whether it has a matching row)."""

    parts: tuple[tuple[int, Mapping[int, Presence | None], Polynomial], ...]


class LeftJoins:
    """The cases of a statement over joined tables, and what a row of each counts."""

    def __init__(self, select: exp.Select, tables: Tables, bind: JointRows) -> None:
        self._select, self._tables, self._bind = select, tables, bind
        self._count = len(tables.tables)
        optional = [n for n, table in enumerate(tables.tables) if table.optional]
        self.cases = [
            frozenset(c) for size in range(len(optional) + 1) for c in combinations(optional, size)
        ]
        self.weights = {absent: self._weight(absent) for absent in self.cases}

    def weighted(
        self, case: Absent, polynomial: Polynomial
    ) -> Iterator[tuple[tuple[Piece | Presence | None, ...], int]]:
        """Yield the products, with their coefficients, of which a sum over rows of a case is the sum."""
        for factor, standing, weight in self.weights[case].parts:
            for product, coefficient in joint.times(polynomial, weight).items():
                entry: list[Piece | Presence | None] = list(product)
                for place, stands in standing.items():
                    entry[place] = stands
                yield tuple(entry), coefficient * factor

    def _weight(self, absent: Absent) -> Weight:
        """Return what WHERE, a left join's conditions and sub-queries make of a row of one case."""
        with Products(self._select):
            where = joint.one(self._count)
            for node in self._tables.where:
                where = joint.times(where, self._bind.truth(node, absent).true)
            for place in range(self._count):
                if place not in absent:
                    where = joint.times(where, self._own(place))
                    where = joint.times(where, self._found(place, absent))
            parts: list[tuple[int, dict[int, Presence | None], Polynomial]] = [(1, {}, where)]
            for place in sorted(absent):
                parts = [p for part in parts for p in self._without(part, place, absent)]
        return Weight(tuple(parts))

    def _own(self, place: int) -> Polynomial:
        """Return the conditions of the sub-query that a table is."""
        truths = self._tables.tables[place].relation.conditions
        return joint.times(joint.one(self._count),
                           *(joint.atom(t, place, self._count).true for t in truths))  # fmt: skip

    def _found(self, place: int, absent: Absent) -> Polynomial:
        """Return a left join's own conditions, 1 for another table."""
        found = joint.one(self._count)
        for node in self._tables.tables[place].on:
            found = joint.times(found, self._bind.truth(node, absent).true)
        return found

    def _without(
        self, part: tuple[int, dict[int, Presence | None], Polynomial], place: int, absent: Absent
    ) -> Iterator[tuple[int, dict[int, Presence | None], Polynomial]]:
        """Yield what stands for `no row found`: 1, less where a row is found."""
        coefficient, standing, polynomial = part
        yield coefficient, standing | {place: None}, polynomial
        table = self._tables.tables[place]
        found = joint.times(self._found(place, absent - {place}), self._own(place))
        if len(found) > 1:
            # Whether one of several kinds of row is there is no sum over them.
            raise refusal("SB-1064", table.on[0], kind=Refusal, table=table.name)
        for product, count in found.items():
            others = tuple(p if n != place else joint.ONE for n, p in enumerate(product))
            rest = joint.times(polynomial, {others: count})
            yield -coefficient, standing | {place: Presence(product[place], FactorKind.FOUND)}, rest
