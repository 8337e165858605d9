"""FROM: datasets, collections, UNION ALL, and sub-queries that only project and filter rows.

Whatever a statement nests is flattened into one relation over one card: named row-level values and
one condition. Members of a UNION ALL must read their columns in the same way, because one fragment
is what every node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from sqlglot import exp

from sandbox.catalog import Column, DatasetCard, Table
from sandbox.errors import Refusal
from sandbox.sql.columns import scalar as column_scalar
from sandbox.sql.parse import check_clauses, construct, nearest, only, refusal
from sandbox.sql.rows import Scope, bind, condition
from sandbox.sql.scalar import Scalar, Truth, meaning

MOST_SUBQUERIES = 40


@dataclass(frozen=True)
class Relation:
    """Rows of one card at some members: named values and the conditions that keep a row."""

    table: Table
    columns: Mapping[str, Scalar]
    """By name as written; looked up without regard to case."""
    conditions: tuple[Truth, ...] = ()

    def scope(self, names: tuple[str, ...], rounded: dict[str, Fraction]) -> Scope:
        """Return what expressions over this relation can name; they note in `rounded` (see Scope)."""
        columns = {name.lower(): value for name, value in self.columns.items()}
        return Scope(self.table.name, frozenset(n.lower() for n in names if n), columns, rounded)


def column_name(card: DatasetCard, column: Column) -> str:
    """Return the name under which a fragment reads a card's column."""
    return f"c{card.columns.index(column)}"


def card_column(relation: Relation, name: str) -> Column | None:
    """Return the card's column that a relation's column is as it stands, None if it is computed."""
    value = next((v for n, v in relation.columns.items() if n.lower() == name.lower()), None)
    card = relation.table.card
    return next((c for c in card.columns if column_scalar(c, column_name(card, c)) == value), None)


class Sources:
    """Resolves FROM against the catalogue and the statement's common table expressions."""

    def __init__(self, catalogue: Mapping[str, Table]) -> None:
        self._catalogue = {name.lower(): table for name, table in catalogue.items()}
        self._named: dict[str, Relation] = {}
        self.rounded: dict[str, Fraction] = {}
        """What expressions over any source had to round (see Scope)."""
        self._subqueries = 0

    def of(self, select: exp.Select) -> tuple[Relation, Scope]:
        """Return what a SELECT reads, its WHERE included, and the scope of its expressions."""
        check_clauses(select)
        self.name_tables(select.args.get("with_"))
        source = select.args.get("from_")
        if source is None:
            raise refusal("SB-1003", select, construct="SELECT", instead="SELECT ... FROM ...")
        relation, names = self.source(source.this)
        scope = relation.scope(names, self.rounded)
        where = select.args.get("where")
        if where is not None:
            kept = condition(where.this, scope)
            relation = replace(relation, conditions=(*relation.conditions, kept))
        return relation, scope

    def name_tables(self, clause: exp.Expr | None) -> None:
        """Take in the common table expressions of a WITH clause."""
        if clause is None:
            return
        if clause.args.get("recursive"):
            raise refusal("SB-1003", clause, construct="WITH RECURSIVE", instead="WITH")
        only(clause, "expressions")
        for table in clause.expressions:
            only(table, "this", "alias")
            if table.args["alias"].args.get("columns"):
                raise refusal(
                    "SB-1003", table, construct="WITH t(a, b)", instead="WITH t AS (SELECT ...)"
                )
            self._named[table.alias.lower()] = self._rows(table.this)

    def source(self, node: exp.Expr) -> tuple[Relation, tuple[str, ...]]:
        """Return a table or sub-query of FROM, and the names by which its columns may be qualified."""
        alias = node.args.get("alias")
        if alias is not None:
            only(alias, "this")
        if isinstance(node, exp.Table):
            return self._table(node)
        if isinstance(node, exp.Subquery):
            only(node, "this", "alias")
            return self._rows(node.this), (node.alias,)
        raise refusal("SB-1003", node, construct=construct(node), instead="FROM table")

    def _table(self, node: exp.Table) -> tuple[Relation, tuple[str, ...]]:
        if node.args.get("joins"):
            raise refusal("SB-1016", node.args["joins"][0], construct="JOIN", instead="UNION ALL")
        if not isinstance(node.this, exp.Identifier):
            raise refusal(
                "SB-1003", node, construct=f"FROM {construct(node.this)}()", instead="FROM table"
            )
        only(node, "this", "db", "alias")
        name = ".".join(part.name for part in node.parts).lower()
        named = self._named.get(name)
        if named is not None:
            return named, (node.alias or name,)
        table = self._catalogue.get(name)
        if table is None:
            known = {*self._catalogue, *self._named}
            raise refusal("SB-1004", node, table=name, nearest=nearest(name, known))
        columns = {c.name: column_scalar(c, column_name(table.card, c)) for c in table.card.columns}
        return Relation(table, columns), (node.alias or name, node.alias or node.name)

    def _rows(self, node: exp.Expr) -> Relation:
        """Return a sub-query as rows; anything that groups, orders or limits is refused."""
        self._subqueries += 1
        if self._subqueries > MOST_SUBQUERIES:
            raise refusal("SB-1012", node)
        if isinstance(node, exp.Subquery):
            only(node, "this", "alias")
            return self._rows(node.this)
        if isinstance(node, exp.Union):
            return self._union(node)
        if not isinstance(node, exp.Select):
            raise refusal("SB-1002", node, found=construct(node))
        for clause in ("group", "having", "order", "limit"):
            if node.args.get(clause) is not None:
                raise refusal("SB-1014", node.args[clause], construct=clause.upper())
        outer = dict(self._named)
        relation, scope = self.of(node)
        self._named = outer
        columns: dict[str, Scalar] = {}
        for item in node.expressions:
            if isinstance(item, exp.Star):
                only(item)
                columns |= relation.columns
            else:
                bare = item.this if isinstance(item, exp.Alias) else item
                columns[item.alias_or_name or bare.sql("duckdb")] = bind(bare, scope)
        return replace(relation, columns=columns)

    def _union(self, node: exp.Union) -> Relation:
        if node.args.get("distinct"):
            raise refusal("SB-1003", node, construct="UNION", instead="UNION ALL")
        only(node, "this", "expression", "distinct")
        left, right = self._rows(node.this), self._rows(node.expression)
        card = _one_card(left.table.card, right.table.card)
        ours, theirs = list(left.columns.values()), list(right.columns.values())
        if isinstance(card, str):
            raise refusal("SB-1015", node, left=left.table.name, right=right.table.name, what=card)
        if [meaning(v) for v in ours] != [meaning(v) for v in theirs] or [
            t.sql for t in left.conditions
        ] != [t.sql for t in right.conditions]:
            raise refusal(
                "SB-1015", node, left=left.table.name, right=right.table.name, what="SELECT, WHERE"
            )
        if set(left.table.members) & set(right.table.members):
            raise refusal("SB-1017", node, left=left.table.name, right=right.table.name)
        table = Table(
            f"{left.table.name} UNION ALL {right.table.name}",
            card,
            left.table.members + right.table.members,
        )
        return replace(left, table=table)


