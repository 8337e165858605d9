"""A verified `blind` join: the same shares of X'Y, and whoever lies about slots or products is found."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.crypto.join import blind, shape, verified
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.dealer import deal
from sandbox.crypto.join.machine import Machine, Send
from sandbox.crypto.join.shape import CHECK_KEYS, Shape, Stage, write_shapes
from sandbox.errors import TrustError
from tests.crypto.join.memory import Wiretap, run

C = "coordinator"
Table = Mapping[int, Sequence[int]]
"""Values of a side's columns by key."""
SHAPE = Shape(("a", "b"), (40, 40), (2, 3), CHECK_KEYS + 6, verify=True)


def pair(own: str, job: bytes = b"job") -> Pair:
    return Pair(b"agreement".ljust(32), job, own, "b" if own == "a" else "a")


def provider(own: str, of: Shape, table: Table, matching: int = 3) -> Machine[blind.Words]:
    yield Send(C, write_shapes([of]))
    width = of.columns[of.members.index(own)]
    values = np.array([*table.values()], np.int64).reshape(len(table), width)
    words = np.ascontiguousarray(values.T).view(np.uint64)
    rows = blind.Rows([pa.array([*table], pa.int64())], words)
    both = pair(own)
    agreed = yield from blind.agree(of, own, both, matching)
    pool = blind.pooled(of, own, both, rows, os.urandom)
    return (yield from agreed.fill(pool).multiply(C, os.urandom))


def join(
    left: Table, right: Table, of: Shape, wiretap: Wiretap | None = None, matching: int = 3
) -> list[list[int]]:
    """Return the numbers that both shares add up to in the result's ring."""
    machines = {
        "a": provider("a", of, left, matching),
        "b": provider("b", of, right, matching),
        C: deal(["a", "b"], os.urandom),
    }
    shares = run(machines, wiretap)
    above = np.uint64(64 - 8 * of.width)
    total = ((shares["a"] + shares["b"]) << above).view(np.int64) >> above.astype(np.int64)
    return total.tolist()


def plain(left: Table, right: Table, of: Shape) -> list[list[int]]:
    p, q = of.columns
    both = [key for key in left if key in right]
    return [[sum(left[k][i] * right[k][j] for k in both) for j in range(q)] for i in range(p)]


def tables(columns: int) -> st.SearchStrategy[dict[int, list[int]]]:
    number = st.integers(-(2**12), 2**12)
    values = st.lists(number, min_size=columns, max_size=columns)
    return st.dictionaries(st.integers(-5, 50), values, max_size=40)


@settings(max_examples=30, deadline=None)
@given(tables(2), tables(3), st.integers(4, 8))
def test_the_shares_add_up_to_the_plain_join_in_every_ring(
    left: Table, right: Table, width: int
) -> None:
    of = replace(SHAPE, width=width)
    assert join(left, right, of) == plain(left, right, of)


def test_several_frames_and_chunks_add_up() -> None:
    left = {k: [k, 1] for k in range(30_000)}
    right = {k: [1, k % 7, k] for k in range(15_000, 50_000)}
    of = Shape(("a", "b"), (30_000, 35_000), (2, 3), CHECK_KEYS + 100, verify=True)
    assert join(left, right, of) == plain(left, right, of)


def test_what_is_sent_has_lengths_of_the_shape_alone_and_is_what_it_says() -> None:
    seen: list[Counter[tuple[str, str]]] = []
    for left, right in (({}, {}), ({k: [k, 1] for k in range(40)}, {k: [1] * 3 for k in range(9)})):
        count: Counter[tuple[str, str]] = Counter()

        def keep(source: str, to: str, frame: bytes) -> bytes:
            if not frame.startswith(b"[{"):
                count[source, to] += len(frame)  # noqa: B023
            return frame

        join(left, right, replace(SHAPE, width=4), keep)
        seen.append(count)
    assert seen[0] == seen[1]
    m, slots = SHAPE.padded[0], SHAPE.slots
    matching, seeds = 2 * shape.MATCHING_WIDTH * slots, 16
    tags = SHAPE.tag_bytes * m
    assert seen[0]["a", C] == tags + matching + 3 * 9 * slots
    assert seen[0]["b", C] == tags + matching + 3 * 9 * slots + 2 * seeds
    assert seen[0][C, "a"] == 4 * m + 8 * 4 + 16 * 9
    assert seen[0]["b", "a"] == 4 * (32 + 16)


