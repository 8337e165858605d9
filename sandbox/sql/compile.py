"""From a plan to the one DuckDB statement a node runs, and from its rows to the measure vector.

    rows     read, clamped, quantised, filtered          (Fragment.rows_sql)
    counted  at most `contribution_cap` rows of each privacy unit
    sums     one row per cell that occurs, a value per measure
    answer   (position in the vector, value); positions that are missing are zero

Which rows of a unit are kept is decided by a hash of unit, row and which of its equals it is: a
uniform choice that depends on that unit's rows alone and is the same however often and on however
many threads the statement runs. Rows whose unit is NULL count as one unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sandbox.sql.algebra import Measure, MeasureKind, Plan, RowColumn
from sandbox.sql.perkey import kept_sql

MATCHED = "matched"
"""The relation of keys that a PSI join found."""
HASH_BITS = 20
"""Least bits of a row's hash in front of its packed values; ties go to the smaller values."""
WEIGHTS = 1000
"""Equal rows beyond cap + WEIGHTS do not make their value likelier: memory stays bounded."""
MOST_HEAPED = 100_000
"""Largest cap for DuckDB's min(x, n), which refuses n from a million on."""


def fragment_sql(plan: Plan, base_relation: str = "base", *, once: bool = False) -> str:
    """Return the statement that computes `plan` over `base_relation` (a trusted relation name).

    Of a PSI plan, rows count whose keys are in the relation `matched` (key0, ..) of the session. once:
    no key and no unit of it occurs twice, so that there is nothing to choose among rows.
    """
    fragment = plan.fragment
    base = "" if base_relation == "base" else f"base AS (SELECT * FROM {base_relation}), "
    cell = ""
    for group in plan.groups:
        cell = f"({cell} * {len(group.values)} + {group.sql})" if cell else group.sql
    sums = "".join(f", {_aggregate(m)} AS m{i}" for i, m in enumerate(plan.measures))
    if plan.semi is None:
        rows = f"WITH {base}rows AS ({fragment.rows_sql}), counted AS ({_bounded(plan)}), "
    else:
        keys = ", ".join(key.sql for key in plan.sides[0].keys)
        kept = f"WITH {base}kept AS ({fragment.rows_sql})"
        kept = kept if once else kept_sql(plan.sides[0], base_relation)
        matched = f"SELECT * FROM kept WHERE ({keys}) IN (SELECT {keys} FROM {MATCHED})"
        rows = f"{kept}, counted AS ({matched}), "
    return (
        f"{rows}sums AS MATERIALIZED (SELECT {cell or '0'}::BIGINT AS cell{sums} FROM counted "
        f"GROUP BY cell) {_positions(plan)}"
    )


def _positions(plan: Plan) -> str:
    """Return the SELECT that spreads `sums` over the vector: measure by measure, cell by cell."""
    places, values, bins, offset = [], [], [], 0
    for index, measure in enumerate(plan.measures):
        if measure.kind is MeasureKind.BINS:
            bins.append(
                f"SELECT {offset} + cell * {measure.width} + bin.key, bin.value::HUGEINT FROM "
                f"(SELECT cell, unnest(map_entries(m{index})) AS bin FROM sums)"
            )
        else:
            places.append(f"{offset} + cell")
            values.append(f"m{index}::HUGEINT")
        offset += plan.cells * measure.width
    scalars = (
        f"SELECT unnest([{', '.join(places)}]) AS position, unnest([{', '.join(values)}]) AS value "
        "FROM sums"
    )
    selects = ([scalars] if places else []) + bins
    return (
        f"SELECT position, value FROM ({' UNION ALL '.join(selects)}) AS t(position, value) "
        "WHERE position IS NOT NULL AND value <> 0"
    )


def _aggregate(measure: Measure) -> str:
    if measure.kind is MeasureKind.BINS:
        return f"histogram({measure.sql})"
    if measure.kind is MeasureKind.UNITS:
        return f"count(DISTINCT CASE WHEN {measure.sql} = 1 THEN unit END)"
    if measure.sql == "1":
        return "count(*)"
    return f"coalesce(sum({measure.sql}), 0)"


