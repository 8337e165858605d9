"""Contribution bounding: at most the cap, a uniform choice, decided by the rows alone."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import duckdb
import pytest

from sandbox.sql.compile import fragment_sql
from sandbox.sql.plan import plan
from tests.sql.plants import COLUMNS, catalogue, raw_rows, store

NARROW = "SELECT kind, COUNT(*), COUNT(*) FILTER (WHERE failed) FROM a.machines GROUP BY kind"
WIDE = (
    "SELECT COUNT(*), COUNT(*) FILTER (WHERE failed), SUM(torque), SUM(price), SUM(speed), "
    "SUM(DATE_DIFF('hour', TIMESTAMP '2024-01-01', seen)), SUM(YEAR(day) * 1000) FROM a.machines"
)
"""Needs more bits than a packed key has, so that rows are ranked by a window."""


def tables(cap: int) -> dict[str, object]:
    table = catalogue()["a.machines"]
    return {"a.machines": replace(table, card=replace(table.card, contribution_cap=cap))}


def answer_of(
    connection: duckdb.DuckDBPyConnection, statement: str, cap: int
) -> list[tuple[int, int]]:
    planned = plan(statement, tables(cap))  # type: ignore[arg-type]
    return sorted(connection.execute(fragment_sql(planned, "t")).fetchall())


@pytest.mark.parametrize("cap", [1, 2, 5, 200_000, 1_000_000])
@pytest.mark.parametrize("statement", ["SELECT COUNT(*) FROM a.machines", NARROW, WIDE])
def test_every_unit_counts_with_at_most_cap_rows(statement: str, cap: int) -> None:
    chance = random.Random(5)
    rows = [{**row, "id": str(chance.randint(1, 30))} for row in raw_rows(5, 1, 60)]
    connection = duckdb.connect()
    store(connection, "t", rows, typed=False)
    per_unit = Counter(row["id"] for row in rows)
    planned = plan(statement, tables(cap))  # type: ignore[arg-type]
    counted = sum(
        value
        for position, value in answer_of(connection, statement, cap)
        if position < planned.cells
    )
    assert counted == sum(min(n, cap) for n in per_unit.values())


@pytest.mark.parametrize("statement", [NARROW, WIDE])
@pytest.mark.parametrize("cap", [1, 2])
def test_choice_does_not_depend_on_order_or_threads(statement: str, cap: int) -> None:
    chance = random.Random(6)
    rows = [{**row, "id": str(chance.randint(1, 40))} for row in raw_rows(6, 1, 80)]
    answers = []
    for threads in (1, 2, 4):
        chance.shuffle(rows)
        connection = duckdb.connect(config={"threads": threads})
        store(connection, "t", rows, typed=False)
        answers.append(answer_of(connection, statement, cap))
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.statistical
@pytest.mark.parametrize("statement", [NARROW, WIDE])
def test_choice_is_uniform_over_a_units_rows(statement: str) -> None:
    """Each of 4000 units has one failed row among ten; cap 1 keeps it for one in ten, within five
    standard deviations (false alarm below 1e-6; the hash is fixed, so it never flickers)."""
    units = 4000
    connection = duckdb.connect()
    model = raw_rows(7, 1, 1, odd=False)[0]
    fixed = {**model, "torque": "5", "price": "1", "seen": None, "day": "2024-01-01", "kind": "L"}
    texts = ", ".join(
        {
            "id": "u::VARCHAR AS id",
            "failed": "(r = 0)::VARCHAR AS failed",
        }.get(
            c,
            ("NULL" if fixed[c] is None else f"'{str(fixed[c]).replace(chr(39), '')}'")
            + f" AS {c}",
        )
        for c in COLUMNS
    )
    connection.execute(f"CREATE TABLE t AS SELECT {texts} FROM range({units}) a(u), range(10) b(r)")
    planned = plan(statement, tables(1))  # type: ignore[arg-type]
    vector = dict(answer_of(connection, statement, 1))
    failed = sum(v for p, v in vector.items() if planned.cells <= p < 2 * planned.cells)
    assert sum(v for p, v in vector.items() if p < planned.cells) == units
    assert abs(failed - units / 10) < 5 * (units * 0.09) ** 0.5
