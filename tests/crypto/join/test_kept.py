"""Kept matchings between machines: the same products as a join that matches anew, and no tag sent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sandbox.crypto.join.blind import Kept, agree, over_kept, placed, pooled
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.dealer import deal
from sandbox.crypto.join.machine import Machine, Send
from sandbox.crypto.join.pool import Rows
from sandbox.crypto.join.shape import Shape, Stage, write_shapes
from sandbox.errors import ProtocolError, TrustError
from tests.crypto.join.memory import run

LEFT, RIGHT, DEALER = "left", "right", "dealer"
SHAPE = Shape((LEFT, RIGHT), (30, 30), (1, 1), 4)


def pair(own: str, job: bytes) -> Pair:
    peer = RIGHT if own == LEFT else LEFT
    return Pair(b"agreement of job " + job.ljust(15), b"transcript of " + job, own, peer)


def prepare(
    shape: Shape, own: str, keys: Sequence[int | None], job: bytes, matching: int
) -> Machine[tuple[NDArray[np.intp], Kept]]:
    """Match keys; return the places of those that take part, and where they lie."""
    places = np.arange(len(keys), dtype=np.uint64).reshape(1, -1)
    rows, both = Rows([pa.array(keys, pa.int64())], places), pair(own, job)
    agreed = yield from agree(shape, own, both, matching)
    member = agreed.fill(pooled(shape, own, both, rows, os.urandom))
    kept = yield from member.keep(DEALER, os.urandom)
    return member.pool.values[0, : member.pool.rows].astype(np.intp), kept


def kept_by(
    keys: dict[str, list[int]], job: bytes = b"preparing"
) -> dict[str, tuple[list[int], Kept]]:
    """Let both members prepare; return whose keys take part, and what each keeps."""
    shape = replace(SHAPE, stage=Stage.MATCH)

    def one(own: str) -> Machine[object]:
        yield Send(DEALER, write_shapes([shape]))
        return (yield from prepare(shape, own, keys[own], job, 3))

    found = run({DEALER: deal([LEFT, RIGHT], os.urandom), LEFT: one(LEFT), RIGHT: one(RIGHT)})
    return {own: ([keys[own][n] for n in found[own][0]], found[own][1]) for own in keys}


def over(shape: Shape, own: str, kept: Kept, values: np.ndarray, job: bytes) -> Machine[object]:
    """Multiply a member's columns over what it keeps."""
    yield Send(DEALER, write_shapes([shape]))
    words = values.view(np.uint64)
    factor = placed(shape, own, kept, words)
    both = pair(own, job)
    return (yield from over_kept(shape, own, both, DEALER, kept.common, factor, os.urandom))


def products(kept: dict[str, Kept], values: dict[str, np.ndarray], job: bytes) -> np.ndarray:
    """Return X'Y of columns over kept slots, as both members' shares add up to it."""
    columns = tuple(len(values[own]) for own in (LEFT, RIGHT))
    shape = replace(SHAPE, columns=columns, stage=Stage.MULTIPLY)

    parties = {own: over(shape, own, kept[own], values[own], job) for own in (LEFT, RIGHT)}
    shares = run({DEALER: deal([LEFT, RIGHT], os.urandom), **parties})
    return (shares[LEFT] + shares[RIGHT]).view(np.int64)


keys = st.lists(st.integers(0, 40), max_size=30, unique=True)


@settings(max_examples=40, deadline=None)
@given(left=keys, right=keys, seed=st.integers(0, 2**32))
def test_any_number_of_statements_over_a_kept_matching_are_exact(
    left: list[int], right: list[int], seed: int
) -> None:
    made = kept_by({LEFT: left, RIGHT: right})
    chance = np.random.default_rng(seed)
    for job, width in ((b"first", 1), (b"second", 3)):
        values = {own: chance.integers(-1000, 1000, (width, len(made[own][0]))) for own in made}
        found = products({own: kept for own, (_, kept) in made.items()}, values, job)
        expected = sum(
            (
                np.outer(values[LEFT][:, i], values[RIGHT][:, right.index(key)])
                for i, key in enumerate(left)
                if key in right
            ),
            np.zeros((width, width), np.int64),
        )
        assert (found == expected).all()


def test_a_key_that_is_null_or_beyond_the_bound_has_no_slot() -> None:
    def one(own: str, values: list[int | None]) -> Machine[object]:
        shape = replace(SHAPE, rows=(3, 30), stage=Stage.MATCH)
        yield Send(DEALER, write_shapes([shape]))
        return (yield from prepare(shape, own, values, b"p", 0))

    machines = {LEFT: one(LEFT, [5, None, 6, 7, 8]), RIGHT: one(RIGHT, [5])}
    found = run({DEALER: deal([LEFT, RIGHT], os.urandom), **machines})
    places, kept = found[LEFT]
    assert places.tolist() == [0, 2, 3]
    # As many slots as tags were sent, whatever had a key: laying columns out shows no more.
    assert len(kept.slots) == len(found[RIGHT][1].slots) - 27 == 7


def test_members_of_different_matchings_do_not_multiply() -> None:
    first = kept_by({LEFT: [1, 2], RIGHT: [2, 3]}, b"first")
    second = kept_by({LEFT: [1, 2], RIGHT: [2, 3]}, b"second")
    mixed = {LEFT: first[LEFT][1], RIGHT: second[RIGHT][1]}
    with pytest.raises(TrustError, match="SB-3300"):
        products(mixed, {own: np.ones((1, 2), np.int64) for own in mixed}, b"job")


def test_a_slot_kept_twice_is_refused() -> None:
    made = kept_by({LEFT: [1, 2], RIGHT: [2, 3]})
    twice = made[LEFT][1].slots.copy()
    twice[1] = twice[0]
    kept = {LEFT: replace(made[LEFT][1], slots=twice), RIGHT: made[RIGHT][1]}
    with pytest.raises(TrustError, match="SB-3047"):
        products(kept, {own: np.ones((1, 2), np.int64) for own in kept}, b"job")


def test_a_stage_of_many_members_is_refused() -> None:
    many = Shape(("a", "b", "c"), (1, 1, 1), (1, 1, 1), 0, ((0, 0, 0),), Stage.MULTIPLY)

    def one() -> Machine[None]:
        yield Send(DEALER, write_shapes([many]))

    with pytest.raises(ProtocolError, match="SB-4010"):
        run({DEALER: deal(["a"], os.urandom), "a": one()})
