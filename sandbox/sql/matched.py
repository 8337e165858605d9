"""`sandbox join`: which rows of one owner have a key that another owner has, told to the first alone.

A plan without a measure: nothing is released, the receiver's node keeps the key's columns of the rows
that match (docs/decisions/014). Its statement is SELECT k FROM r WHERE k IN (SELECT k FROM s), written
in one way only; as a query it is refused, and only a job signed as a disclosure is planned here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from sqlglot import exp

from sandbox.catalog import Column, ColumnType, Table
from sandbox.errors import InputError, Refusal
from sandbox.sql.algebra import Fragment, JoinMode, KeyColumn, Plan, Side
from sandbox.sql.columns import identifier
from sandbox.sql.keys import KEY_TYPES, key_sql, plain_sql, unicode_keys
from sandbox.sql.parse import nearest, parse, refusal
from sandbox.sql.plan import plan
from sandbox.sql.preparing import preparing_plan

Pairs = Sequence[tuple[str, str]]
"""The key's columns: each one's name at the receiver, and at the sender."""


def plan_of(
    statement: str,
    catalogue: Mapping[str, Table],
    *,
    disclosed: bool,
    prepares: bool = False,
    asked_by: str = "",
) -> Plan:
    """Return the plan of a job's statement: of a disclosure, of a preparation, or of a query.

    asked_by: whose job it is. A plan is kept for who asks again, and for nobody else: how long it takes
    must not tell one researcher what another has asked.
    """
    tables = tuple(sorted(catalogue.items()))
    return _planned(asked_by, statement, tables, disclosed, prepares)


@lru_cache(maxsize=64)
def _planned(
    asked_by: str,
    statement: str,
    tables: tuple[tuple[str, Table], ...],
    disclosed: bool,
    prepares: bool,
) -> Plan:
    catalogue = dict(tables)
    if prepares:
        return preparing_plan(statement, catalogue)
    return matched_plan(statement, catalogue) if disclosed else plan(statement, catalogue)


def columns_on(written: str) -> Pairs:
    """Return the key's columns that `id,day=date` names. Raises InputError SB-1093 for none."""
    pairs = [each.partition("=") for each in written.split(",")]
    on = [(left.strip(), (right if sign else left).strip()) for left, sign, right in pairs]
    if not all(left and right for left, right in on):
        raise InputError("SB-1093", written=written[:80])
    return on


def matched_statement(receiver: str, sender: str, on: Pairs) -> str:
    """Return the statement of a disclosure: it has one way to be written."""
    ours = ", ".join(identifier(name) for name, _ in on)
    theirs = ", ".join(identifier(name) for _, name in on)
    key = ours if len(on) == 1 else f"({ours})"
    return (
        f"SELECT {ours} FROM {_table_name(receiver)} "
        f"WHERE {key} IN (SELECT {theirs} FROM {_table_name(sender)})"
    )


def matched_plan(statement: str, catalogue: Mapping[str, Table]) -> Plan:
    """Return the plan of a disclosure.

    Raises InputError SB-1090 for any other statement, SB-1091 for a table of several members, SB-1004
    and SB-1005 for unknown names, SB-1017, SB-1060, SB-1071 as joins do.
    """
    select = parse(statement)
    where = select.args.get("where")
    inner = where.this.args.get("query") if where and isinstance(where.this, exp.In) else None
    inner = inner.this if isinstance(inner, exp.Subquery) else inner
    if not isinstance(inner, exp.Select):
        raise refusal("SB-1090", select)
    names = [[item.name for item in part.expressions] for part in (select, inner)]
    tables = [part.args["from_"].this for part in (select, inner) if part.args.get("from_")]
    if len(tables) < 2 or len(names[0]) != len(names[1]):
        raise refusal("SB-1090", select)
    on = list(zip(*names, strict=True))
    if statement != matched_statement(_dotted(tables[0]), _dotted(tables[1]), on):
        raise refusal("SB-1090", select)
    receiver, sender = (_found(table, catalogue) for table in tables)
    if set(receiver.members) & set(sender.members):
        raise refusal("SB-1017", inner, left=receiver.name, right=sender.name)
    ours = [_key(item, receiver) for item in select.expressions]
    theirs = [_key(item, sender) for item in inner.expressions]
    for item, a, b in zip(select.expressions, ours, theirs, strict=True):
        if (a.type, a.normaliser) != (b.type, b.normaliser) or a.type not in KEY_TYPES:
            raise refusal("SB-1071", item, left=a.name, right=b.name)
    return Plan(
        statement=statement,
        sides=(_side(receiver, ours, kept=True),),
        groups=(),
        measures=(),
        outputs=(),
        having=None,
        order_by=(),
        limit=None,
        operations=(),
        mode=JoinMode.PSI,
        semi=_side(sender, theirs, kept=False),
        matched=tuple(column.name for column in ours),
    )


