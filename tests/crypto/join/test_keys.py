"""Arrow columns reach the kernels whole: sliced, chunk-free, with NULLs, of any integer width."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sandbox.crypto.join.keys import KeyHashes

KEY = bytes(range(32))


def tags(*columns: pa.Array | pa.ChunkedArray) -> list[bytes | None]:
    hashed = KeyHashes(columns, KEY)
    raw = bytes(hashed.tags)
    found = [raw[i : i + 16] for i in range(0, len(raw), 16)]
    return [tag if there else None for tag, there in zip(found, hashed.present, strict=True)]


@given(st.lists(st.one_of(st.none(), st.text())), st.integers(0, 5), st.integers(0, 20))
def test_a_slice_hashes_as_its_own_copy(texts: list[str | None], start: int, length: int) -> None:
    array = pa.array(texts, pa.string())
    cut = array.slice(start, length)
    assert tags(cut) == tags(pa.array(cut.to_pylist(), pa.string()))
    assert tags(cut) == tags(cut.cast(pa.large_string()))


@given(st.lists(st.lists(st.one_of(st.none(), st.text())), max_size=4))
def test_chunks_hash_as_one_column(chunks: list[list[str | None]]) -> None:
    column = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in chunks], pa.string())
    numbers = pa.chunked_array(
        [pa.array(range(len(chunk)), pa.int64()) for chunk in chunks], pa.int64()
    )
    assert tags(column, numbers) == tags(column.combine_chunks(), numbers.combine_chunks())


@given(st.lists(st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1))))
def test_integers_of_any_width_are_one_kind(numbers: list[int | None]) -> None:
    narrow, wide = pa.array(numbers, pa.int32()), pa.array(numbers, pa.int64())
    assert tags(narrow) == tags(wide)
    assert tags(narrow.slice(1)) == tags(wide)[1:]


def test_kinds_and_columns_never_collide() -> None:
    (number,) = tags(pa.array([42]))
    (text,) = tags(pa.array(["42"]))
    (binary,) = tags(pa.array([b"42"]))
    (one,) = tags(pa.array(["ab"]), pa.array(["c"]))
    (other,) = tags(pa.array(["a"]), pa.array(["bc"]))
    assert len({number, text, binary, one, other}) == 5


def test_a_row_with_any_null_has_no_key() -> None:
    assert tags(pa.array([1, None, 3]), pa.array(["a", "b", None]))[1:] == [None, None]