Change = Callable[[np.ndarray, np.ndarray], None]


def lie(change: Change) -> Wiretap:
    """A coordinator that changes b's slots before it tells them."""
    said: dict[str, np.ndarray] = {}

    def wiretap(source: str, to: str, frame: bytes) -> bytes | None:
        if source != C or to in said:
            return frame
        said[to] = np.frombuffer(frame, np.uint32).copy()
        if to == "a":
            return frame  # Changes go to b, which is told after a.
        change(said["a"], said["b"])
        return said["b"].tobytes()

    return wiretap


LEFT = {k: [k, 1] for k in range(30)}
RIGHT = {k: [1, k, 2] for k in range(10, 40)}


def matched(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Where b's slots are that a row of a's shares."""
    return np.flatnonzero(np.isin(theirs, ours))


def two_pairs_crossed(ours: np.ndarray, theirs: np.ndarray) -> None:
    one, other = matched(ours, theirs)[:2]
    theirs[[one, other]] = theirs[[other, one]]


def one_pair_more(ours: np.ndarray, theirs: np.ndarray) -> None:
    alone = np.flatnonzero(~np.isin(theirs, ours))[0]
    theirs[alone] = ours[~np.isin(ours, theirs)][0]


def one_given_to_another(ours: np.ndarray, theirs: np.ndarray) -> None:
    one, alone = matched(ours, theirs)[0], np.flatnonzero(~np.isin(theirs, ours))[0]
    theirs[[one, alone]] = theirs[[alone, one]]


def left_out(of: Shape, count: int, seed: int) -> Change:
    """Some of the matches, by chance."""
    chance = np.random.default_rng(seed)

    def change(ours: np.ndarray, theirs: np.ndarray) -> None:
        free = np.setdiff1d(np.arange(of.slots, dtype=np.uint32), np.concatenate([ours, theirs]))
        theirs[chance.choice(matched(ours, theirs), count, replace=False)] = free[:count]

    return change


@pytest.mark.parametrize(
    "change",
    [two_pairs_crossed, one_pair_more, one_given_to_another, left_out(SHAPE, CHECK_KEYS, 1)],
)
def test_slots_that_are_not_what_tags_say_are_found(change: Change) -> None:
    with pytest.raises(TrustError, match="SB-3049"):
        join(LEFT, RIGHT, SHAPE, lie(change))


def test_matches_left_out_are_found_as_often_as_check_keys_are_among_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With 40 check keys of 63 that match (20 rows, 3 dummies), leaving out two goes unnoticed with
    probability C(23, 2) / C(63, 2) = 0.1295: of 400 joins, 51.8 with standard deviation 6.7."""
    for module in (shape, verified):
        monkeypatch.setattr(module, "CHECK_KEYS", 40)
    of = replace(SHAPE, dummies=40 + 6)
    unnoticed = 0
    for n in range(400):
        try:
            found = join(LEFT, RIGHT, of, lie(left_out(of, 2, n)))
            unnoticed += 1
            # Rows were left out then, or dummies, and the sums are whatever remained.
            assert found[1][0] in (18, 19, 20)
        except TrustError:
            pass
    expected = 400 * math.comb(23, 2) / math.comb(63, 2)
    assert abs(unnoticed - expected) < 5 * 6.7


def shifting(sizes: set[int], by: dict[int, int], word: int) -> Wiretap:
    """A coordinator that adds to words of what it returns to a, in frames of these sizes."""

    def wiretap(source: str, to: str, frame: bytes) -> bytes:
        if (source, to) != (C, "a") or len(frame) not in sizes:
            return frame
        words = [frame[at : at + word] for at in range(0, len(frame), word)]
        for at, shift in by.items():
            value = (int.from_bytes(words[at], "little") + shift) % (1 << 8 * word)
            words[at] = value.to_bytes(word, "little")
        return b"".join(words)

    return wiretap


@pytest.mark.parametrize("by", [{0: 1}, {5: 1 << 31}, {0: 1, 6: 1}, {8: 1}, {2: 5, 5: -5, 8: 3}])
def test_products_that_are_shifted_are_found(by: dict[int, int]) -> None:
    of = replace(SHAPE, width=4)
    size = 16 * 3 * 3
    with pytest.raises(TrustError, match="SB-3049"):
        join(LEFT, RIGHT, of, shifting({size}, by, 16))


def test_shift_of_what_checks_the_matching_is_found() -> None:
    with pytest.raises(TrustError, match="SB-3049"):
        join(LEFT, RIGHT, SHAPE, shifting({8 * 4}, {3: 1}, 8))


def test_shift_above_the_ring_and_what_checks_it_changes_no_result() -> None:
    """Whoever shifts by 2^K shifts what nobody looks at."""
    of = replace(SHAPE, width=4)
    found = join(LEFT, RIGHT, of, shifting({16 * 9}, {0: 1 << 72, 8: 1 << 100}, 16))
    assert found == plain(LEFT, RIGHT, of)


def test_a_kept_matching_is_verified_when_it_is_prepared_and_products_over_it_when_they_are_made() -> (
    None
):
    def preparing(own: str, keys: list[int]) -> Machine[object]:
        of = replace(SHAPE, stage=Stage.MATCH)
        yield Send(C, write_shapes([of]))
        places = np.arange(len(keys), dtype=np.uint64).reshape(1, -1)
        rows, both = blind.Rows([pa.array(keys, pa.int64())], places), pair(own)
        agreed = yield from blind.agree(of, own, both, 3)
        filled = agreed.fill(blind.pooled(of, own, both, rows, os.urandom))
        return (yield from filled.keep(C, os.urandom))

    def parties() -> dict[str, Machine[object]]:
        return {
            "a": preparing("a", [*LEFT]),
            "b": preparing("b", [*RIGHT]),
            C: deal(["a", "b"], os.urandom),
        }

    with pytest.raises(TrustError, match="SB-3049"):
        run(parties(), lie(two_pairs_crossed))
    kept = run(parties())

    def over(own: str, table: Table, of: Shape) -> Machine[object]:
        yield Send(C, write_shapes([of]))
        values = np.ascontiguousarray(np.array([*table.values()], np.int64).T).view(np.uint64)
        factor = blind.placed(of, own, kept[own], values)
        agreed = pair(own, b"another job")
        return (
            yield from blind.over_kept(of, own, agreed, C, kept[own].common, factor, os.urandom)
        )

    def shares(of: Shape, wiretap: Wiretap | None = None) -> np.ndarray:
        dealt = deal(["a", "b"], os.urandom)
        found = run({"a": over("a", LEFT, of), "b": over("b", RIGHT, of), C: dealt}, wiretap)
        return (found["a"] + found["b"]).view(np.int64)

    for verify in (True, False):
        of = replace(SHAPE, stage=Stage.MULTIPLY, verify=verify)
        assert shares(of).tolist() == plain(LEFT, RIGHT, of)
    with pytest.raises(TrustError, match="SB-3049"):
        shares(replace(SHAPE, stage=Stage.MULTIPLY), shifting({16 * 9}, {4: 1}, 16))


def test_both_members_find_a_lie_and_neither_gives_a_share() -> None:
    ended: list[str] = []

    def watched(own: str, table: Table) -> Machine[object]:
        try:
            yield from provider(own, replace(SHAPE, width=4), table)
        except TrustError as error:
            ended.append(f"{own} {error.code}")

    machines: dict[str, Machine[object]] = {
        "a": watched("a", LEFT),
        "b": watched("b", RIGHT),
        C: deal(["a", "b"], os.urandom),
    }
    run(machines, shifting({16 * 9}, {0: 1}, 16))
    assert sorted(ended) == ["a SB-3049", "b SB-3049"]
