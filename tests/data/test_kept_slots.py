"""What a node keeps of a matching: rows find their slots by number, or by key, and no others."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from nodes import prepared_worker, sources
from nodes.inspection import open_source
from nodes.join_worker import fetched
from nodes.prepared_worker import Facts, by_key, by_number, facts_of, write
from sandbox.crypto.join.blind import Kept
from sandbox.crypto.join.pool import Rows

ROWS = 400_000
COMMON = bytes(range(32))


def written(folder: Path, kind: str) -> Path:
    """Write numbers in an order of their own, in many parts that threads would read at once."""
    values = np.random.default_rng(3).permutation(ROWS)
    table = pa.table({"n": values, "padding": pa.array(["x" * 20] * ROWS)})
    file = folder / f"rows.{kind}"
    if kind == "csv":
        pyarrow.csv.write_csv(table, file)
    elif kind == "parquet":
        pq.write_table(table, file, row_group_size=5_000)
    else:
        file = folder / "rows"
        file.mkdir()
        for part in range(4):
            piece = table.slice(part * ROWS // 4, ROWS // 4)
            pq.write_table(piece, file / f"{part}.parquet", row_group_size=7_000)
    return file


@pytest.mark.parametrize("kind", ["csv", "parquet", "folder"])
def test_rows_come_twice_in_the_order_of_the_source(tmp_path: Path, kind: str) -> None:
    source = open_source(written(tmp_path, kind), None)
    expected = np.random.default_rng(3).permutation(ROWS)
    for columns in ("n, padding", "n", "n, 1::BIGINT"):
        with duckdb.connect() as connection:
            settings = {**prepared_worker.ORDERED, "threads": 4}
            sources.open_locked(connection, source, ["n", "padding"], settings)
            found = fetched(connection, f"SELECT {columns} FROM (SELECT * FROM {sources.RELATION})")
        assert (found[0].cast(pa.int64()).to_numpy() == expected).all()


def kept(slots: list[int]) -> Kept:
    return Kept(np.array(slots, np.uint32), COMMON)


def test_rows_by_number_leave_out_those_without_a_slot(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    keys = [pa.array(["a", None, "c"])]
    write(str(file), Facts("v", 5, 3), kept([70, 80, 90, 60]), keys, np.array([0, 2]))
    assert facts_of(file) == Facts("v", 5, 3)
    assert file.stat().st_mode & 0o777 == 0o600
    found, values = by_number(str(file), np.array([[1, 2, 3], [4, 5, 6]], np.uint64))
    assert found.slots.tolist() == [70, 80, 90, 60]
    assert values.tolist() == [[1, 3], [4, 6]]
    with pytest.raises(ValueError, match="rows"):
        by_number(str(file), np.array([[1, 2]], np.uint64))


def test_rows_by_key_find_their_own_slot_in_any_order_and_strangers_none(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    chance = random.Random(4)
    keys = [f"key {n}" for n in range(2000)]
    slots = chance.sample(range(100_000), len(keys) + 50)
    write(str(file), Facts("v", 5, 0), kept(slots), [pa.array(keys)], np.arange(len(keys)))
    asked = [*chance.sample(keys, 1500), "stranger", None]
    chance.shuffle(asked)
    values = np.arange(1, len(asked) + 1, dtype=np.uint64).reshape(1, -1)
    found, taken = by_key(str(file), Rows([pa.array(asked)], values))
    assert found.common == COMMON
    assert found.slots.tolist() == slots
    place = {key: n for n, key in enumerate(asked, start=1)}
    assert taken.tolist() == [[place.get(key, 0) for key in keys]]


def test_nobody_has_a_slot_where_nothing_was_matched(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    none = pa.array([], pa.string())
    write(str(file), Facts("v", 5, 0), kept([]), [none], np.zeros(0, np.intp))
    for asked in (none, pa.array(["a"])):
        values = np.zeros((2, len(asked)), np.uint64)
        found, taken = by_key(str(file), Rows([asked], values))
        assert len(found.slots) == taken.shape[1] == 0
