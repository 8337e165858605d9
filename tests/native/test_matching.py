"""The coordinator's matching against a plain dictionary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sandbox import _native

SEED = st.binary(min_size=32, max_size=32)


def tag(number: int) -> bytes:
    return number.to_bytes(16, "little")


def match(parties: list[list[int]], seed: bytes) -> list[list[int]]:
    tags = [b"".join(map(tag, party)) for party in parties]
    return [
        np.frombuffer(memoryview(slots), np.uint32).tolist()
        for slots in _native.match_tags(tags, seed)
    ]


@given(
    st.lists(st.lists(st.integers(0, 80), unique=True, max_size=60), min_size=2, max_size=5), SEED
)
def test_slots_join_as_a_dictionary_does(parties: list[list[int]], seed: bytes) -> None:
    slot_of: dict[int, int] = {}
    for party, slots in zip(parties, match(parties, seed), strict=True):
        for number, slot in zip(party, slots, strict=True):
            assert slot_of.setdefault(number, slot) == slot
    assert len(set(slot_of.values())) == len(slot_of)
    assert all(0 <= slot < sum(map(len, parties)) for slot in slot_of.values())


def test_two_parties_of_many_rows_meet_exactly_where_numpy_says() -> None:
    rng = np.random.default_rng(5)
    a = rng.permutation(np.arange(200_000, dtype=np.uint64))
    b = rng.permutation(np.arange(150_000, 350_000, dtype=np.uint64))
    tags = [
        np.stack([side, side * np.uint64(0x9E3779B97F4A7C15)], axis=1).tobytes() for side in (a, b)
    ]
    left, right = (
        np.frombuffer(memoryview(slots), np.uint32) for slots in _native.match_tags(tags, bytes(32))
    )
    shared = np.intersect1d(left, right)
    assert np.array_equal(np.sort(a[np.isin(left, shared)]), np.arange(150_000, 200_000))
    by_slot = dict(zip(left.tolist(), a.tolist(), strict=True))
    assert all(by_slot.get(s, b_) == b_ for s, b_ in zip(right.tolist(), b.tolist(), strict=True))


@pytest.mark.parametrize("other", [[10, 11, 12], [0, 1, 2]], ids=["none match", "all match"])
def test_a_partys_slots_are_a_uniform_injection_whatever_matched(other: list[int]) -> None:
    """χ² over the 120 injections of 3 rows into 6 slots; false alarm 1e-6 in each of two cases."""
    draws = 24_000
    seen: dict[tuple[int, ...], int] = {}
    for number in range(draws):
        slots = tuple(match([[0, 1, 2], other], number.to_bytes(32, "little"))[0])
        seen[slots] = seen.get(slots, 0) + 1
    assert len(seen) == 120
    chi2 = sum((count - draws / 120) ** 2 / (draws / 120) for count in seen.values())
    assert chi2 < stats.chi2.isf(1e-6, 119)


def test_a_party_that_states_a_tag_twice_is_refused() -> None:
    with pytest.raises(_native.PeerError):
        match([[1, 2], [3, 3]], bytes(32))


def test_bytes_that_are_no_tags_are_refused() -> None:
    with pytest.raises(_native.PeerError):
        _native.match_tags([bytes(17), bytes(16)], bytes(32))
    with pytest.raises(ValueError, match="two to five"):
        _native.match_tags([bytes(16)], bytes(32))


@pytest.mark.parametrize("width", [1, 11, 16])
def test_shortened_tags_are_the_last_bytes_of_those_taken(width: int) -> None:
    tags = bytes(range(64))
    order = np.array([3, 0, 0], np.uint32)
    short = bytes(memoryview(_native.shorten_tags([tags[:16], tags[16:]], width, order.tobytes())))
    kept = [tags[16 * at + 16 - width : 16 * at + 16] for at in order]
    assert short == b"".join(kept)
    long = bytes(memoryview(_native.lengthen_tags(short, width)))
    assert long == b"".join(bytes(16 - width) + each for each in kept)


def test_tags_that_are_not_whole_or_of_no_width_are_refused() -> None:
    with pytest.raises(_native.PeerError):
        _native.lengthen_tags(bytes(12), 11)
    for width in (0, 17):
        with pytest.raises(ValueError, match="1 to 16 bytes"):
            _native.lengthen_tags(bytes(34), width)
