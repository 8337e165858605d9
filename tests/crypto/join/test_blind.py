"""`blind`: shares of X'Y for any rows, and what each party sees of them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.crypto.join import blind
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.dealer import deal
from sandbox.crypto.join.machine import Machine, Send
from sandbox.crypto.join.shape import Shape, write_shapes
from sandbox.errors import ProtocolError, SandboxError
from tests.crypto.join.memory import Wiretap, run

SECRET = bytes(range(32))
C = "coordinator"
Table = Mapping[int | None, Sequence[int]]
"""Values of a side's columns by key."""


def entropy(name: str) -> blind.Entropy:
    drawn = iter(range(1 << 30))
    return lambda n: hashlib.shake_256(f"{name}{next(drawn)}".encode()).digest(n)


def rows(table: Table, columns: int) -> blind.Rows:
    values = np.array([*table.values()], dtype=np.int64).reshape(len(table), columns)
    keys = [pa.array([*table], pa.int64())]
    return blind.Rows(keys, np.ascontiguousarray(values.T).view(np.uint64))


def provider(
    own: str, peer: str, shape: Shape, side: blind.Rows, seed: str
) -> Machine[blind.Words]:
    yield Send(C, write_shapes([shape]))
    pair = Pair(SECRET, b"job and roster", own, peer)
    draws = entropy(seed + own)
    agreed = yield from blind.agree(shape, own, pair, shape.dummies // 2)
    pool = blind.pooled(shape, own, pair, side, draws)
    product = yield from agreed.fill(pool).multiply(C, draws)
    zero = blind.zero_share(pair, own, product.size)
    return product + zero.reshape(product.shape)


def join(
    left: Table, right: Table, shape: Shape, wiretap: Wiretap | None = None, seed: str = ""
) -> dict[str, blind.Words]:
    p, q = shape.columns
    machines = {
        "a": provider("a", "b", shape, rows(left, p), seed),
        "b": provider("b", "a", shape, rows(right, q), seed),
        C: deal(["a", "b"], entropy(seed + C)),
    }
    return run(machines, wiretap)


def plain(left: Table, right: Table, shape: Shape) -> list[list[int]]:
    p, q = shape.columns
    both = [key for key in left if key is not None and key in right]
    return [[sum(left[k][i] * right[k][j] for k in both) for j in range(q)] for i in range(p)]


def tables(columns: int) -> st.SearchStrategy[dict[int | None, list[int]]]:
    number = st.integers(-(2**20), 2**20)
    keys = st.one_of(st.none(), st.integers(-5, 40))
    return st.dictionaries(keys, st.lists(number, min_size=columns, max_size=columns), max_size=30)


@settings(max_examples=40, deadline=None)
@given(tables(2), tables(3), st.integers(0, 9))
def test_the_shares_add_up_to_the_plain_join(left: Table, right: Table, dummies: int) -> None:
    shape = Shape(("a", "b"), (len(left) + 2, len(right) + 1), (2, 3), dummies)
    shares = join(left, right, shape)
    total = (shares["a"] + shares["b"]).view(np.int64)
    assert total.tolist() == plain(left, right, shape)


def test_several_frames_and_chunks_add_up() -> None:
    left = {k: [k, 1] for k in range(30_000)}
    right = {k: [1, k % 7, k] for k in range(15_000, 50_000)}
    shape = Shape(("a", "b"), (30_000, 35_000), (2, 3), 100)
    shares = join(left, right, shape)
    assert (shares["a"] + shares["b"]).view(np.int64).tolist() == plain(left, right, shape)


def test_rows_beyond_the_declared_bound_change_nothing_that_anybody_sees() -> None:
    left: dict[int | None, list[int]] = {k: [1] for k in range(50)}
    right: dict[int | None, list[int]] = {k: [1] for k in range(10)}
    shape = Shape(("a", "b"), (20, 10), (1, 1), 4)
    shares = join(left, right, shape)
    assert (shares["a"] + shares["b"]).view(np.int64).tolist() == [[10]]


def lengths(left: Table, right: Table) -> dict[tuple[str, str], list[int]]:
    seen: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

    def count(source: str, to: str, frame: bytes) -> bytes:
        seen[source, to].append(len(frame))
        return frame

    join(left, right, Shape(("a", "b"), (100, 80), (1, 2), 10), count)
    return seen


def test_lengths_follow_from_the_shape_alone() -> None:
    assert lengths({}, {}) == lengths({k: [1] for k in range(100)}, {k: [1, 2] for k in range(80)})


def test_the_coordinator_sees_matches_of_rows_and_dummies_and_nothing_of_filters() -> None:
    """A filter is a zero in a column: what the coordinator hears is the same bytes with and without it,
    given the same draws, but for the columns, which differ in those zeros under one mask."""

    def heard(left: Table) -> dict[str, list[bytes]]:
        frames: dict[str, list[bytes]] = {"a": [], "b": []}

        def keep(source: str, to: str, frame: bytes) -> bytes:
            if to == C:
                frames[source].append(frame)
            return frame

        join(left, {k: [5] for k in range(30)}, Shape(("a", "b"), (30, 30), (1, 1), 6), keep)
        return frames

    kept, filtered = heard({k: [1] for k in range(30)}), heard({k: [0] for k in range(30)})
    assert kept["b"] == filtered["b"]
    assert kept["a"][:-1] == filtered["a"][:-1]
    masked = [np.frombuffer(frames["a"][-1], np.uint64) for frames in (kept, filtered)]
    assert (masked[0] - masked[1]).sum() == 30


def test_either_share_is_uniform_without_the_other() -> None:
    """The same rows under 400 sessions: each of a share's 64 bits is one in about half of them; the
    largest deviation of 128 fair coins exceeds 87 with probability below 1e-15."""
    shape = Shape(("a", "b"), (3, 3), (1, 1), 2)
    table: dict[int | None, list[int]] = {1: [3], 2: [5]}
    ones = np.zeros((2, 64), dtype=int)
    for n in range(400):
        shares = join(table, table, shape, seed=str(n))
        for side, name in enumerate("ab"):
            ones[side] += [(int(shares[name][0, 0]) >> bit) & 1 for bit in range(64)]
    assert np.abs(ones - 200).max() < 87


def test_a_member_that_states_another_shape_is_refused() -> None:
    shape, other = (Shape(("a", "b"), (9, 9), (1, 1), dummies) for dummies in (2, 3))
    machines = {
        "a": provider("a", "b", shape, rows({1: [1]}, 1), ""),
        "b": provider("b", "a", other, rows({1: [1]}, 1), ""),
        C: deal(["a", "b"], entropy(C)),
    }
    with pytest.raises(ProtocolError, match="SB-4011"):
        run(machines)


@pytest.mark.parametrize(
    "frame", [b"", b"{", b"[1]", b"\xff", b'[{"members": ["a"]}]', b"[" * 100_000]
)
def test_a_first_frame_of_any_other_form_is_refused(frame: bytes) -> None:
    machine = deal(["a", "b"], entropy(C))
    next(machine)
    with pytest.raises(ProtocolError, match="SB-4010"):
        machine.send(frame)


def test_a_member_that_sends_a_tag_twice_ends_the_join() -> None:
    """Two rows of one tag would show in the slots whose of the peer's rows both match."""

    shape = Shape(("a", "b"), (10, 10), (1, 1), 2)
    width = shape.tag_bytes

    def twice(source: str, to: str, frame: bytes) -> bytes:
        tags = source == "a" and to == C and len(frame) == width * 12
        return frame[:width] * 12 if tags else frame

    with pytest.raises(SandboxError, match="SB-3047"):
        join({1: [1]}, {1: [1]}, shape, twice)
