"""FROM with joins: tables matched on one shared key, inner or left, and the conditions between them.

Every pair of columns that ON, USING or WHERE equates, and that both cards declare as join_key, is one
column of the key. All other conditions are conditions on joined rows. A left join's own conditions stay
apart: they decide whether a row is found, not whether a joined row is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from sandbox.catalog import Column, Table
from sandbox.errors import Refusal
from sandbox.sql.bind import Relation, Sources, card_column
from sandbox.sql.keys import KEY_TYPES
from sandbox.sql.parse import check_clauses, construct, nearest, only, refusal
from sandbox.sql.rows import Scope

MOST_SIDES = 5


@dataclass
class JoinedTable:
    """One table of a join while FROM is read. `full`: the name that is surely its own, of `names`
    that qualify its columns. `on`: a left join's own conditions."""

    name: str
    full: str
    relation: Relation
    names: frozenset[str]
    optional: bool
    node: exp.Expr
    on: list[exp.Expr] = field(default_factory=list)

    @property
    def table(self) -> Table:
        """Its dataset or collection."""
        return self.relation.table


@dataclass(frozen=True)
class Tables:
    """FROM, read: tables, the key's columns by table, conditions on joined rows, columns of USING."""

    tables: tuple[JoinedTable, ...]
    keys: tuple[tuple[Column, ...], ...]
    """For each column of the key, the card's column in every table."""
    where: tuple[exp.Expr, ...]
    using: frozenset[str]
    scopes: tuple[Scope, ...]

    def place(self, column: exp.Column) -> int:
        """Return which table a column is of. Raises InputError SB-1004, SB-1005, SB-1067."""
        return _place(column, self.tables, self.using)

    def places(self, node: exp.Expr) -> frozenset[int]:
        """Return which tables an expression reads."""
        return frozenset(self.place(column) for column in node.find_all(exp.Column))


def is_join(select: exp.Select) -> bool:
    """Tell whether FROM names several tables."""
    return bool(select.args.get("joins"))


def read_tables(select: exp.Select, sources: Sources) -> Tables:
    """Return what FROM and WHERE say. Raises InputError or Refusal SB-1060..1074."""
    check_clauses(select, "joins")
    sources.name_tables(select.args.get("with_"))
    return _Reader(sources).read(select)


class _Reader:
    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._tables: list[JoinedTable] = []
        self._classes: list[dict[int, Column]] = []
        self._using: set[str] = set()

    def read(self, select: exp.Select) -> Tables:
        joins: list[exp.Join] = select.args["joins"]
        if len(joins) >= MOST_SIDES:
            raise refusal("SB-1069", joins[-1], construct=f"JOIN of {len(joins) + 1} tables")
        source = select.args.get("from_")
        if source is None:
            raise refusal("SB-1003", select, construct="SELECT", instead="SELECT ... FROM ...")
        self._add(source.this, optional=False)
        where: list[exp.Expr] = []
        for join in joins:
            where += self._join(join)
        clause = select.args.get("where")
        if clause is not None:
            where += [c for c in conjuncts(clause.this) if not self._is_key(c)]
        for condition in where:
            self._no_query(condition)
        keys = self._keys(joins)
        self._check_datasets()
        scopes = tuple(_scope(table, self._sources) for table in self._tables)
        return Tables(tuple(self._tables), keys, tuple(where), frozenset(self._using), scopes)

    def _add(self, node: exp.Expr, optional: bool) -> None:
        relation, names = self._sources.source(node)
        full, lowered = names[0].lower(), frozenset(n.lower() for n in names if n)
        for table in self._tables:
            if full and full == table.full:
                raise refusal("SB-1072", node, name=names[0])
            # A dataset without its node's name is no name where another table has it.
            table.names, lowered = (
                table.names - lowered | {table.full},
                lowered - table.names | {full},
            )
        if optional and len(relation.table.members) > 1:
            raise refusal("SB-1074", node, table=relation.table.name)
        name = names[-1] or relation.table.name
        self._tables.append(JoinedTable(name, full, relation, lowered, optional, node))

    def _join(self, join: exp.Join) -> list[exp.Expr]:
        """Take in one JOIN; return its conditions on joined rows."""
        only(join, "this", "side", "kind", "on", "using")
        side, kind = str(join.side).upper(), str(join.kind).upper()
        if side not in ("", "LEFT") or kind not in ("", "INNER", "OUTER"):
            raise refusal("SB-1069", join, construct=f"{side} {kind} JOIN".strip())
        self._add(join.this, side == "LEFT")
        place, table = len(self._tables) - 1, self._tables[-1]
        for name in join.args.get("using") or ():
            self._use(name, place)
        on = join.args.get("on")
        conditions = [] if on is None else conjuncts(on)
        rest = [c for c in conditions if not self._is_key(c)]
        if not table.optional:
            return rest
        table.on = rest
        return []

    def _use(self, name: exp.Expr, place: int) -> None:
        column = exp.column(name.name)
        column.this.meta.update(name.meta)
        left = _place(column, self._tables[:place], frozenset(self._using))
        a, b = self._named(column, left), self._named(column, place)
        if a is None or b is None:
            table = self._tables[left if a is None else place]
            raise refusal("SB-1005", name, name=name.name, table=table.name,
                          nearest=nearest(name.name, table.relation.columns))  # fmt: skip
        self._using.add(name.name.lower())
        self._equate(name, (left, a), (place, b))

    def _is_key(self, condition: exp.Expr) -> bool:
        """Take `a.x = b.y` in as a column of the key if both cards say so."""
        if not isinstance(condition, exp.EQ):
            return False
        ends: list[tuple[int, Column]] = []
        for node in (condition.this, condition.expression):
            if not isinstance(node, exp.Column):
                return False
            place = _place(node, self._tables, frozenset(self._using))
            column = self._named(node, place)
            if column is None:
                return False
            ends.append((place, column))
        if not any(column.join_key for _, column in ends):
            return False
        if ends[0][0] == ends[1][0]:
            return False
        self._equate(condition, ends[0], ends[1])
        return True

    def _equate(self, node: exp.Expr, a: tuple[int, Column], b: tuple[int, Column]) -> None:
        for place, column in (a, b):
            if not column.join_key:
                raise refusal("SB-1060", node, kind=Refusal, name=column.name,
                              table=self._tables[place].name)  # fmt: skip
            if column.type not in KEY_TYPES:
                raise refusal("SB-1071", node, left=column.name, right=column.type.value)
        newer, older = (a, b) if a[0] > b[0] else (b, a)
        if self._tables[older[0]].optional:
            raise refusal("SB-1064", node, table=self._tables[older[0]].name)
        if (a[1].type, a[1].normaliser) != (b[1].type, b[1].normaliser):
            raise refusal("SB-1071", node, left=a[1].name, right=b[1].name)
        merged: dict[int, Column] = {}
        rest = []
        for known in self._classes:
            touched = known.get(a[0]) == a[1] or known.get(b[0]) == b[1]
            if touched:
                merged.update(self._agreeing(node, merged, known))
            else:
                rest.append(known)
        merged.update(self._agreeing(node, merged, dict([older, newer])))
        self._classes = [*rest, merged]

    def _agreeing(
        self, node: exp.Expr, known: Mapping[int, Column], new: dict[int, Column]
    ) -> dict[int, Column]:
        for place, column in new.items():
            if place in known and known[place] != column:
                raise refusal("SB-1061", node, table=self._tables[place].name)
        return new

    def _named(self, node: exp.Column, place: int) -> Column | None:
        """Return the card's column that a bare column of that table is, None if it is computed."""
        return card_column(self._tables[place].relation, node.name)

    def _no_query(self, condition: exp.Expr) -> None:
        for node in condition.find_all(exp.In, exp.Exists):
            if isinstance(node, exp.Exists) or node.args.get("query"):
                raise refusal("SB-1076", node, construct=construct(node))
        if (query := condition.find(exp.Subquery)) is not None:
            raise refusal("SB-1003", query, construct="sub-query in an expression",
                          instead="WITH ... FROM")  # fmt: skip

    def _keys(self, joins: list[exp.Join]) -> tuple[tuple[Column, ...], ...]:
        count = len(self._tables)
        if not self._classes:
            raise refusal("SB-1068", joins[0], kind=Refusal, table=self._tables[1].name)
        for known in self._classes:
            missing = [n for n in range(count) if n not in known]
            if missing:
                join = joins[max(missing[0], 1) - 1]
                raise refusal("SB-1061", join, table=self._tables[missing[0]].name)
        return tuple(tuple(known[n] for n in range(count)) for known in self._classes)

    def _check_datasets(self) -> None:
        seen: dict[object, str] = {}
        for table in self._tables:
            for member in table.table.members:
                if member in seen:
                    raise refusal("SB-1017", table.node, left=seen[member], right=table.name)
                seen[member] = table.name


