"""Products, words of zero and checks of slots as the vectors of an independent model have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sandbox import _native
from sandbox.crypto.join import verified
from sandbox.crypto.join.verified import MatchingCheck
from tests.vectors.native.blocks import to_bytes
from tests.vectors.native.ot import digest
from tests.vectors.native.shares import ALPHA, BLIND, SEEDS, factor

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/native/shares.json").read_text())
SEED_U, SEED_V, SEED_R, SEED_ALPHA = (to_bytes([seed]) for seed in (*SEEDS, BLIND, ALPHA))
each_product = pytest.mark.parametrize("case", VECTORS["products"], ids=lambda c: str(c["slots"]))


def factors(case: dict[str, Any]) -> tuple[_native.SlotColumns, _native.SlotColumns]:
    made = []
    for columns, seed in ((case["p"], 1), (case["q"], 2)):
        places, values, _ = factor(case["slots"], columns, seed)
        placement = _native.Placement(case["slots"], np.array(places, np.uint32).tobytes())
        words = [np.array(column, np.uint64).tobytes() for column in values]
        made.append(_native.SlotColumns.placed(placement, words))
    return made[0], made[1]


def all_of(following: Callable[[int], _native.Buffer]) -> list[bytes]:
    """Every message of a stream, two chunks in each."""
    messages = []
    while len(message := following(2)):
        messages.append(bytes(message))
    return messages


def low(words: _native.Buffer | bytes, width: int, size: int = 8) -> str:
    """The low bytes of each word of `size` bytes."""
    raw = np.frombuffer(bytes(words), np.uint8).reshape(-1, size)
    return raw[:, :width].tobytes().hex()


@each_product
def test_a_masked_product_is_the_models(case: dict[str, Any]) -> None:
    (x, y), width, expected = factors(case), case["width"], case["masked"]
    a = _native.MaskedFactor(x, case["q"], width, SEED_U, SEED_V, left=True)
    b = _native.MaskedFactor(y, case["p"], width, SEED_U, SEED_V, left=False)
    coordinator = _native.Evaluator(case["slots"], case["p"], case["q"], width)
    ours, theirs = all_of(a.next_message), all_of(b.next_message)
    assert digest(b"".join(ours)) == expected["left"]
    assert digest(b"".join(theirs)) == expected["right"]
    for left, right in zip(ours, theirs, strict=True):
        coordinator.absorb(left, right)
    returned = coordinator.finish(SEED_R)
    assert low(returned, width) == expected["returned"]
    shares = a.finish_left(returned)[0], b.finish_right(SEED_R)[0]
    assert [low(share, width) for share in shares] == expected["shares"]


@each_product
def test_a_verified_product_is_the_models(case: dict[str, Any]) -> None:
    (x, y), width, expected = factors(case), case["width"] + 5, case["verified"]
    seeds = SEED_U, SEED_V, SEED_ALPHA
    a = _native.MaskedFactor(x, case["q"], width, *seeds, left=True)
    b = _native.MaskedFactor(y, case["p"], width, *seeds, left=False)
    coordinator = _native.Evaluator(case["slots"], case["p"], case["q"], width, verified=True)
    ours, theirs = all_of(a.next_message), all_of(b.next_message)
    assert digest(b"".join(ours)) == expected["left"]
    assert digest(b"".join(theirs)) == expected["right"]
    for left, right in zip(ours, theirs, strict=True):
        coordinator.absorb(left, right)
    returned = coordinator.finish(SEED_R)
    assert low(returned, width, 16) == expected["returned"]
    (left_share, left_check), (right_share, right_check) = (
        a.finish_left(returned),
        b.finish_right(SEED_R),
    )
    kept = min(8, width)
    assert [low(left_share, kept), low(right_share, kept)] == expected["shares"]
    assert bytes(left_check).hex() == bytes(right_check).hex() == expected["check"]


@each_product
def test_a_dealt_product_is_the_models(case: dict[str, Any]) -> None:
    (x, y), expected = factors(case), case["dealt"]
    a = _native.InnerProduct.a(x, case["q"], SEED_U)
    b = _native.InnerProduct.b(y, case["p"], SEED_V)
    ours, theirs = all_of(a.next_message), all_of(b.next_message)
    assert digest(b"".join(ours)) == expected["left"]
    assert digest(b"".join(theirs)) == expected["right"]
    for left, right in zip(ours, theirs, strict=True):
        a.absorb(right)
        b.absorb(left)
    to_b = _native.deal_inner(SEED_U, SEED_V, case["slots"], case["p"], case["q"])
    assert bytes(to_b).hex() == expected["to_b"]
    assert [bytes(a.finish()).hex(), bytes(b.finish(to_b)).hex()] == expected["shares"]


@each_product
def test_products_slot_by_slot_are_the_models(case: dict[str, Any]) -> None:
    (x, y), expected = factors(case), case["slotwise"]
    pairs = [(i, j) for i, j in expected["pairs"]]
    a = _native.SlotwiseProduct.a(x, case["q"], pairs, SEED_U)
    b = _native.SlotwiseProduct.b(y, case["p"], pairs, SEED_V)
    dealer = _native.SlotwiseDealer(SEED_U, SEED_V, case["slots"], case["p"], case["q"], pairs)
    ours, theirs, to_b = map(all_of, (a.next_message, b.next_message, dealer.next_message))
    assert digest(b"".join(to_b)) == expected["to_b"]
    of_a = b"".join(bytes(a.absorb(message)) for message in theirs)
    of_b = b"".join(bytes(b.absorb(m, w)) for m, w in zip(ours, to_b, strict=True))
    assert [digest(of_a), digest(of_b)] == expected["shares"]


@pytest.mark.parametrize("negative", [False, True])
def test_words_of_zero_are_the_models(negative: bool) -> None:
    key, expected = bytes.fromhex(VECTORS["zero"]["key"]), bytes.fromhex(VECTORS["zero"]["words"])
    share = np.frombuffer(
        memoryview(_native.zero_share(key, b"outputs", 20, negative=negative)), np.uint64
    )
    words = np.frombuffer(expected, np.uint64)
    assert np.array_equal(share, np.negative(words) if negative else words)


class Keys:
    """A pair with the key of the vectors, whose check keys are their first tags."""

    def key(self, purpose: str) -> bytes:
        assert purpose == "check words"
        return bytes.fromhex(VECTORS["matching"]["key"]) + bytes(16)


@pytest.mark.parametrize("left", [True, False], ids=["left", "right"])
def test_slots_are_checked_as_the_model_has_it(left: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = VECTORS["matching"]
    tags, known = bytes.fromhex(expected["tags"]), expected["check_keys"]
    monkeypatch.setattr(verified, "check_tags", lambda pair: tags[: 16 * known])
    check = MatchingCheck(Keys(), left=left)  # type: ignore[arg-type]
    columns = check.columns([memoryview(tags)], slice(0, known))
    side = "left" if left else "right"
    assert np.ascontiguousarray(columns).tobytes().hex() == expected["columns"][side]
    share = bytes.fromhex(expected["shares"][0 if left else 1])
    numbers = np.frombuffer(share, np.uint64).reshape(2, 2)
    assert check.value(numbers).hex() == expected["check"]