def _one_card(left: DatasetCard, right: DatasetCard) -> DatasetCard | str:
    """Return the card of both together, or the name of what differs.

    Nobody has declared that a unit of one is not in the other, so it counts at each of them.
    """
    names = [c.name for c in left.columns], [c.name for c in right.columns]
    if names[0] != names[1]:
        return ", ".join(sorted(set(names[0]) ^ set(names[1]))) or "column order"
    for a, b in zip(left.columns, right.columns, strict=True):
        if _schema(a) != _schema(b):
            return a.name
    if left.privacy_unit != right.privacy_unit or left.contribution_cap != right.contribution_cap:
        return "privacy_unit, contribution_cap"
    return replace(
        left,
        row_bound=max(left.row_bound, right.row_bound),
        typical_rows=max(left.typical_rows, right.typical_rows),
        grade=max(left.grade, right.grade, key=lambda g: g.value),
        units_span_nodes=True,
    )


def _schema(column: Column) -> tuple[object, ...]:
    return (
        column.name,
        column.type,
        column.lower,
        column.upper,
        column.scale,
        column.domain,
        column.nullable,
        column.join_key,
        column.normaliser,
        column.multiplicity,
    )


def unit_of(card: DatasetCard) -> tuple[str, Scalar]:
    """Return the privacy unit's name and its value in a row."""
    (column,) = (c for c in card.columns if c.name == card.privacy_unit)
    return column.name, column_scalar(column, column_name(card, column))


def key_columns(relation: Relation) -> frozenset[str]:
    """Return the columns that name a person or thing: the privacy unit and join keys."""
    card = relation.table.card
    return frozenset({card.privacy_unit, *(c.name for c in card.columns if c.join_key)})


def no_keys(node: exp.Expr, value: Scalar, relation: Relation) -> None:
    """Refuse to group by anything computed from a key. Raises Refusal SB-1053."""
    keys = value.reads & key_columns(relation)
    if keys:
        raise refusal("SB-1053", node, kind=Refusal, name=", ".join(sorted(keys)))
