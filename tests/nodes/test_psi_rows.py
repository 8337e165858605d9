"""Rows of a PSI that exceed memory: cut by bucket, nothing of how many there are shows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.psi_rows import Cut, Rows, TempExceeded, Whole, cut_rows
from sandbox.crypto.join import psi
from sandbox.crypto.join.buckets import cut
from sandbox.crypto.join.keys import KeyHashes
from sandbox.crypto.join.shape import TAG_BYTES
from sandbox.scratch import scratch_in

KEY = bytes(range(32))
SIZES = psi.Sizes(60, 50, False, 16)
ROOM = 1 << 20


def batches(rows: Sequence[int | None], of: int = 13) -> pa.RecordBatchReader:
    """A key as it is joined, and as the source has it."""
    schema = pa.schema([("key0", pa.int64()), ("own0", pa.string())])
    parts = [rows[first : first + of] for first in range(0, len(rows), of)]
    made = [
        pa.record_batch([pa.array(part, pa.int64()), pa.array([f"<{n}>" for n in part])], schema)
        for part in parts
    ]
    return pa.RecordBatchReader.from_batches(schema, made)


def spilled(rows: Sequence[int | None], folder: Path, room: int = ROOM) -> Cut:
    reader = batches(rows)
    side = Cut(reader.schema, 1, KEY, SIZES, scratch_in(folder), room, receives=True)
    cut_rows(reader, [side])
    return side


def tags_of(numbers: Sequence[int]) -> list[bytes]:
    tags = bytes(memoryview(KeyHashes([pa.array(numbers, pa.int64())], KEY).tags))
    return [tags[at : at + TAG_BYTES] for at in range(0, len(tags), TAG_BYTES)]


def matched(side: Rows, keys: list[bytes], theirs: set[bytes], sizes: psi.Sizes) -> list[str]:
    """Return what is kept of rows whose key is among `theirs`, as a protocol would tell it."""
    for bucket in range(sizes.buckets):
        own = side.keys(bucket)
        blocks = [bytes(own[at : at + TAG_BYTES]) for at in range(0, len(own), TAG_BYTES)]
        assert len(set(blocks)) == len(blocks)
        keys += blocks
        values = b"".join(block for block in blocks if block in theirs)
        side.learn(bucket, psi.Compared(own, memoryview(values), TAG_BYTES))
    return [row for columns in side.matched() for row in columns[0].to_pylist()]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.integers(0, 30), st.none()), max_size=60),
    st.sets(st.integers(0, 30)),
)
def test_rows_by_bucket_match_as_rows_in_memory(
    tmp_path_factory: pytest.TempPathFactory, rows: list[int | None], theirs: set[int]
) -> None:
    """Keys that repeat, or are NULL, and no rows at all, included."""
    wanted = set(tags_of(sorted(theirs)))
    whole = Whole(batches(rows).read_all().columns, 1, KEY, 60)
    cut_side = spilled(rows, tmp_path_factory.mktemp("cut"))
    in_memory, by_bucket = [], []  # type: ignore[var-annotated]
    found = matched(whole, in_memory, wanted, psi.Sizes(60, 50, False))
    assert Counter(matched(cut_side, by_bucket, wanted, SIZES)) == Counter(found)
    assert Counter(found) == Counter(f"<{row}>" for row in rows if row in theirs)
    present = {row for row in rows if row is not None}
    assert set(tags_of(sorted(present))) <= set(by_bucket) & set(in_memory)


@pytest.mark.parametrize(
    "rows", [[], [None] * 50, [*range(60)], [7] * 60, [*range(10_000)]], ids=len
)
def test_a_bucket_has_as_many_keys_whatever_rows_there_are(
    rows: list[int | None], tmp_path: Path
) -> None:
    """None, none with a key, as many as declared, one again and again, far more."""
    side = spilled(rows, tmp_path, ROOM * 10)
    lengths = {len(side.keys(bucket)) for bucket in range(SIZES.buckets)}
    assert lengths == {SIZES.of_bucket[0] * TAG_BYTES}


def test_a_key_beyond_a_buckets_bound_takes_no_part_and_nothing_else_changes(
    tmp_path: Path,
) -> None:
    """Of more keys than declared, those that come first in their bucket do."""
    rows = [*range(2_000)]
    side = spilled(rows, tmp_path)
    most = SIZES.of_bucket[0]
    tags = tags_of(rows)
    order, parts = cut(memoryview(b"".join(tags)), SIZES.buckets)
    for bucket, part in enumerate(parts):
        first = [tags[place] for place in order[part][:most]]
        assert len(order[part]) > most
        assert bytes(side.keys(bucket)) == b"".join(first)


@pytest.mark.parametrize("times", [1, 3])
def test_no_row_matches_whose_key_is_beyond_a_buckets_bound(times: int, tmp_path: Path) -> None:
    """However often a key occurs, all its rows match or none does; here the peer has every key."""
    keys = [*range(2_000)]
    side, theirs = spilled(keys * times, tmp_path), memoryview(b"".join(tags_of(keys)))
    kept = set[bytes]()
    for bucket in range(SIZES.buckets):
        own = side.keys(bucket)
        kept.update(bytes(own[at : at + TAG_BYTES]) for at in range(0, len(own), TAG_BYTES))
        side.learn(bucket, psi.Compared(own, theirs, TAG_BYTES))
    found = Counter(row for columns in side.matched() for row in columns[0].to_pylist())
    taking_part = [key for key, tag in zip(keys, tags_of(keys), strict=True) if tag in kept]
    assert len(taking_part) == SIZES.buckets * SIZES.of_bucket[0] < len(keys)
    assert found == {f"<{key}>": times for key in taking_part}


def test_a_sender_spills_no_rows(tmp_path: Path) -> None:
    reader = batches([*range(40)])
    side = Cut(reader.schema, 1, KEY, SIZES, scratch_in(tmp_path), ROOM, receives=False)
    cut_rows(reader, [side])
    assert {len(side.keys(n)) for n in range(SIZES.buckets)} == {SIZES.of_bucket[1] * TAG_BYTES}
    assert list(side.matched()) == []


def written(files: Sequence[BinaryIO]) -> int:
    return sum(0 if file.closed else file.tell() for file in files)


@pytest.mark.parametrize("room", [0, 1_000, 10_000, 30_000])
@pytest.mark.parametrize("receives", [True, False])
def test_nothing_is_written_beyond_what_the_owner_lets_spill(
    tmp_path: Path, room: int, receives: bool
) -> None:
    """Of a receiver rows, and of either tags beyond those that a bucket is padded to: one key a thousand
    times is in one bucket a thousand times, until all rows are read."""
    files: list[BinaryIO] = []
    opened = scratch_in(tmp_path)

    def scratch() -> BinaryIO:
        files.append(opened())
        return files[-1]

    reader = batches([7] * 2_000)
    padded = SIZES.buckets * TAG_BYTES * SIZES.of_bucket[0 if receives else 1]
    with pytest.raises(TempExceeded):
        cut_rows(
            reader,
            [Cut(reader.schema, 1, KEY, SIZES, scratch, room, receives=receives)],
        )
    assert 0 <= written(files) <= padded + room


def test_what_fits_in_what_the_owner_lets_spill_is_spilled(tmp_path: Path) -> None:
    reader = batches([*range(50)])
    side = Cut(reader.schema, 1, KEY, SIZES, scratch_in(tmp_path), 0, receives=False)
    cut_rows(reader, [side])
    assert {len(side.keys(n)) for n in range(SIZES.buckets)} == {SIZES.of_bucket[1] * TAG_BYTES}


def test_what_is_spilled_has_no_name_and_is_nobody_elses(tmp_path: Path) -> None:
    with scratch_in(tmp_path)() as file:
        file.write(b"rows")
        file.flush()
        found = os.fstat(file.fileno())
        assert (found.st_nlink, found.st_mode & 0o777, found.st_size) == (0, 0o600, 4)
        assert not any(tmp_path.iterdir())


def test_tags_are_cut_by_their_leading_bits_in_their_order() -> None:
    rng = np.random.default_rng(5)
    tags = rng.bytes(500 * TAG_BYTES)
    order, parts = cut(memoryview(tags), 8)
    seen = []
    for bucket, part in enumerate(parts):
        places = order[part]
        assert (np.diff(places) > 0).all()
        assert all(tags[TAG_BYTES * n + TAG_BYTES - 1] >> 5 == bucket for n in places)
        seen += places.tolist()
    assert sorted(seen) == [*range(500)]
    assert [part.stop for part in cut(memoryview(tags), 1)[1]] == [500]
