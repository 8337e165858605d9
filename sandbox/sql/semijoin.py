"""WHERE k IN (SELECT k FROM other WHERE ...): rows of one table whose key another table has.

A plan over one table, of which only rows count whose key is among those of the other. Which rows a unit
may have is decided before anything is matched, so that a key that comes or goes takes no other row
along. EXISTS with one equality of keys per column means the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from sandbox.catalog import Column
from sandbox.errors import Refusal
from sandbox.sql.algebra import Fragment, KeyColumn, Side
from sandbox.sql.bind import Relation, Sources, card_column
from sandbox.sql.joins import conjuncts
from sandbox.sql.keys import KEY_TYPES, keyed_rows
from sandbox.sql.parse import construct, only, refusal
from sandbox.sql.reads import columns_used, keeping_the_card, read_columns
from sandbox.sql.rows import Scope

IN_QUERY = "IN (SELECT ...)"


@dataclass(frozen=True)
class Semi:
    """The other table: its side, which yields keys alone, and the key's columns of the first."""

    side: Side
    keys: tuple[Column, ...]


def take_semi(select: exp.Select) -> exp.Expr | None:
    """Take the one condition of WHERE that asks for rows of another table out of it; None if there is
    none. Raises InputError SB-1076 for more than one, or one that is not joined by AND."""
    where = select.args.get("where")
    if where is None:
        return None
    parts = conjuncts(where.this)
    found = [p for p in parts if isinstance(p, exp.Exists) or p.args.get("query")]
    rest = [p for p in parts if p not in found]
    nested = [n for p in rest for n in p.find_all(exp.Exists, exp.In) if _asks(n)] + found[1:]
    if nested:
        name = "EXISTS" if isinstance(nested[0], exp.Exists) else IN_QUERY
        raise refusal("SB-1076", nested[0], construct=name)
    if not found:
        return None
    if rest:
        where.set("this", exp.and_(*rest, copy=False, wrap=True) if len(rest) > 1 else rest[0])
    else:
        select.set("where", None)
    return found[0]


def _asks(node: exp.Expr) -> bool:
    return isinstance(node, exp.Exists) or bool(node.args.get("query"))


def bind_semi(node: exp.Expr, outer: Relation, scope: Scope, sources: Sources) -> Semi:
    """Return what the condition asks for. Raises InputError or Refusal SB-1060, SB-1071, SB-1076."""
    if isinstance(node, exp.Exists):
        only(node, "this")
        query, pairs = _correlated(node, scope, sources)
    else:
        only(node, "this", "query")
        query = node.args["query"]
        query = query.this if isinstance(query, exp.Subquery) else query
        pairs = _listed(node.this, query)
    if not isinstance(query, exp.Select) or query.args.get("joins"):
        raise refusal("SB-1076", node, construct=construct(query))
    inner, inner_scope = sources.of(query)
    for clause in ("group", "having", "order", "limit"):
        if query.args.get(clause) is not None:
            raise refusal("SB-1014", query.args[clause], construct=clause.upper())
    theirs = [_key(column, inner, inner_scope) for _, column in pairs]
    ours = [_key(column, outer, scope) for column, _ in pairs]
    for (written, _), a, b in zip(pairs, ours, theirs, strict=True):
        if (a.type, a.normaliser) != (b.type, b.normaliser) or a.type not in KEY_TYPES:
            raise refusal("SB-1071", written, left=a.name, right=b.name)
    shared = set(outer.table.members) & set(inner.table.members)
    if shared:
        raise refusal("SB-1017", node, left=outer.table.name, right=inner.table.name)
    return Semi(_side(inner, theirs), tuple(ours))


def _listed(ours: exp.Expr, query: exp.Expr) -> list[tuple[exp.Expr, exp.Expr]]:
    left = list(ours.expressions) if isinstance(ours, exp.Tuple) else [ours]
    left = [e.this if isinstance(e, exp.Paren) else e for e in left]
    right = [e.this if isinstance(e, exp.Alias) else e for e in getattr(query, "expressions", [])]
    if len(left) != len(right) or not left:
        raise refusal("SB-1076", query, construct=IN_QUERY)
    return list(zip(left, right, strict=True))


