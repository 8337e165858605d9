"""Joins answered without a protocol: every side's columns on DuckDB, multiplied in plain Python.

This is what a join protocol computes, written down as decision 012 says it; slow and independent of
it. Collections are joined member by member, and the results added.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import duckdb

from sandbox.sql.algebra import FactorKind, Plan, Side
from sandbox.sql.answer import Answer, answer
from sandbox.sql.perkey import key_columns, local_sql, local_vector, named, per_key_sql, takes

Key = tuple[object, ...]
Keyed = Mapping[Key, tuple[int, ...]]


def sums(connection: duckdb.DuckDBPyConnection, plan: Plan, names: Mapping[str, str]) -> list[int]:
    """Return the exact measure vector; `names`: the relation of each "node.dataset"."""
    total = [0] * plan.length
    relations = [
        [names[f"{m.node}.{m.dataset}"] for m in side.table.members] for side in plan.sides
    ]
    for chosen in product(*relations):
        sides = [
            _keyed(connection, plan, side, name)
            for side, name in zip(plan.sides, chosen, strict=True)
        ]
        total = _added(total, _matched(plan, sides))
    for place, side in enumerate(plan.sides):
        for name in relations[place]:
            row = connection.execute(local_sql(plan, side, name)).fetchone()
            assert row is not None
            total = _added(total, local_vector(plan, place, [int(v) for v in row]))
    return total


def _added(a: list[int], b: list[int]) -> list[int]:
    return [x + y for x, y in zip(a, b, strict=True)]


def _keyed(connection: duckdb.DuckDBPyConnection, plan: Plan, side: Side, name: str) -> Keyed:
    width = len(side.keys)
    rows = connection.execute(per_key_sql(plan, side, name)).fetchall()
    found = {row[:width]: tuple(int(v) for v in row[width:]) for row in rows}
    assert len(found) == len(rows)
    return found


def _matched(plan: Plan, sides: list[Keyed]) -> list[int]:
    """Return the sum over keys of what terms of two and more sides say."""
    places = [{pair: n for n, pair in enumerate(key_columns(plan, side))} for side in plan.sides]
    vector = []
    for measure in plan.measures:
        for cell in range(plan.cells):
            total = 0
            for term in measure.terms:
                sharing = named(term.factors)
                if len(sharing) < 2 or not takes(plan, term.factors, cell):
                    continue
                columns = []
                for place in sharing:
                    side, factor = plan.sides[place], term.factors[place]
                    assert factor is not None
                    found = side.factors[factor].kind is FactorKind.FOUND
                    own = side.absent_cell or 0 if found else plan.own_cell(side, cell)
                    columns.append(places[place][factor, own])
                total += term.coefficient * _inner([sides[p] for p in sharing], columns)
            vector.append(total)
    return vector


def _inner(sides: list[Keyed], columns: list[int]) -> int:
    first, *rest = sides
    total = 0
    for key, row in first.items():
        value = row[columns[0]]
        for side, column in zip(rest, columns[1:], strict=True):
            value *= side[key][column] if value and key in side else 0
        total += value
    return total


def exact_answer(
    connection: duckdb.DuckDBPyConnection, plan: Plan, names: Mapping[str, str]
) -> Answer:
    """Return the answer without noise."""
    return answer(plan, sums(connection, plan, names), [()] * len(plan.measures))
