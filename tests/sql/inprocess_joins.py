"""Joins answered in one process, with and without a protocol.

`sums`: every side's columns on DuckDB, multiplied in plain Python. This is what a join protocol
computes, written down as decision 012 says it; slow and independent of it. Collections are joined
member by member, and the results added. `shared_sums`: by the members' machines and the dealer's.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from itertools import product

import duckdb
import numpy as np
import pyarrow as pa

from nodes.joining import share_of
from sandbox.crypto.join import many
from sandbox.crypto.join.blind import zero_share
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.dealer import deal
from sandbox.crypto.join.machine import Machine, Send
from sandbox.crypto.join.pool import Rows
from sandbox.crypto.join.shape import Shape, write_shapes
from sandbox.crypto.join.words import Words
from sandbox.sql.algebra import FactorKind, Plan, Side
from sandbox.sql.answer import Answer, answer
from sandbox.sql.perkey import key_columns, local_sql, local_vector, named, per_key_sql, takes
from sandbox.sql.shapes import shapes_of
from tests.crypto.join.memory import run

DEALER = "dealer"

Key = tuple[object, ...]
Keyed = Mapping[Key, tuple[int, ...]]


def sums(connection: duckdb.DuckDBPyConnection, plan: Plan, names: Mapping[str, str]) -> list[int]:
    """Return the exact measure vector; `names`: the relation of each "node.dataset"."""
    relations = [
        [names[f"{m.node}.{m.dataset}"] for m in side.table.members] for side in plan.sides
    ]
    total = _local(connection, plan, names)
    for chosen in product(*relations):
        sides = [
            _keyed(connection, plan, side, name)
            for side, name in zip(plan.sides, chosen, strict=True)
        ]
        total = _added(total, _matched(plan, sides))
    return total


def _local(
    connection: duckdb.DuckDBPyConnection, plan: Plan, names: Mapping[str, str]
) -> list[int]:
    """Return what terms of one side say."""
    total = [0] * plan.length
    for place, side in enumerate(plan.sides):
        for member in side.table.members:
            name = names[f"{member.node}.{member.dataset}"]
            row = connection.execute(local_sql(plan, side, name)).fetchone()
            assert row is not None
            total = _added(total, local_vector(plan, place, [int(v) for v in row]))
    return total


def shared_sums(
    connection: duckdb.DuckDBPyConnection, plan: Plan, names: Mapping[str, str], dummies: int = 1
) -> list[int]:
    """Return the measure vector that members' shares of more than two sides add up to.

    dummies: of each set of sides, at most.
    """
    shapes = shapes_of(plan, dummies * (2 ** (len(plan.sides) - 1) - 1))
    nodes = {m.node: (side, m) for side in plan.sides for m in side.table.members}
    machines: dict[str, Machine[Words | None]] = {DEALER: deal([*nodes], os.urandom)}
    for node, (side, member) in nodes.items():
        found = connection.sql(per_key_sql(plan, side, names[f"{node}.{member.dataset}"]))
        table = found.to_arrow_table().combine_chunks()
        columns = [c.chunk(0) if c.num_chunks else pa.array([], c.type) for c in table.columns]
        keys = len(side.keys)
        values = np.array([c.to_numpy() for c in columns[keys:]], np.int64).view(np.uint64)
        own = [shape for shape in shapes if node in shape.members]
        machines[node] = _member(plan, own, node, Rows(columns[:keys], values))
    total = _local(connection, plan, names)
    shares = run(machines)
    summed = np.sum([shares[node] for node in nodes], axis=0, dtype=np.uint64)
    return _added(total, [int(v) for v in summed.view(np.int64)])


def _member(plan: Plan, shapes: list[Shape], own: str, rows: Rows) -> Machine[Words | None]:
    peers = sorted({m for shape in shapes for m in shape.members} - {own})
    secrets = {m: "".join(sorted((own, m))).encode().ljust(32, b".") for m in peers}
    pairs = {m: Pair(secrets[m], b"job and roster", own, m) for m in peers}
    yield Send(DEALER, write_shapes(shapes))
    words = [zero_share(pair, own, plan.length) for pair in pairs.values()]
    shares = []
    for shape in shapes:
        matching = [random.randrange(2) for _ in shape.patterns]
        agreed = yield from many.agree(shape, own, pairs, matching, os.urandom)
        pool = many.pooled(shape, own, pairs, rows, os.urandom)
        shares.append((yield from agreed.fill(pool).multiply(DEALER, os.urandom)))
    return share_of(plan, shapes, np.concatenate([*shares, *words]))


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


def shared_answer(
    connection: duckdb.DuckDBPyConnection, plan: Plan, names: Mapping[str, str]
) -> Answer:
    """Return the answer without noise, of members' shares."""
    return answer(plan, shared_sums(connection, plan, names), [()] * len(plan.measures))