def _correlated(
    node: exp.Exists, scope: Scope, sources: Sources
) -> tuple[exp.Expr, list[tuple[exp.Expr, exp.Expr]]]:
    """Return the query of EXISTS without the equalities between its rows and ours, and these."""
    query = node.this
    where = query.args.get("where") if isinstance(query, exp.Select) else None
    if where is None or query.args.get("from_") is None:
        raise refusal("SB-1076", node, construct="EXISTS")
    relation, names = sources.source(query.args["from_"].this)
    inner = relation.scope(names, {})
    pairs: list[tuple[exp.Expr, exp.Expr]] = []
    rest: list[exp.Expr] = []
    for part in conjuncts(where.this):
        pair = _pair(part, inner, scope)
        if pair is None:
            rest.append(part)
        else:
            pairs.append(pair)
    if not pairs:
        raise refusal("SB-1076", node, construct="EXISTS")
    bare = query.copy()
    bare.set("where", exp.Where(this=exp.and_(*rest)) if rest else None)
    return bare, pairs


def _pair(part: exp.Expr, inner: Scope, outer: Scope) -> tuple[exp.Expr, exp.Expr] | None:
    if not isinstance(part, exp.EQ):
        return None
    ends = [part.this, part.expression]
    where = [_names(end, inner) for end in ends]
    if where == [True, False] and _names(ends[1], outer):
        return ends[1], ends[0]
    if where == [False, True] and _names(ends[0], outer):
        return ends[0], ends[1]
    return None


def _names(column: exp.Expr, scope: Scope) -> bool:
    """Tell whether a node is a column reference that names a column of `scope`."""
    if not isinstance(column, exp.Column):
        return False
    qualifier = ".".join(part.name for part in column.parts[:-1]).lower()
    return (not qualifier or qualifier in scope.tables) and column.name.lower() in scope.columns


def _key(node: exp.Expr, relation: Relation, scope: Scope) -> Column:
    """Return the card's column that a bare column of a key is."""
    found = card_column(relation, node.name) if _names(node, scope) else None
    if found is not None and found.join_key:
        return found
    name = node.name if isinstance(node, exp.Column) else node.sql("duckdb")[:80]
    raise refusal("SB-1060", node, kind=Refusal, name=name, table=relation.table.name)


def _side(relation: Relation, keys: Sequence[Column]) -> Side:
    """Return the side that yields the other table's keys, filtered."""
    card = relation.table.card
    filters = [t.sql for t in relation.conditions]
    used = columns_used(card, filters)
    kept = keeping_the_card(card, used) + filters
    named = tuple(KeyColumn(c.name, c.type, f"key{n}") for n, c in enumerate(keys))
    rows_sql = keyed_rows(card, named, keys, read_columns(card, used), "", kept)
    names = tuple(c.name for c in card.columns if c in used or c in keys)
    fragment = Fragment(rows_sql, names, card.contribution_cap)
    return Side(relation.table.name, relation.table, fragment, keys=named,
                multiplicity=min(c.multiplicity for c in keys))  # fmt: skip


def matched_side(side: Side, keys: Sequence[Column], filters: Sequence[str]) -> Side:
    """Return the first table's side, with its key beside what its fragment computes."""
    card = side.table.card
    named = tuple(KeyColumn(c.name, c.type, f"key{n}") for n, c in enumerate(keys))
    used = columns_used(card, [*(c.sql for c in side.fragment.columns), *filters])
    kept = [*keeping_the_card(card, used), *filters]
    computed = "".join(f", {c.sql} AS {c.name}" for c in side.fragment.columns)
    rows_sql = keyed_rows(card, named, keys, read_columns(card, used), computed, kept)
    names = tuple(c.name for c in card.columns if c in used or c in keys)
    fragment = replace(side.fragment, rows_sql=rows_sql, columns_read=names)
    return replace(side, fragment=fragment, keys=named,
                   multiplicity=min(c.multiplicity for c in keys))  # fmt: skip
