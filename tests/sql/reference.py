"""What a statement has to answer: exact counts and sums from DuckDB over the union, then fractions.

Sums are DECIMAL, so they are exact; means, variances and correlations are computed from them with
Python's fractions, because DuckDB's own are floating point (`test_reference` compares the two).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import duckdb

from tests.sql.statements import Aggregate, Item, Label, Statement

Value = Fraction | float | None
Line = tuple[tuple[Label, ...], tuple[Value, ...]]


@dataclass(frozen=True)
class Expected:
    """Rows in order, and how many groups the minimum size withholds."""

    lines: list[Line]
    withheld: int


def expected(union: duckdb.DuckDBPyConnection, statement: Statement, minimum: int = 0) -> Expected:
    """Return what `statement` answers where groups of fewer than `minimum` rows are withheld."""
    kept, withheld = [], 0
    for cell, parts in _cells(union, statement):
        values = [_item(item, part) for item, part in zip(statement.items, parts, strict=True)]
        if not _keeps(statement, tuple(values)):
            continue
        if max(int(str(sums[0])) for part in parts for sums in part) < minimum:
            withheld += 1
            continue
        kept.append((cell, tuple(values)))
    for alias, descending in reversed(statement.order):
        kept = _sorted(kept, statement, alias, descending)
    return Expected(kept if statement.limit is None else kept[: statement.limit], withheld)


def _cells(
    union: duckdb.DuckDBPyConnection, statement: Statement
) -> list[tuple[tuple[Label, ...], list[list[tuple[object, ...]]]]]:
    """Return, for every cell of the declared domains, the sums that each item needs."""
    keys = [g.expression.plain for g in statement.groups]
    needs = [[_needs(part) for part in item.parts] for item in statement.items]
    flat = [sql for parts in needs for part in parts for sql in part]
    where = statement.where.plain
    source = f"{statement.with_clause}SELECT {{}} FROM {statement.source} WHERE {{}}"
    columns = ", ".join([*keys, *flat])
    grouped = source.format(columns, where)
    if keys:
        grouped += f" GROUP BY {', '.join(str(n + 1) for n in range(len(keys)))}"
    rows = union.execute(grouped).fetchall()
    by_cell = {tuple(map(_label, row[: len(keys)])): row[len(keys) :] for row in rows}
    empty = union.execute(source.format(", ".join(flat), "FALSE")).fetchone()
    unknown = set(by_cell) - set(statement.cells)
    assert not unknown, f"the generator's domain misses {unknown}"
    return [(cell, _split(by_cell.get(cell, empty), needs)) for cell in statement.cells]


def _split(row: Sequence[object], needs: list[list[list[str]]]) -> list[list[tuple[object, ...]]]:
    values = iter(row)
    return [[tuple(next(values) for _ in part) for part in parts] for parts in needs]


def _label(value: object) -> Label:
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool | str) or value is None:
        return value
    number = Decimal(str(value))
    return int(number) if number == int(number) else number


def _needs(part: Aggregate) -> list[str]:
    """Return the counts and exact sums that an aggregate is made of, as SQL."""
    there = " AND ".join([f"({part.filter})", *(f"({a}) IS NOT NULL" for a in part.arguments)])
    n = f"count(*) FILTER (WHERE {there})"
    if part.name == "count":
        return [n]
    if part.name == "count_distinct":
        return [f"count(DISTINCT {part.arguments[0]}) FILTER (WHERE {there})"]
    if part.name == "quantile":
        binned = part.arguments[0]
        return [n, f"quantile_disc({binned}, {part.p}) FILTER (WHERE {there})"]
    exact = [f"({a})::DECIMAL(19, 6)" for a in part.arguments]
    products = [(a, b) for i, a in enumerate(exact) for b in exact[i:]]
    sums = [*exact, *(f"{a} * {b}" for a, b in products)]
    if part.name in ("sum", "avg"):
        sums = exact
    lossless = [
        f"bool_and(({a}) = ({a})::DECIMAL(19, 6)) FILTER (WHERE {there})" for a in part.arguments
    ]
    return [n, *lossless, *(f"sum({s}) FILTER (WHERE {there})" for s in sums)]


def statistic(  # noqa: PLR0911 - one case each
    part: Aggregate, sums: tuple[object, ...]
) -> Value:
    """Return an aggregate's value from what `_needs` asked for."""
    if part.name in ("count", "count_distinct"):
        return Fraction(int(str(sums[0])))
    if part.name == "quantile":
        return None if sums[1] is None else Fraction(str(sums[1]))
    n, rest = Fraction(int(str(sums[0]))), sums[1:]
    lossless, rest = rest[: len(part.arguments)], rest[len(part.arguments) :]
    assert False not in lossless, f"more than six digits in {part.text}"
    if n == 0:
        return None
    exact = [Fraction(str(value)) for value in rest]
    match part.name:
        case "sum":
            return exact[0]
        case "avg":
            return exact[0] / n
        case "var_pop" | "var_samp" | "stddev_pop" | "stddev_samp":
            return _spread(part.name, n, exact[0], exact[1])
    x, y, xx, xy, yy = exact
    if part.name == "corr":
        square = (xx - x * x / n) * (yy - y * y / n)
        return None if square == 0 else float((xy - x * y / n) / n) / math.sqrt(square / n / n)
    divisor = n - (part.name == "covar_samp")
    return None if divisor == 0 else (xy - x * y / n) / divisor


