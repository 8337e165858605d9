"""Tags that exceed memory are matched bucket by bucket, as if all were matched at once."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import _native
from sandbox.crypto.join.dealer import Room, deal
from sandbox.crypto.join.machine import Machine
from sandbox.crypto.join.shape import TAG_BYTES, Shape
from sandbox.crypto.join.spilled import SpilledTags
from tests.crypto.join.memory import run
from tests.crypto.join.test_blind import C, Table, entropy, plain, provider, rows, tables


def tags(numbers: Sequence[int]) -> memoryview:
    return memoryview(b"".join(tag(number) for number in numbers))


def tag(number: int) -> bytes:
    """Pseudorandom, as members' are."""
    blocks = memoryview(_native.expand(bytes(TAG_BYTES), number + 1))
    return bytes(blocks[TAG_BYTES * number :])


def slots_of(sets: Sequence[Sequence[int]], of_bucket: int, pieces: int = 1000) -> list[list[int]]:
    spilled = SpilledTags([len(each) for each in sets], of_bucket, io.BytesIO)
    for member, numbers in enumerate(sets):
        for first in range(0, len(numbers), pieces):
            spilled.add(member, first, tags(numbers[first : first + pieces]))
    return [slots.tolist() for slots in spilled.slots(os.urandom)]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 60), max_size=40).map(sorted), min_size=2, max_size=5),
    st.sampled_from([5, 30, 1000]),
    st.integers(1, 50),
)
def test_equal_tags_and_only_they_share_a_slot(
    sets: list[list[int]], of_bucket: int, pieces: int
) -> None:
    slots = slots_of(sets, of_bucket, pieces)
    of_number: dict[int, int] = {}
    for numbers, own in zip(sets, slots, strict=True):
        assert len(numbers) == len(own)
        for number, slot in zip(numbers, own, strict=True):
            assert 0 <= slot < sum(map(len, sets))
            assert of_number.setdefault(number, slot) == slot
    assert len(set(of_number.values())) == len(of_number)


@pytest.mark.parametrize("matching", [False, True])
def test_a_members_slots_are_any_injection_with_equal_chance(matching: bool) -> None:
    """Three tags in several buckets among 4 slots, whatever the other member has: 24 injections over
    2400 runs, chi-squared with 23 degrees of freedom below 58.6 but with probability 6e-5."""
    other = [0] if matching else [9]
    assert len({tag(n)[-1] >> 6 for n in (0, 1, 2)}) > 1
    seen = Counter(tuple(slots_of([[0, 1, 2], other], 1)[0]) for _ in range(2400))
    assert len(seen) == 24
    assert sum((count - 100) ** 2 / 100 for count in seen.values()) < 58.6


def test_nothing_is_left_open() -> None:
    opened: list[BinaryIO] = []

    def scratch() -> BinaryIO:
        opened.append(io.BytesIO())
        return opened[-1]

    spilled = SpilledTags([40, 40], 10, scratch)
    for member in (0, 1):
        spilled.add(member, 0, tags(range(40)))
    spilled.slots(os.urandom)
    assert len(opened) == 16
    assert all(file.closed for file in opened)


@settings(max_examples=20, deadline=None)
@given(tables(2), tables(3))
def test_a_join_whose_tags_are_spilled_has_the_plain_sums(left: Table, right: Table) -> None:
    shape = Shape(("a", "b"), (len(left) + 2, len(right) + 1), (2, 3), 5)
    machines: dict[str, Machine[object]] = {
        "a": provider("a", "b", shape, rows(left, 2), ""),
        "b": provider("b", "a", shape, rows(right, 3), ""),
        C: deal(["a", "b"], entropy(C), Room(1000, bucket_rows=6)),
    }
    shares = run(machines)
    total = (shares["a"] + shares["b"]).view(np.int64)
    assert total.tolist() == plain(left, right, shape)
