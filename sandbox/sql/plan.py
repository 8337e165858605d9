"""The plan of one statement: a pure function of its text and the catalogue.

Every group of a declared domain is released, empty ones too: which groups occur is itself a fact
about the rows. HAVING, ORDER BY and LIMIT act on noised statistics and cost nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from sqlglot import exp

from sandbox.catalog import ColumnType, Table
from sandbox.errors import SandboxError
from sandbox.privacy.statistics import Formula
from sandbox.sql import arithmetic, scalar
from sandbox.sql.aggregates import Aggregates
from sandbox.sql.algebra import (
    Comparison,
    Condition,
    Fragment,
    GroupColumn,
    Junction,
    Ordering,
    Output,
    Plan,
    Quantisation,
)
from sandbox.sql.bind import Relation, Sources, column_name, no_keys, unit_of
from sandbox.sql.columns import reading, unit
from sandbox.sql.groups import MOST_CELLS, positions
from sandbox.sql.magnitude import magnitude
from sandbox.sql.measures import Measures
from sandbox.sql.parse import only, parse, refusal, whole
from sandbox.sql.rows import COMPARISONS, bind
from sandbox.sql.scalar import Number, Scalar

MOST_MEASURES = 64
MOST_INTEGERS = 262_144
"""Integers in one share."""
HISTOGRAM_BUCKETS = 20


@dataclass(frozen=True)
class _Group:
    node: exp.Expr
    value: Scalar
    column: GroupColumn


def plan(statement: str, catalogue: Mapping[str, Table]) -> Plan:
    """Return the plan of `statement` over `catalogue` (tables by the name FROM uses).

    Raises InputError (SB-10xx) for what is not understood and Refusal (SB-105x) for what cannot be
    answered privately, both with the position in the text.
    """
    return _Planner(parse(statement), statement, catalogue).plan()


class _Planner:
    def __init__(self, select: exp.Select, statement: str, catalogue: Mapping[str, Table]) -> None:
        self._select = select
        self._statement = statement
        self._relation, self._scope = Sources(catalogue).of(select)
        card = self._relation.table.card
        self._measures = Measures(self._relation.table)
        repeated = self._relation.table.occurrences > 1
        self._aggregates = Aggregates(self._scope, unit_of(card), repeated, self._measures)
        self._items = [_unaliased(item) for item in select.expressions]
        self._aliases: dict[str, exp.Expr] = {
            item.alias.lower(): item.this
            for item in select.expressions
            if isinstance(item, exp.Alias)
        }
        self._groups = self._group_by()

    def plan(self) -> Plan:
        outputs = self._outputs()
        having = self._select.args.get("having")
        condition = None if having is None else self._condition(having.this)
        ordering = self._order_by(outputs)
        groups = tuple(group.column for group in self._groups)
        relation = self._relation
        fragment = _fragment(relation, self._measures)
        finished = Plan(
            statement=self._statement,
            table=relation.table,
            fragment=fragment,
            groups=groups,
            measures=tuple(self._measures.measures),
            outputs=tuple(outputs),
            having=condition,
            order_by=ordering,
            limit=self._limit(),
            operations=tuple(dict.fromkeys(self._aggregates.operations)),
            quantisation=self._quantisation(fragment.columns_read),
        )
        if not finished.measures:
            raise refusal("SB-1019", self._select)
        if finished.cells > MOST_CELLS:
            raise refusal("SB-1020", self._select, cells=finished.cells, most=MOST_CELLS)
        if len(finished.measures) > MOST_MEASURES or finished.length > MOST_INTEGERS:
            raise refusal("SB-1021", self._select, integers=finished.length, most=MOST_INTEGERS)
        return finished

    def _quantisation(self, read: tuple[str, ...]) -> tuple[Quantisation, ...]:
        """Return everything that is rounded: decimal columns, inexact expressions, arguments."""
        card = self._relation.table.card
        steps = {
            column.name: Fraction(1, 10**column.scale)
            for column in card.columns
            if column.name in read and column.type is ColumnType.DECIMAL
        }
        rounded = [
            Quantisation(what, s, s / 2) for what, s in {**steps, **self._scope.rounded}.items()
        ]
        return tuple(dict.fromkeys(rounded + self._measures.quantisation))

    def _group_by(self) -> list[_Group]:
        clause = self._select.args.get("group")
        groups: list[_Group] = []
        if clause is not None:
            only(clause, "expressions")
            for written in clause.expressions:
                node = self._resolve(written)
                groups.append(self._group(node, bind(node, self._scope)))
        groups += [self._histogram(node) for node in self._items if _is_histogram(node)]
        # What is named twice is one group: it has no combinations with itself.
        first = {group.column.sql: group for group in reversed(groups)}
        return list(first.values())[::-1]

    def _resolve(self, node: exp.Expr) -> exp.Expr:
        """Return what an ordinal or alias in GROUP BY stands for; columns go before aliases."""
        if isinstance(node, exp.Literal) and not node.is_string:
            place = whole(node, len(self._items))
            if not place:
                raise refusal("SB-1009", node, ordinal=node.name[:40], outputs=len(self._items))
            return self._items[place - 1]
        if isinstance(node, exp.Column) and not node.table:
            name = node.name.lower()
            if name not in self._scope.columns and name in self._aliases:
                return self._aliases[name]
        return node

    def _group(self, node: exp.Expr, value: Scalar) -> _Group:
        no_keys(node, value, self._relation)
        sql, values = positions(node, value)
        name = self._measures.column("g", sql, 0, len(values) - 1, nullable=True)
        return _Group(node, value, GroupColumn(node.sql("duckdb"), name, values))

    def _histogram(self, node: exp.Expr) -> _Group:
        """HISTOGRAM(x[, n]): equal buckets over the declared bounds, named by their lower edge."""
        arguments = node.expressions
        if not 1 <= len(arguments) <= 2:
            raise refusal("SB-1010", node, function="HISTOGRAM", fewest=1, most=2)
        value = bind(arguments[0], self._scope)
        self._aggregates.operations.append("histogram")
        if not isinstance(value, Number) or value.points is not None or value.unbounded:
            return self._group(node, value)
        count = whole(arguments[1], MOST_CELLS) if len(arguments) == 2 else HISTOGRAM_BUCKETS
        if not count:
            raise refusal("SB-1007", node, expression=node.sql("duckdb")[:80])
        return self._group(node, _buckets(value, count))

    def _outputs(self) -> list[Output]:
        outputs: list[Output] = []
        names: set[str] = set()
        for item, node in zip(self._select.expressions, self._items, strict=True):
            if isinstance(node, exp.Star):
                raise refusal("SB-1003", node, construct="SELECT *", instead="COUNT(*), AVG(x)")
            named = isinstance(item, exp.Alias | exp.Column)
            wanted = item.alias_or_name if named else node.sql("duckdb")
            name, copies = wanted, 1
            while name in names:
                copies += 1
                name = f"{wanted}_{copies}"
            names.add(name)
            outputs += self._output(node, name)
        return outputs

    def _output(self, node: exp.Expr, name: str) -> list[Output]:
        group = self._group_of(node)
        cells = Fraction(1)
        for g in self._groups:
            cells *= len(g.column.values)
        if group is not None:
            found = [Output(name, group, None, None)]
            if _is_histogram(node):
                formula = self._aggregates.formula(exp.Count(this=exp.Star()), self._ungrouped)
                size = magnitude(formula, self._measures.measures, self._relation.table, cells)
                bucket_name = "bucket" if name.lower().startswith("histogram") else name
                found = [
                    Output(bucket_name, group, None, None),
                    Output("count", None, formula, size),
                ]
            return found
        formula = self._aggregates.formula(node, self._ungrouped)
        size = magnitude(formula, self._measures.measures, self._relation.table, cells)
        return [Output(name, None, formula, size)]

    def _group_of(self, node: exp.Expr) -> int | None:
        for index, group in enumerate(self._groups):
            if node == group.node:
                return index
        if node.find(exp.AggFunc) or not node.find(exp.Column) or _is_histogram(node):
            return None
        try:
            value = bind(node, self._scope)
        except SandboxError:
            return None
        for index, group in enumerate(self._groups):
            if type(value) is type(group.value) and value.sql == group.value.sql:
                return index
        return None

    def _ungrouped(self, node: exp.Column) -> Formula:
        bind(node, self._scope)
        raise refusal("SB-1008", node, name=node.name)

    def _named(self, node: exp.Column) -> Formula:
        """HAVING and ORDER BY may name an output."""
        found = self._aliases.get(node.name.lower()) if not node.table else None
        if self._group_of(found or node) is not None:
            raise refusal("SB-1018", node, construct=f"HAVING {node.sql('duckdb')[:80]}")
        if found is None:
            return self._ungrouped(node)
        return self._aggregates.formula(found, self._ungrouped)

    def _condition(self, node: exp.Expr) -> Condition:
        if isinstance(node, exp.Paren):
            return self._condition(node.this)
        if isinstance(node, exp.And | exp.Or):
            only(node, "this", "expression")
            word = "AND" if isinstance(node, exp.And) else "OR"
            return Junction(word, (self._condition(node.this), self._condition(node.expression)))
        if isinstance(node, exp.Not):
            return Junction("NOT", (self._condition(node.this),))
        if isinstance(node, exp.Between):
            only(node, "this", "low", "high")
            value = self._having_formula(node.this)
            low = Comparison(value, ">=", self._having_formula(node.args["low"]))
            high = Comparison(value, "<=", self._having_formula(node.args["high"]))
            return Junction("AND", (low, high))
        operator = COMPARISONS.get(type(node), "IS")
        if operator.startswith("IS"):
            raise refusal("SB-1018", node, construct=f"HAVING {node.sql('duckdb')[:80]}")
        left, right = self._having_formula(node.this), self._having_formula(node.expression)
        return Comparison(left, operator, right)

    def _having_formula(self, node: exp.Expr) -> Formula:
        return self._aggregates.formula(node, self._named)

    def _order_by(self, outputs: list[Output]) -> tuple[Ordering, ...]:
        clause = self._select.args.get("order")
        if clause is None:
            return ()
        only(clause, "expressions")
        return tuple(self._ordering(item, outputs) for item in clause.expressions)

    def _ordering(self, item: exp.Expr, outputs: list[Output]) -> Ordering:
        node, descending = item, False
        if isinstance(item, exp.Ordered):
            only(item, "this", "desc", "nulls_first")
            node, descending = item.this, bool(item.args.get("desc"))
            if item.args.get("nulls_first"):
                raise refusal("SB-1003", item, construct="NULLS FIRST", instead="NULLS LAST")
        index = self._place(node, outputs)
        if index is None:
            raise refusal("SB-1022", node, expression=node.sql("duckdb")[:80])
        return Ordering(index, descending)

    def _place(self, node: exp.Expr, outputs: list[Output]) -> int | None:
        """Return the output that an ordinal, a name or an equal expression in ORDER BY means."""
        if isinstance(node, exp.Literal) and not node.is_string:
            place = whole(node, len(outputs))
            if not place:
                raise refusal("SB-1009", node, ordinal=node.name[:40], outputs=len(outputs))
            return place - 1
        if isinstance(node, exp.Column) and not node.table:
            for index, output in enumerate(outputs):
                if output.name.lower() == node.name.lower():
                    return index
        group = self._group_of(node)
        if group is not None:
            return next((i for i, o in enumerate(outputs) if o.group == group), None)
        formula = self._aggregates.formula(node, self._named)
        return next((i for i, o in enumerate(outputs) if o.formula == formula), None)

    def _limit(self) -> int | None:
        clause = self._select.args.get("limit")
        if clause is None:
            return None
        only(clause, "expression")
        limit = whole(clause.expression, 10**9)
        if limit is None:
            written = clause.sql("duckdb").strip()[:40]
            raise refusal("SB-1003", clause, construct=written, instead="LIMIT 10")
        return limit


def _unaliased(item: exp.Expr) -> exp.Expr:
    bare: exp.Expr = item.this if isinstance(item, exp.Alias) else item
    return bare


def _is_histogram(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "histogram"


def _buckets(value: Number, count: int) -> Number:
    """Return the lower edge of x's bucket: `count` or fewer, each a whole number of steps wide."""
    width = -(-(value.upper - value.lower + 1) // count) * value.step
    lowest = value.lower * value.step
    low, wide = scalar.constant(lowest), scalar.constant(width)
    place = arithmetic.floored(arithmetic.divide(arithmetic.subtract(value, low), wide))
    edge = arithmetic.add(arithmetic.multiply(place, wide), low)
    edges = (lowest + width * i for i in range(place.lower, place.upper + 1))
    return replace(edge, points=tuple(int(e / edge.step) for e in edges))


def _fragment(relation: Relation, measures: Measures) -> Fragment:
    """Return the row-level SQL: read what is used, leave out rows that break the card, filter."""
    card = relation.table.card
    sqls = [c.sql for c in measures.columns] + [t.sql for t in relation.conditions]
    named = set(re.findall(r"\bc\d+\b", re.sub(r"'(?:[^']|'')*'", "", " ".join(sqls))))
    used = [c for c in card.columns if column_name(card, c) in named]
    read = "".join(f", {reading(c)} AS {column_name(card, c)}" for c in used)
    kept = [f"{column_name(card, c)} IS NOT NULL" for c in used if not c.nullable]
    kept += [t.sql for t in relation.conditions]
    columns = "".join(f", {c.sql} AS {c.name}" for c in measures.columns)
    rows_sql = f"SELECT unit{columns} FROM (SELECT {unit(card)} AS unit{read} FROM base)" + (
        f" WHERE {' AND '.join(kept)}" if kept else ""
    )
    return Fragment(
        rows_sql, tuple(c.name for c in used), card.contribution_cap, tuple(measures.columns)
    )