def matched_sql(side: Side, base_relation: str) -> str:
    """Return the SQL that yields a side's rows: key0.., then of a receiver own0.., nothing bounded.

    base_relation: a trusted relation name.
    """
    return f"WITH base AS (SELECT * FROM {base_relation}) {side.fragment.rows_sql}"


def plain_matched_sql(side: Side, base_relation: str) -> str:
    """Return `matched_sql` as plain_sql does, of keys alone: as they are, they are in canonical form.
    Empty unless all are such texts."""
    if len(unicode_keys(side.table.card, side.keys)) < len(side.keys):
        return ""
    plain = plain_sql(matched_sql(side, base_relation), side.table.card, side.keys)
    for number, key in enumerate(side.keys):
        plain = plain.replace(f", {_other_text(number, key)} AS own{number}", "")
    return plain


def _other_text(number: int, key: KeyColumn) -> str:
    """Return the SQL of a text key as it is, NULL where that is its canonical form."""
    return f"nullif(TRY_CAST(own{number} AS VARCHAR), {key.sql})"


def _dotted(node: exp.Expr) -> str:
    return ".".join(part.name for part in node.parts) if isinstance(node, exp.Table) else ""


def _table_name(name: str) -> str:
    return ".".join(identifier(part) for part in name.split("."))


def _found(node: exp.Expr, catalogue: Mapping[str, Table]) -> Table:
    """Return a dataset of one node."""
    name = _dotted(node)
    table = catalogue.get(name)
    if table is None:
        raise refusal("SB-1004", node, table=name, nearest=nearest(name, catalogue))
    if len(table.members) > 1:
        raise refusal("SB-1091", node, table=name)
    return table


def _key(node: exp.Expr, table: Table) -> Column:
    found = next((c for c in table.card.columns if c.name == node.name), None)
    if found is None:
        names = [column.name for column in table.card.columns]
        raise refusal("SB-1005", node, name=node.name, table=table.name,
                      nearest=nearest(node.name, names))  # fmt: skip
    if not found.join_key:
        raise refusal("SB-1060", node, kind=Refusal, name=found.name, table=table.name)
    return found


def _side(table: Table, keys: Sequence[Column], *, kept: bool) -> Side:
    """Return a side that yields its keys in their canonical form; kept: and as they are beside it, but
    for text that is in that form: NULL says so, and spares most columns a second copy."""
    named = tuple(KeyColumn(c.name, c.type, f"key{n}") for n, c in enumerate(keys))
    items = [f"{key_sql(c)} AS {k.sql}" for k, c in zip(named, keys, strict=True)]
    sql = f"SELECT {', '.join(items)} FROM base"
    if kept:
        own = [f"{identifier(c.name)} AS own{n}" for n, c in enumerate(keys)]
        shown = [
            f"{_other_text(n, k) if k.type is ColumnType.TEXT else f'own{n}'} AS own{n}"
            for n, k in enumerate(named)
        ]
        names = ", ".join([*(k.sql for k in named), *shown])
        sql = f"SELECT {names} FROM (SELECT {', '.join([*items, *own])} FROM base)"
    fragment = Fragment(sql, tuple(c.name for c in keys), 1)
    return Side(table.name, table, fragment, keys=named)