def _spread(name: str, n: Fraction, x: Fraction, xx: Fraction) -> Value:
    divisor = n - name.endswith("samp")
    if divisor == 0:
        return None
    variance = (xx - x * x / n) / divisor
    return math.sqrt(variance) if name.startswith("stddev") else variance


def _item(item: Item, sums: list[tuple[object, ...]]) -> Value:
    values = [statistic(part, s) for part, s in zip(item.parts, sums, strict=True)]
    if None in values:
        return None
    match item.operator:
        case "":
            return values[0]
        case "round":
            exact = Fraction(values[0] or 0)
            cents = Decimal(exact.numerator * 100) / Decimal(exact.denominator)
            return Fraction(cents.quantize(Decimal(1), ROUND_HALF_UP)) / 100
        case "/":
            return None if values[1] == 0 else Fraction(values[0] or 0) / Fraction(values[1] or 0)
        case "+":
            return Fraction(values[0] or 0) + Fraction(values[1] or 0)
    return Fraction(values[0] or 0) - Fraction(values[1] or 0)


def _keeps(statement: Statement, values: tuple[Value, ...]) -> bool:
    """Evaluate HAVING in three-valued logic."""
    if not statement.having:
        return True
    by_alias = dict(zip((i.alias for i in statement.items), values, strict=True))
    truths = [_compare(by_alias[a], operator, number) for a, operator, number in statement.having]
    if statement.joint == "AND":
        return all(t is True for t in truths)
    return any(t is True for t in truths)


def _compare(value: Value, operator: str, number: str) -> bool | None:
    if value is None:
        return None
    a, b = float(value), float(number)
    return {">": a > b, ">=": a >= b, "<": a < b, "<=": a <= b, "<>": a != b}[operator]


def _sorted(lines: list[Line], statement: Statement, alias: str, descending: bool) -> list[Line]:
    """Sort by one output, NULLs last, as DuckDB does."""

    def key(line: Line) -> Label | Value:
        if alias.startswith("g"):
            return line[0][int(alias[1:])]
        place = [i.alias for i in statement.items].index(alias)
        value = line[1][place]
        return None if value is None else float(value)

    present = [line for line in lines if key(line) is not None]
    absent = [line for line in lines if key(line) is None]
    return sorted(present, key=key, reverse=descending) + absent  # type: ignore[arg-type]