def _bounded(plan: Plan) -> str:
    """Return the rows that count: `cap` per unit, a uniform choice that the rows decide."""
    fragment = plan.fragment
    columns, cap = fragment.columns, fragment.contribution_cap
    if not columns:
        # Nothing but the number of rows is asked, so all of a unit's rows are alike.
        return (
            "SELECT unit, unnest(range(least(n, "
            f"{cap}))) AS copy FROM (SELECT unit, count(*) AS n FROM rows GROUP BY unit)"
        )
    bits = sum(_bits(c) for c in columns)
    if bits + HASH_BITS > 62 or cap > MOST_HEAPED:
        names = ", ".join(c.name for c in columns)
        return (
            f"SELECT * FROM (SELECT unit, {names}, unnest(range(least(n, {cap + WEIGHTS}))) AS copy "
            f"FROM (SELECT unit, {names}, count(*) AS n FROM rows GROUP BY unit, {names})) QUALIFY "
            f"row_number() OVER (PARTITION BY unit ORDER BY {_ranked(names)}, {names}) "
            f"<= {cap}"
        )
    return _packed(columns, cap)


def _packed(columns: Sequence[RowColumn], cap: int) -> str:
    """Return `_bounded` with a row's hash and values in one BIGINT: twice as fast as a window."""
    packed, unpacked, shift = [], [], 0
    for column in columns:
        code = f"{column.name} - {column.lower}::BIGINT"
        size = 1 << _bits(column)
        if column.nullable:
            code = f"coalesce({code}, {size - 1}::BIGINT)"
        packed.append(f"(({code}) * {1 << shift}::BIGINT)")
        value = f"((key // {1 << shift}::BIGINT) % {size}::BIGINT)"
        if column.nullable:
            value = f"nullif({value}, {size - 1}::BIGINT)"
        unpacked.append(f"{value} + {column.lower}::BIGINT AS {column.name}")
        shift += _bits(column)
    counted = (
        "SELECT unit, pack, count(*) AS n FROM "
        f"(SELECT unit, {' + '.join(packed)} AS pack FROM rows) GROUP BY unit, pack"
    )
    if cap == 1:
        copies = f"list_transform(range(least(n, {1 + WEIGHTS})), lambda copy: {_ranked('pack')})"
        first = f"CASE WHEN n = 1 THEN {_ranked('pack', '0')} ELSE list_min({copies}) END"
        hashed = f"SELECT unit, pack, {first} AS hashed FROM ({counted})"
        least = "min(key)"
    else:
        copies = f"unnest(range(least(n, {cap + WEIGHTS})))"
        hashed = (
            f"SELECT unit, pack, {_ranked('pack')} AS hashed FROM "
            f"(SELECT unit, pack, {copies} AS copy FROM ({counted}))"
        )
        least = f"unnest(min(key, {cap}))"
    return (
        f"SELECT unit, {', '.join(unpacked)} FROM (SELECT unit, {least} AS key FROM (SELECT unit, "
        f"(hashed >> {64 - (62 - shift)})::BIGINT * {1 << shift}::BIGINT + pack AS key "
        f"FROM ({hashed})) GROUP BY unit)"
    )


def _ranked(row: str, copy: str = "copy") -> str:
    """Return the hash that ranks a row of a unit: DuckDB combines several values by XOR, which alone
    would not be uniform, so the combination is hashed again."""
    return f"hash(xor(hash(unit, {row}), {copy}::UBIGINT))"


def _bits(column: RowColumn) -> int:
    return (column.upper - column.lower + int(column.nullable)).bit_length()


def vector_from_rows(plan: Plan, rows: Iterable[tuple[int, int]]) -> list[int]:
    """Return the measure vector: cells x widths, measure by measure, cell by cell, bin by bin."""
    vector = [0] * plan.length
    for position, value in rows:
        vector[position] = int(value)
    return vector


def bound(plan: Plan) -> int:
    """Return the largest |sum| of any integer over all nodes, without noise."""
    rows = plan.table.card.row_bound * len(plan.table.members)
    return rows * max(max(abs(m.lower), abs(m.upper)) for m in plan.measures)
