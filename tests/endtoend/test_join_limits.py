"""Joins of 2^20 rows a side between real nodes without noise: exact, and within what they may move.

At this size what every join moves, however small, no longer counts.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from benchmarks import ours, serials
from benchmarks.deployment import DELTA
from sandbox.client import Session
from tests.counting_coordinator import CARRIED
from tests.endtoend import deployment

ROWS = 1 << 20
MOST_BYTES = {"blind": 96, "psi": 36}
"""For each row of a side, in all: of a join with COUNT and one column's SUM, of a semi-join."""
FACTOR = 2
"""By which explain's bytes may be off."""


@dataclass(frozen=True)
class Asked:
    """A running deployment, its tables and a session."""

    folder: Path
    tables: serials.Tables
    session: Session

    def carried(self) -> int:
        """Return the bytes that the last join moved."""
        return int((self.folder / "coordinator" / CARRIED).read_text().split()[-1])


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    scratch = tmp_path_factory.mktemp("limits")
    tables, folder = serials.write(scratch / "tables", ROWS), scratch / "deployment"
    ours.make(folder, tables)
    counting = deployment.COUNTING_COORDINATOR
    with (
        deployment.running(folder, plain=True, coordinator=counting),
        deployment.researcher(folder) as session,
    ):
        ours.prepare(session)
        yield Asked(folder, tables, session)


@pytest.mark.parametrize("mode", ours.STATEMENTS)
def test_join_is_exact_and_moves_what_explain_says_and_no_more_than_it_may(
    asked: Asked, mode: str
) -> None:
    query, how = asked.session.sql(ours.STATEMENTS[mode]), ours.asked(mode)
    told = query.explain(epsilon=ours.EPSILON, delta=Decimal(DELTA), **how)
    (row,) = query.run(epsilon=ours.EPSILON, delta=Decimal(DELTA), **how).to_arrow().to_pylist()
    assert row["matched"] == asked.tables.matched
    if "total" in row:
        left, right = (side["parquet"] for side in (asked.tables.left, asked.tables.right))
        plain = f"SELECT SUM(r.value) FROM '{left}' l JOIN '{right}' r ON l.id = r.id"
        assert (row["total"],) == duckdb.execute(plain).fetchone()
    moved = asked.carried()
    assert moved / FACTOR <= told.bytes <= moved * FACTOR
    if mode in MOST_BYTES:
        assert moved <= MOST_BYTES[mode] * ROWS


def test_ids_that_are_told_are_exactly_those_that_match(asked: Asked) -> None:
    query = asked.session.join("left.serials_csv", "right.serials_csv", on="id")
    file = asked.folder / "nodes" / "left" / query.run().file
    left, right = (side["csv"] for side in (asked.tables.left, asked.tables.right))
    both = duckdb.execute(f"SELECT id FROM '{left}' INTERSECT SELECT id FROM '{right}'").fetchall()
    with file.open(newline="") as opened:
        found = [row["id"] for row in csv.DictReader(opened)]
    assert len(found) == asked.tables.matched
    assert set(found) == {id for (id,) in both}
    moved = asked.carried()
    assert moved / FACTOR <= query.explain().bytes <= moved * FACTOR
    assert moved <= MOST_BYTES["psi"] * ROWS
