"""What a side of a join computes: for every key, the sum of each factor in each own cell.

    rows     read; keys in their canonical form; factors and groups of each row (no row is left out)
    bounded  at most `contribution_cap` rows of each privacy unit, NULL keys included
    kept     at most `multiplicity` rows of each key
    columns  one row per key: a BIGINT for every (factor, own cell) of `key_columns`

Which rows are kept is decided by hashes of unit, key and row: a uniform choice that one unit's rows
can change only by as many rows as it has, and the same on any number of threads. Of a unit's rows,
keys are chosen before rows, so that a table's keys that count are the same for every statement: a
matching that was prepared for one serves all.
"""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.sql.algebra import FactorKind, Plan, Side
from sandbox.sql.keys import plain_sql


def key_columns(plan: Plan, side: Side) -> list[tuple[int, int]]:
    """Return the (factor, own cell) of every column of `per_key_sql`, in order.

    A factor of kind FOUND has one column, for the side's absent cell; others have none for cells that
    they cannot be in.
    """
    columns = []
    for index, factor in enumerate(side.factors):
        if factor.kind is FactorKind.FOUND:
            columns.append((index, side.absent_cell or 0))
        else:
            cells = range(plan.own_cells(side))
            columns += [(index, cell) for cell in cells if factor.may_be_in(cell)]
    return columns


def per_key_sql(plan: Plan, side: Side, base_relation: str = "base") -> str:
    """Return the SQL that yields key0.. and then `key_columns` as v0.., one row for each key.

    `base_relation`: a trusted relation name. Keys that are NULL in any column are left out.
    """
    keys = [key.sql for key in side.keys]
    there = " AND ".join(f"{key} IS NOT NULL" for key in keys)
    names = ", ".join(keys)
    return (
        f"{kept_sql(side, base_relation)} SELECT {names}{_sums(plan, side, per_key=True)} FROM kept "
        f"WHERE {there} GROUP BY {names}"
    )


def keys_sql(side: Side, base_relation: str = "base") -> str:
    """Return the SQL that yields a side's distinct keys, key0..: what it puts into a PSI."""
    names = ", ".join(key.sql for key in side.keys)
    there = " AND ".join(f"{key.sql} IS NOT NULL" for key in side.keys)
    return f"{kept_sql(side, base_relation)} SELECT DISTINCT {names} FROM kept WHERE {there}"


def row_sql(plan: Plan, side: Side, base_relation: str = "base", *, keyed: bool = True) -> str:
    """Return SQL that yields key0.., the unit unless it is the key, and `key_columns` as v0.., for
    every row, nothing bounded. Not `keyed`: v0.. alone.

    Where no key and no unit occurs twice, that is all that `per_key_sql` would keep, rows without a
    key beside it; and it needs no grouping, which is most of what that costs.
    """
    base = f"WITH base AS (SELECT * FROM {base_relation}) " if base_relation != "base" else ""
    keys = [key.sql for key in side.keys] if keyed else []
    values = []
    for number, (index, own) in enumerate(key_columns(plan, side)):
        factor = side.factors[index]
        value = f"coalesce({factor.sql}, 0)::BIGINT"
        if side.groups and factor.kind is not FactorKind.FOUND:
            value = f"CASE WHEN {_cell(plan, side)} = {own} THEN {value} ELSE 0::BIGINT END"
        values.append(f"{value} AS v{number}")
    unit = ["unit::VARCHAR"] if keyed and not unit_is_key(side) else []
    return f"{base}SELECT {', '.join([*keys, *unit, *values])} FROM ({side.fragment.rows_sql})"


def plain_row_sql(plan: Plan, side: Side, base_relation: str = "base") -> str:
    """Return `row_sql` as plain_sql does."""
    return plain_sql(row_sql(plan, side, base_relation), side.table.card, side.keys)


def unit_is_key(side: Side) -> bool:
    """Tell whether rows of one key are those of one privacy unit."""
    return len(side.keys) == 1 and side.keys[0].name == side.table.card.privacy_unit


def local_sql(plan: Plan, side: Side, base_relation: str = "base") -> str:
    """Return the SQL that yields `key_columns` as v0.., summed over all rows: for terms that name
    this side alone."""
    sums = _sums(plan, side, per_key=False)
    return f"{kept_sql(side, base_relation)} SELECT {sums[2:]} FROM kept"


def local_vector(plan: Plan, place: int, sums: Sequence[int]) -> list[int]:
    """Return what terms that name only the side at `place` add to the measure vector.

    sums: the row of `local_sql`.
    """
    side = plan.sides[place]
    column = dict(zip(key_columns(plan, side), sums, strict=True))
    vector = []
    for measure in plan.measures:
        local = [t for t in measure.terms if named(t.factors) == (place,)]
        for cell in range(plan.cells):
            total = 0
            for term in local:
                factor = term.factors[place]
                if factor is not None and takes(plan, term.factors, cell):
                    total += term.coefficient * column[factor, plan.own_cell(side, cell)]
            vector.append(total)
    return vector


