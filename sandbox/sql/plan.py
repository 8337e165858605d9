"""The plan of one statement: a pure function of its text and the catalogue.

Every group of a declared domain is released, empty ones too: which groups occur is itself a fact
about the rows. HAVING, ORDER BY and LIMIT act on noised statistics and cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from sqlglot import exp

from sandbox.catalog import Table
from sandbox.errors import SandboxError
from sandbox.privacy.statistics import Formula
from sandbox.sql.aggregates import Aggregates
from sandbox.sql.algebra import (
    Comparison,
    Condition,
    GroupColumn,
    Junction,
    Ordering,
    Output,
    Plan,
)
from sandbox.sql.bind import Sources
from sandbox.sql.groups import MOST_CELLS
from sandbox.sql.joined import Joined
from sandbox.sql.joins import is_join
from sandbox.sql.magnitude import magnitude
from sandbox.sql.measures import Group
from sandbox.sql.onetable import OneTable
from sandbox.sql.parse import only, parse, refusal, whole
from sandbox.sql.perkey import key_columns
from sandbox.sql.rows import COMPARISONS
from sandbox.sql.semijoin import bind_semi, take_semi

MOST_MEASURES = 64
MOST_INTEGERS = 262_144
"""Integers in one share."""
MOST_COLUMNS = 2_048
"""Integers that a side of a join yields for each key."""


def plan(statement: str, catalogue: Mapping[str, Table]) -> Plan:
    """Return the plan of `statement` over `catalogue` (tables by the name FROM uses).

    Raises InputError (SB-10xx) for what is not understood and Refusal (SB-105x) for what cannot be
    answered privately, both with the position in the text.
    """
    select, sources = parse(statement), Sources(catalogue)
    if is_join(select):
        return _Planner(select, statement, Joined(select, sources)).plan()
    wanted = take_semi(select)
    relation, scope = sources.of(select)
    semi = None if wanted is None else bind_semi(wanted, relation, scope, sources)
    return _Planner(select, statement, OneTable(relation, scope, semi)).plan()


class _Planner:
    def __init__(self, select: exp.Select, statement: str, rows: OneTable | Joined) -> None:
        self._select = select
        self._statement = statement
        self._rows = rows
        self._aggregates: Aggregates[Any, Any, Any] = Aggregates(rows)
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
        groups = tuple(group for _, group in self._groups)
        sides = self._rows.sides(groups)
        finished = Plan(
            statement=self._statement,
            sides=sides,
            groups=tuple(GroupColumn(g.name, g.column, g.values) for g in groups),
            measures=tuple(self._rows.measures),
            outputs=tuple(outputs),
            having=condition,
            order_by=ordering,
            limit=self._limit(),
            operations=tuple(dict.fromkeys(self._aggregates.operations)),
            quantisation=tuple(dict.fromkeys(self._rows.quantised(sides))),
            mode=self._rows.mode,
            semi=self._rows.semi,
            joined_rows=self._rows.joined_rows,
        )
        for side in sides:
            columns = len(key_columns(finished, side))
            if columns > MOST_COLUMNS:
                raise refusal("SB-1075", self._select, table=side.table.name, columns=columns,
                              most=MOST_COLUMNS)  # fmt: skip
        if not finished.measures:
            raise refusal("SB-1019", self._select)
        if finished.cells > MOST_CELLS:
            raise refusal("SB-1020", self._select, cells=finished.cells, most=MOST_CELLS)
        if len(finished.measures) > MOST_MEASURES or finished.length > MOST_INTEGERS:
            raise refusal("SB-1021", self._select, integers=finished.length, most=MOST_INTEGERS)
        return finished

    def _group_by(self) -> list[tuple[exp.Expr, Group]]:
        clause = self._select.args.get("group")
        groups: list[tuple[exp.Expr, Group]] = []
        if clause is not None:
            only(clause, "expressions")
            for written in clause.expressions:
                node = self._resolve(written)
                groups.append((node, self._rows.group(node)))
        for node in self._items:
            if _is_histogram(node):
                self._aggregates.operations.append("histogram")
                groups.append((node, self._rows.histogram(node)))
        # What is named twice is one group: it has no combinations with itself.
        first = {(g.place, g.identity): (node, g) for node, g in reversed(groups)}
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
            if name not in self._rows.columns_named and name in self._aliases:
                return self._aliases[name]
        return node

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
        if group is None:
            formula = self._aggregates.formula(node, self._ungrouped)
            return [Output(name, None, formula, self._size(formula))]
        if not _is_histogram(node):
            return [Output(name, group, None, None)]
        formula = self._aggregates.formula(exp.Count(this=exp.Star()), self._ungrouped)
        bucket_name = "bucket" if name.lower().startswith("histogram") else name
        return [
            Output(bucket_name, group, None, None),
            Output("count", None, formula, self._size(formula)),
        ]

    def _size(self, formula: Formula) -> Fraction | None:
        """Return the typical size of a cell's statistic."""
        cells = Fraction(1)
        for _, group in self._groups:
            cells *= len(group.values)
        return magnitude(formula, self._rows.measures, self._rows.typical_rows / cells)

    def _group_of(self, node: exp.Expr) -> int | None:
        for index, (written, _) in enumerate(self._groups):
            if node == written:
                return index
        if node.find(exp.AggFunc) or not node.find(exp.Column) or _is_histogram(node):
            return None
        try:
            identity = self._rows.identity(node)
        except SandboxError:
            return None
        groups = [group.identity for _, group in self._groups]
        return groups.index(identity) if identity in groups else None

    def _ungrouped(self, node: exp.Column) -> Formula:
        self._rows.identity(node)
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
