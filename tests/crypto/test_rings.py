"""The menu of rings, framing and its checks."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.crypto.masks import add_modulo
from sandbox.crypto.rings import (
    CHECK_SLOTS,
    MAX_LENGTH,
    RINGS,
    Ring,
    Slots,
    choose_ring,
    frame,
    ring_named,
    unframe,
)
from sandbox.errors import InputError, TrustError
from tests.crypto import model

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/framing.json").read_text())
SEED, TRANSCRIPT = bytes(range(32)), b"job and roster"
SMALL = Ring("small", 8, (97, 193), (36, 36, 37))
"""Not on the menu: four chunks already at 20 values."""


def is_prime(n: int) -> bool:
    """Miller-Rabin with bases that decide below 3.3e24 (Sorenson and Webster 2015)."""
    s = (n - 1 & 1 - n).bit_length() - 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41):
        x = pow(base, n - 1 >> s, n)
        if x not in (1, n - 1) and all((x := x * x % n) != n - 1 for _ in range(s - 1)):
            return False
    return True


def framed(ring: Ring, columns: dict[str, list[int]], seed: bytes = SEED) -> Slots:
    """The sum of one frame per member."""
    slots = [
        frame(values, ring, seed=seed, transcript=TRANSCRIPT, member=member)
        for member, values in columns.items()
    ]
    total = np.zeros_like(slots[0])
    for one in slots:
        total = add_modulo(total, one, ring)
    return total


def opened(ring: Ring, slots: Slots, length: int, members: list[str], **changed: Any) -> list[int]:
    known: dict[str, Any] = {"seed": SEED, "transcript": TRANSCRIPT, **changed}
    return unframe(slots, ring, length, members=members, **known)


@pytest.mark.parametrize("ring", RINGS, ids=lambda ring: ring.name)
def test_plain_moduli_are_the_largest_primes_that_batch(ring: Ring) -> None:
    step = 2 * ring.poly_modulus_degree
    bits = ring.plain_moduli[0].bit_length()
    found: list[int] = []
    candidate = (1 << bits) // step * step + 1
    while len(found) < len(ring.plain_moduli):
        if candidate < 1 << bits and is_prime(candidate):
            found.append(candidate)
        candidate -= step
    assert list(ring.plain_moduli) == found


@pytest.mark.parametrize("ring", RINGS, ids=lambda ring: ring.name)
def test_coefficient_moduli_keep_128_bit_security(ring: Ring) -> None:
    # Homomorphic Encryption Standard (2018), table 1: classical, ternary secrets.
    assert sum(ring.coeff_mod_bit_sizes) <= {4096: 109, 8192: 218}[ring.poly_modulus_degree]


@pytest.mark.parametrize("ring", RINGS, ids=lambda ring: ring.name)
def test_forging_a_check_is_less_likely_than_2_to_the_minus_64(ring: Ring) -> None:
    assert min(ring.plain_moduli) ** CHECK_SLOTS > 2**64


def test_the_smallest_ring_that_cannot_wrap_is_chosen() -> None:
    for smaller, larger in zip(RINGS, [*RINGS[1:], None], strict=True):
        limit = (smaller.modulus - 1) // 2
        assert choose_ring(limit) is smaller
        if larger is None:
            with pytest.raises(InputError, match="SB-3032"):
                choose_ring(limit + 1)
        else:
            assert choose_ring(limit + 1) is larger
    assert choose_ring(0) is RINGS[0]


def test_a_ring_off_the_menu_is_refused() -> None:
    assert ring_named("bfv-8192-58") is RINGS[1]
    with pytest.raises(TrustError, match="SB-3031"):
        ring_named("bfv-16384-60")


@pytest.mark.parametrize("length", [0, -1, MAX_LENGTH + 1])
def test_a_share_that_is_empty_or_too_long_is_refused(length: int) -> None:
    with pytest.raises(InputError, match="SB-3030"):
        RINGS[0].slots(length)


def test_chunks_fill_ciphertexts_exactly() -> None:
    ring = RINGS[0]
    full = ring.poly_modulus_degree - CHECK_SLOTS
    assert ring.chunk_sizes(full) == [full]
    assert ring.chunk_sizes(full + 1) == [full, 1]
    assert ring.slots(full + 1) == full + 1 + 2 * CHECK_SLOTS


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['ring']}x{v['length']}")
def test_frames_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    length = vector["length"]
    values = [(-1) ** i * (i * i * 12345 + i) for i in range(length)]
    slots = frame(
        values,
        ring_named(vector["ring"]),
        seed=bytes.fromhex(vector["seed"]),
        transcript=bytes.fromhex(vector["transcript"]),
        member=vector["member"],
    ).tolist()
    assert slots == vector.get("slots", slots)
    text = ",".join(str(slot) for row in slots for slot in row)
    assert sha256(text.encode()).hexdigest() == vector["sha256_of_slots"]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([*RINGS, SMALL]), st.integers(1, 20), st.integers(1, 5))
def test_a_sum_of_frames_opens_to_the_exact_sum(
    data: st.DataObject, ring: Ring, length: int, members: int
) -> None:
    bound = (ring.modulus - 1) // 2 // members
    values = st.lists(st.integers(-bound, bound), min_size=length, max_size=length)
    columns = {f"fs1{i}": data.draw(values) for i in range(members)}
    result = opened(ring, framed(ring, columns), length, list(columns))
    assert result == [sum(column) for column in zip(*columns.values(), strict=True)]


def test_frames_agree_with_the_slow_model_over_several_chunks() -> None:
    values = list(range(-10, 10))
    slots = frame(values, SMALL, seed=SEED, transcript=TRANSCRIPT, member="fs1a")
    for row, t in zip(slots.tolist(), SMALL.plain_moduli, strict=True):
        assert row == model.frame(values, t, SMALL.chunk_values, SEED, TRANSCRIPT, "fs1a")


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(RINGS))
def test_any_change_of_any_slot_is_found(data: st.DataObject, ring: Ring) -> None:
    slots = framed(ring, {"fs1a": [1, -2, 3], "fs1b": [4, 5, -6]})
    row = data.draw(st.integers(0, len(ring.plain_moduli) - 1))
    slot = data.draw(st.integers(0, slots.shape[1] - 1))
    delta = np.zeros_like(slots)
    delta[row, slot] = data.draw(st.integers(1, ring.plain_moduli[row] - 1))
    with pytest.raises(TrustError, match="SB-3033"):
        opened(ring, add_modulo(slots, delta, ring), 3, ["fs1a", "fs1b"])


def test_another_seed_transcript_roster_or_order_of_chunks_is_found() -> None:
    ring = RINGS[0]
    columns = {"fs1a": [1] * 4095, "fs1b": [2] * 4095}
    slots, members = framed(ring, columns), list(columns)
    assert opened(ring, slots, 4095, members) == [3] * 4095
    assert opened(ring, slots, 4095, members[::-1]) == [3] * 4095
    doubled = add_modulo(slots, slots, ring)
    zero = np.zeros_like(slots)
    for wrong, who, changed in (
        (slots, members, {"seed": bytes(32)}),
        (slots, members, {"transcript": b"another roster"}),
        (slots, ["fs1a"], {}),
        (slots, [*members, "fs1c"], {}),
        (slots, ["fs1a", "fs1a"], {}),
        (doubled, members, {}),
        (zero, members, {}),
        (np.roll(slots, 3, axis=1), members, {}),
    ):
        with pytest.raises(TrustError, match="SB-3033"):
            opened(ring, wrong, 4095, who, **changed)


def test_equal_chunks_cannot_be_exchanged() -> None:
    slots = framed(SMALL, {"fs1a": [1] * 6 + [2] * 6})
    swapped = np.concatenate([slots[:, 8:], slots[:, :8]], axis=1)
    with pytest.raises(TrustError, match="SB-3033"):
        opened(SMALL, swapped, 12, ["fs1a"])


def test_a_short_seed_is_refused() -> None:
    with pytest.raises(InputError, match="SB-3034"):
        frame([1], RINGS[0], seed=b"short", transcript=b"", member="fs1a")