def named(factors: Sequence[int | None]) -> tuple[int, ...]:
    """Return the places of the sides that a term names."""
    return tuple(place for place, factor in enumerate(factors) if factor is not None)


def takes(plan: Plan, factors: Sequence[int | None], cell: int) -> bool:
    """Tell whether a term counts in `cell`: absent rows do in their absent cell alone, and others
    where every factor may be other than zero."""
    for side, index in zip(plan.sides, factors, strict=True):
        factor, own = None if index is None else side.factors[index], plan.own_cell(side, cell)
        if factor is None or factor.kind is FactorKind.FOUND:
            counts = own == (side.absent_cell or 0)
        else:
            counts = factor.may_be_in(own)
        if not counts:
            return False
    return True


def _sums(plan: Plan, side: Side, per_key: bool) -> str:
    cell = _cell(plan, side)
    items = []
    for number, (index, own) in enumerate(key_columns(plan, side)):
        factor = side.factors[index]
        within = f" FILTER (WHERE {cell} = {own})" if cell else ""
        if factor.kind is not FactorKind.SUM:
            within = within if factor.kind is FactorKind.ANY else ""
            value = f"coalesce(max({factor.sql}){within}, 0)::BIGINT"
        else:
            value = _sum(factor.sql, within)
            if per_key:
                low, high = (n * side.multiplicity for n in (factor.lower, factor.upper))
                value = f"least(greatest({value}, {low}::BIGINT), {high}::BIGINT)"
        items.append(f", {value} AS v{number}")
    return "".join(items)


def _cell(plan: Plan, side: Side) -> str:
    """Return the SQL of a row's own cell; empty for a side without groups."""
    cell = ""
    for index in side.groups:
        group = plan.groups[index]
        cell = f"({cell} * {len(group.values)} + {group.sql})" if cell else group.sql
    return cell


def _sum(sql: str, within: str) -> str:
    if sql == "1":
        return f"count(*){within}"
    return f"coalesce(sum({sql}){within}, 0)::BIGINT"


def kept_sql(side: Side, base_relation: str) -> str:
    """Return the WITH clause whose last relation, `kept`, has the rows that count."""
    base = "" if base_relation == "base" else f"base AS (SELECT * FROM {base_relation}), "
    fragment, keys = side.fragment, [key.sql for key in side.keys]
    rows = f"WITH {base}rows AS MATERIALIZED ({fragment.rows_sql})"
    columns = ["unit", *keys, *(c.name for c in fragment.columns)]
    if unit_is_key(side):
        # Rows of a key are those of a unit.
        cap = min(fragment.contribution_cap, side.multiplicity)
        return (
            f"{rows}, {_first(columns, 'rows', ['unit'], cap, fragment.contribution_cap, 'kept')}"
        )
    bounded = _first(columns, "rows", ["unit"], fragment.contribution_cap, None, "bounded", keys)
    kept = _first(columns, "bounded", keys, side.multiplicity, None, "kept")
    return f"{rows}, {bounded}, {kept}"


def _first(
    columns: Sequence[str],
    source: str,
    of: Sequence[str],
    most: int,
    nameless: int | None,
    to: str,
    keys: Sequence[str] = (),
) -> str:
    """Return relations that end in `to`: at most `most` rows for each value of `of` in `source`.

    `nameless`: the cap where `of` is NULL, if it is another; where a key of several columns has a
    NULL, no cap on keys holds. `keys`: columns whose values are chosen first, and then rows of these.
    """
    names, by = ", ".join(columns), ", ".join(of)
    crowd = f"{to}_crowd"
    is_key = of != ["unit"]
    there = f" WHERE {' AND '.join(f'{c} IS NOT NULL' for c in of)}" if is_key else ""
    same = " AND ".join(f"a.{c} IS NOT DISTINCT FROM b.{c}" for c in of)
    cap = str(most)
    if nameless is not None and nameless != most:
        cap = f"CASE WHEN {of[0]} IS NULL THEN {nameless} ELSE {most} END"
    chosen = f"hash({', '.join([*of, *keys])}), {', '.join(keys)}, " if keys else ""
    # Only where there are too many rows must they be ranked.
    return (
        f"{crowd} AS MATERIALIZED (SELECT {by} FROM {source}{there} GROUP BY {by} "
        f"HAVING count(*) > {most}), "
        f"{to} AS MATERIALIZED (SELECT {names} FROM {source} a WHERE NOT EXISTS "
        f"(SELECT 1 FROM {crowd} b WHERE {same}) UNION ALL "
        f"SELECT {names} FROM (SELECT *, row_number() OVER (PARTITION BY {names}) AS copy "
        f"FROM {source} a WHERE EXISTS (SELECT 1 FROM {crowd} b WHERE {same})) QUALIFY "
        f"row_number() OVER (PARTITION BY {by} ORDER BY {chosen}"
        f"hash(xor(hash({names}), copy::UBIGINT)), "
        f"{names}) <= {cap})"
    )
