"""The key-value store against an independent model: sizes, decoding, encodings that it decodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox import _native
from tests.vectors.native import okvs as model

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/native/okvs.json").read_text())


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"{case['items']}-{case['buckets']}")
def test_decoding_agrees_with_the_vectors(case: dict[str, Any]) -> None:
    items, buckets = case["items"], case["buckets"]
    assert _native.okvs_length(items, buckets) == case["length"]
    encoding = _native.expand(bytes.fromhex(case["encoding_seed"]), case["length"])
    seed, keys = bytes.fromhex(case["seed"]), bytes.fromhex(case["keys"])
    assert bytes(_native.okvs_decode(items, buckets, seed, keys, encoding)).hex() == case["values"]


@pytest.mark.parametrize("items", [1, 5, 700, 2**14 + 1])
def test_the_model_decodes_what_the_kernel_encodes(items: int) -> None:
    seed = b"the seed of this"
    keys = bytes(_native.expand(b"k" * 16, items))
    values = bytes(_native.expand(b"v" * 16, items))
    encoded = bytes(_native.okvs_encode(items, 1, seed, keys, values))
    encoding = [int.from_bytes(encoded[i : i + 16], "little") for i in range(0, len(encoded), 16)]
    shape = model.shape(items, 1)
    for i in range(0, items, max(1, items // 5)):
        key = int.from_bytes(keys[16 * i : 16 * i + 16], "little")
        value = model.decode(shape, int.from_bytes(seed, "little"), key, encoding)
        assert value.to_bytes(16, "little") == values[16 * i : 16 * i + 16]


@pytest.mark.parametrize("buckets", [1, 16, 1000])
@pytest.mark.parametrize("items", [3, 64, 12345, 2**15 + 77, 2**17])
def test_sizes_follow_the_published_formulas(items: int, buckets: int) -> None:
    assert _native.okvs_length(items, buckets) == model.shape(items, buckets).length


def test_an_encoding_of_another_length_is_the_peers_fault() -> None:
    short = _native.expand(b"e" * 16, _native.okvs_length(10, 1) - 1)
    with pytest.raises(_native.PeerError):
        _native.okvs_decode(10, 1, b"s" * 16, b"k" * 16, short)


def test_equal_keys_fail() -> None:
    with pytest.raises(RuntimeError):
        _native.okvs_encode(2, 1, b"s" * 16, b"k" * 32, b"v" * 32)
