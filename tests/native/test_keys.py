"""Join keys: encoded canonically, hashed as BLAKE3 has it, sent in a uniformly random order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import _native
from tests.vectors.native import keys as model
from tests.vectors.native.ot import digest

HERE = Path(__file__).parent.parent / "vectors/native"
VECTORS = json.loads((HERE / "keys.json").read_text())
ORDERS = json.loads((HERE / "permutation.json").read_text())
SESSION = bytes.fromhex(VECTORS["session_key"])

INT = st.integers(-(2**63), 2**63 - 1)
VALUE = INT | st.text(max_size=70) | st.binary(max_size=70)


def read_only(buffer: pa.Buffer | None) -> memoryview | None:
    return None if buffer is None else memoryview(buffer).toreadonly()


def column(array: pa.Array[Any]) -> _native.KeyColumn:
    """An Arrow array's own buffers, offset and length."""
    validity, *rest = [read_only(buffer) for buffer in array.buffers()]
    if pa.types.is_int64(array.type):
        return _native.KeyColumn.int64(rest[0] or b"", validity, array.offset, len(array))
    text = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
    large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    make = _native.KeyColumn.utf8 if text else _native.KeyColumn.binary
    return make(rest[0] or b"", rest[1] or b"", validity, array.offset, len(array), large=large)


def array(values: list[Any], kind: type | None = None) -> pa.Array[Any]:
    kind = kind or next(type(value) for value in values if value is not None)
    return pa.array(values, {int: pa.int64(), str: pa.string(), bytes: pa.binary()}[kind])


def hashes(*columns: pa.Array[Any], key: bytes = SESSION) -> tuple[list[bytes], list[int]]:
    hashed, present = _native.hash_keys([[column(each) for each in columns]], key)
    whole = bytes(hashed)
    return [whole[i : i + 16] for i in range(0, len(whole), 16)], list(bytes(present))


def hash_one(key: tuple[model.Value, ...]) -> bytes:
    return hashes(*(array([value]) for value in key))[0][0]


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["key"])[:30])
def test_keys_are_hashed_as_the_model_has_them(case: dict[str, Any]) -> None:
    key = tuple(
        bytes.fromhex(value) if binary else value
        for value, binary in zip(case["key"], case["binary"], strict=True)
    )
    assert hash_one(key).hex() == case["hash"]
    assert model.hash_key(SESSION, key).hex() == case["hash"]


@given(
    st.lists(st.tuples(INT, st.text(max_size=40), st.binary(max_size=30)), min_size=1, max_size=8)
)
def test_rows_of_composite_keys_agree_with_the_model(rows: list[tuple[int, str, bytes]]) -> None:
    ints, texts, blobs = (array(list(values)) for values in zip(*rows, strict=True))
    assert hashes(ints, texts, blobs)[0] == [model.hash_key(SESSION, row) for row in rows]


@given(
    st.lists(VALUE, min_size=1, max_size=4).map(tuple),
    st.lists(VALUE, min_size=1, max_size=4).map(tuple),
)
def test_different_keys_are_encoded_and_hashed_differently(
    one: tuple[model.Value, ...], other: tuple[model.Value, ...]
) -> None:
    same = [(type(v), v) for v in one] == [(type(v), v) for v in other]
    assert (model.encode(one) == model.encode(other)) == same
    assert (hash_one(one) == hash_one(other)) == same


@given(st.text(max_size=20), st.text(max_size=20), st.data())
def test_a_text_cut_elsewhere_is_another_key(left: str, right: str, data: st.DataObject) -> None:
    whole = left + right
    cut = data.draw(st.integers(0, len(whole)))
    assert (hash_one((left, right)) == hash_one((whole[:cut], whole[cut:]))) == (cut == len(left))


@given(st.lists(st.none() | st.text(max_size=70), max_size=200), st.data())
def test_large_offsets_and_slices_change_no_hash(
    values: list[str | None], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(values)))
    whole = pa.array(values, pa.string())
    plain, present = hashes(whole)
    assert hashes(whole.cast(pa.large_string())) == (plain, present)
    assert hashes(whole[start:]) == (plain[start:], present[start:])
    blobs = hashes(whole.cast(pa.binary()))[0]
    assert all(a != b for a, b, here in zip(plain, blobs, present, strict=True) if here)


@given(
    st.lists(st.tuples(st.none() | INT, st.none() | st.text(max_size=5)), min_size=1, max_size=150)
)
def test_a_null_in_any_column_leaves_no_key(rows: list[tuple[int | None, str | None]]) -> None:
    ints = array([row[0] for row in rows], int)
    texts = array([row[1] for row in rows], str)
    hashed, present = hashes(ints, texts)
    assert present == [int(None not in row) for row in rows]
    assert all(
        (digest == bytes(16)) == (not here) for digest, here in zip(hashed, present, strict=True)
    )


def test_two_sessions_share_no_hash() -> None:
    values = array(list(range(1000)))
    assert not set(hashes(values)[0]) & set(hashes(values, key=bytes(32))[0])


def test_buffers_that_do_not_hold_their_rows_are_refused() -> None:
    short = _native.KeyColumn.int64(bytes(15), None, 0, 2)
    with pytest.raises(ValueError, match="shorter than its rows"):
        _native.hash_keys([[short]], SESSION)
    outside = _native.KeyColumn.utf8(
        np.array([0, 9], np.int32).tobytes(), b"abc", None, 0, 1, large=False
    )
    with pytest.raises(ValueError, match="outside its data"):
        _native.hash_keys([[outside]], SESSION)
    with pytest.raises(ValueError, match="32 bytes"):
        _native.hash_keys([[outside]], b"short")
    with pytest.raises(ValueError, match="all of one length"):
        _native.hash_keys([[]], SESSION)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 70_000))
def test_a_permutation_holds_every_item_once(seed: bytes, items: int) -> None:
    order = np.frombuffer(memoryview(_native.permutation(seed, items)), np.uint32)
    assert np.array_equal(np.sort(order), np.arange(items, dtype=np.uint32))


@pytest.mark.parametrize("case", ORDERS["orders"], ids=lambda case: str(case["items"]))
def test_a_seed_stands_for_the_order_that_the_model_makes_of_it(case: dict[str, Any]) -> None:
    order = bytes(_native.permutation(bytes.fromhex(ORDERS["seed"]), case["items"]))
    assert np.frombuffer(order, np.uint32)[:10].tolist() == case["first"]
    assert digest(order) == case["order"]


@pytest.mark.parametrize(("dtype", "width"), [(np.uint32, 4), (np.uint64, 8)])
def test_rows_are_taken_as_numpy_takes_them(dtype: type[np.uint32 | np.uint64], width: int) -> None:
    values = np.random.default_rng(1).integers(0, 2**32, 50_000).astype(dtype)
    order = _native.permutation(bytes(32), 50_000)
    taken = np.frombuffer(memoryview(_native.take([values.tobytes()], width, order)), dtype)
    assert np.array_equal(taken, values[np.frombuffer(memoryview(order), np.uint32)])


def test_rows_outside_are_refused() -> None:
    one = np.array([1], np.uint32).tobytes()
    with pytest.raises(ValueError, match="outside"):
        _native.take([bytes(16)], 16, one)
    with pytest.raises(ValueError, match="4, 8 or 16"):
        _native.take([bytes(16)], 2, one)