def conjuncts(node: exp.Expr) -> list[exp.Expr]:
    """Return what AND joins; what every branch of an OR asks for is asked for beside it."""
    if isinstance(node, exp.Paren):
        return conjuncts(node.this)
    if isinstance(node, exp.And):
        return conjuncts(node.this) + conjuncts(node.expression)
    if not isinstance(node, exp.Or):
        return [node]
    branches = [conjuncts(branch) for branch in _disjuncts(node)]
    shared = [part for part in branches[0] if all(part in branch for branch in branches[1:])]
    if not shared:
        return [node]
    rest = [[part for part in branch if part not in shared] for branch in branches]
    # A branch that asks for nothing else lets all others in.
    return [*shared, exp.or_(*(exp.and_(*parts) for parts in rest))] if all(rest) else shared


def _disjuncts(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Paren):
        return _disjuncts(node.this)
    if isinstance(node, exp.Or):
        return _disjuncts(node.this) + _disjuncts(node.expression)
    return [node]


def _place(node: exp.Column, tables: Sequence[JoinedTable], using: frozenset[str]) -> int:
    qualifier = ".".join(part.name for part in node.parts[:-1]).lower()
    name = node.name.lower()
    if qualifier:
        found = [n for n, table in enumerate(tables) if qualifier in table.names]
        if not found:
            known = {n for table in tables for n in table.names}
            raise refusal("SB-1004", node, table=qualifier, nearest=nearest(qualifier, known))
        return found[0]
    found = [n for n, table in enumerate(tables) if name in map(str.lower, table.relation.columns)]
    if not found:
        known = {c for table in tables for c in table.relation.columns}
        raise refusal("SB-1005", node, name=node.name, nearest=nearest(node.name, known),
                      table=", ".join(table.name for table in tables))  # fmt: skip
    if len(found) > 1 and name not in using:
        raise refusal(
            "SB-1067", node, name=node.name, tables=", ".join(tables[n].name for n in found)
        )
    return found[0]


def _scope(table: JoinedTable, sources: Sources) -> Scope:
    """Return the scope of one table's columns; an optional one may find no row, so all may be NULL."""
    scope = table.relation.scope(tuple(table.names), sources.rounded)
    if not table.optional:
        return scope
    columns = {name: replace(value, nullable=True) for name, value in scope.columns.items()}
    return replace(scope, columns=columns)
