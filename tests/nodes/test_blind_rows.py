"""Rows of a `blind` join that are read in batches are those that are read at once."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes import join_worker
from nodes.join_worker import GATHERED_ROWS, _rows_of
from sandbox.crypto.join.pool import Pool, Rows
from sandbox.crypto.join.shape import TAG_BYTES, Shape

KEYS = [bytes([n]) * 32 for n in (1, 2)]
BOUND, DUMMIES = 30, 4
SHAPES = [Shape(("a", peer), (BOUND, 9), (2, 1), DUMMIES) for peer in "bc"]
Row = tuple[int | None, int | None, int]
"""Key, unit, value."""
rows_of = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 40), st.none()),
        st.one_of(st.integers(0, 40), st.none()),
        st.integers(-(2**40), 2**40),
    ),
    max_size=BOUND + 5,
)


def read(rows: list[Row], *, unit_is_key: bool, gathering: int) -> Rows:
    """Return rows as a worker reads them, in batches if more than `gathering` may be there."""
    unit = "" if unit_is_key else "unit::VARCHAR, "
    request: dict[str, Any] = {
        "own": "a",
        "keys": 1,
        "row_bound": BOUND,
        "unit_is_key": unit_is_key,
        "local_sql": "",
        "plain_sql": "",
        "row_sql": f"SELECT key AS key0, {unit}value AS v0, 1::BIGINT AS v1 FROM rows",
        # Of a key, and of a unit, one row counts, whichever: here that of the greatest value.
        "per_key_sql": "SELECT key AS key0, max(value)::BIGINT AS v0, 1::BIGINT AS v1 FROM rows "
        "WHERE key IS NOT NULL GROUP BY key ORDER BY key",
    }
    with duckdb.connect() as connection, pytest.MonkeyPatch.context() as patched:
        connection.execute("CREATE TABLE rows (key BIGINT, unit BIGINT, value BIGINT)")
        if rows:
            connection.executemany("INSERT INTO rows VALUES (?, ?, ?)", rows)
        patched.setattr(join_worker, "GATHERED_ROWS", gathering)
        patched.setattr(join_worker, "BATCH_ROWS", 7)
        return _rows_of(connection, request, SHAPES, KEYS)


def taking_part(rows: Rows, key: bytes) -> dict[bytes, tuple[int, ...]]:
    """Return the values of each tag that a pool sends for a row."""
    size = BOUND + DUMMIES
    pool = Pool(rows.padded(size), key, BOUND, size, bytes)
    given, tags = pool.shuffled(TAG_BYTES, bytes)
    sent = np.frombuffer(tags, f"V{TAG_BYTES}")
    order = np.frombuffer(memoryview(given), np.uint32)
    of_row = {int(row): bytes(tag) for row, tag in zip(order, sent, strict=True)}
    assert len(sent) == size
    assert (pool.values[:, pool.rows :] == 0).all()
    values = pool.values.view(np.int64)
    return {of_row[row]: tuple(values[:, row].tolist()) for row in range(pool.rows)}


@settings(max_examples=60, deadline=None)
@given(rows_of, st.booleans())
def test_rows_in_batches_take_part_as_rows_at_once(rows: list[Row], unit_is_key: bool) -> None:
    """Where a key or a unit repeats, too, or some have none, or there are more than declared."""
    at_once = read(rows, unit_is_key=unit_is_key, gathering=GATHERED_ROWS)
    in_batches = read(rows, unit_is_key=unit_is_key, gathering=0)
    for key in KEYS:
        expected = taking_part(at_once, key)
        found = taking_part(in_batches, key)
        if len(rows) <= BOUND:
            assert found == expected
        else:
            # Which rows count of more than declared is nobody's choice, but not how many.
            assert len(found) == len(expected)


def test_rows_in_batches_are_held_in_no_other_form() -> None:
    rows: list[Row] = [(n, n, n) for n in range(20)]
    found = read(rows, unit_is_key=False, gathering=0)
    assert not found.keys
    assert found.values.shape == (2, BOUND + DUMMIES)
    assert found.padded(BOUND + DUMMIES) is found
    assert set(found.hashed) == set(KEYS)
