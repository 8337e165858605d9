"""`blind` of three to five: shares of products for any rows, and what each party sees of them."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.crypto.join import blind, many
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.dealer import deal
from sandbox.crypto.join.machine import Machine, Send
from sandbox.crypto.join.schedule import shared_columns, steps, words
from sandbox.crypto.join.shape import Shape, read_shapes, write_shapes
from sandbox.errors import ProtocolError, SandboxError, TrustError
from tests.crypto.join.memory import Wiretap, run
from tests.crypto.join.test_blind import C, Table, entropy, rows

Products = tuple[tuple[int | None, ...], ...]


def secret(own: str, peer: str) -> bytes:
    """Stands for the agreement of two members' one-time keys."""
    return "".join(sorted((own, peer))).encode().ljust(32, b".")


def pairs_of(own: str, members: Sequence[str], job: bytes = b"job and roster") -> dict[str, Pair]:
    return {m: Pair(secret(own, m), job, own, m) for m in members if m != own}


def provider(
    own: str,
    shape: Shape,
    side: blind.Rows,
    matching: Sequence[int],
    seed: str,
    job: bytes = b"job and roster",
    *,
    rerandomised: bool = True,
) -> Machine[blind.Words]:
    yield Send(C, write_shapes([shape]))
    pairs = pairs_of(own, shape.members, job)
    draws = entropy(seed + own)
    agreed = yield from many.agree(shape, own, pairs, matching, draws)
    pool = many.pooled(shape, own, pairs, side, draws)
    share = yield from agreed.fill(pool).multiply(C, draws)
    for pair in pairs.values() if rerandomised else ():
        share = share + blind.zero_share(pair, own, share.size)
    return share


def join(
    tables: Sequence[Table],
    shape: Shape,
    wiretap: Wiretap | None = None,
    seed: str = "",
    matching: Sequence[int] | None = None,
    job: bytes = b"job and roster",
    *,
    rerandomised: bool = True,
) -> list[blind.Words]:
    dummies = [1] * len(shape.patterns) if matching is None else matching
    machines = {
        own: provider(own, shape, rows(table, width), dummies, seed, job, rerandomised=rerandomised)
        for own, table, width in zip(shape.members, tables, shape.columns, strict=True)
    }
    dealer = {C: deal([*shape.members], entropy(seed + C))}
    found = run(machines | dealer, wiretap)
    return [found[own] for own in shape.members]


def plain(tables: Sequence[Table], shape: Shape) -> list[int]:
    found = []
    for columns in shape.products:
        named = [(t, c) for t, c in zip(tables, columns, strict=True) if c is not None]
        common = set.intersection(*({*table} for table, _ in named)) - {None}
        found.append(sum(math.prod(table[key][c] for table, c in named) for key in common))
    return found


def opened(shares: Sequence[blind.Words]) -> list[int]:
    total = np.sum(shares, axis=0, dtype=np.uint64)
    return [int(value) for value in total.view(np.int64)]


def shape_of(
    rows: Sequence[int], columns: Sequence[int], products: Products, dummies: int = 1
) -> Shape:
    """Return a shape of so many members with room for `dummies` of each pattern."""
    members = tuple("abcde"[: len(rows)])
    each = dummies * (2 ** (len(rows) - 1) - 1)
    return Shape(members, tuple(rows), tuple(columns), each, products)


@st.composite
def joins(draw: st.DrawFn) -> tuple[list[Table], Shape]:
    count = draw(st.integers(3, 5))
    columns = [draw(st.integers(1, 3)) for _ in range(count)]
    keys = st.one_of(st.none(), st.integers(0, 9))
    number = st.integers(-(2**12), 2**12)
    tables: list[Table] = [
        draw(st.dictionaries(keys, st.lists(number, min_size=c, max_size=c), max_size=12))
        for c in columns
    ]
    every = itertools.product(*([None, *range(c)] for c in columns))
    wanted = [p for p in every if len(p) - p.count(None) >= 2]
    products = draw(st.lists(st.sampled_from(wanted), min_size=1, max_size=6, unique=True))
    return tables, shape_of([len(t) + 1 for t in tables], columns, tuple(products))


@settings(max_examples=60, deadline=None)
@given(joins())
def test_the_shares_add_up_to_the_plain_products(made: tuple[list[Table], Shape]) -> None:
    tables, shape = made
    assert opened(join(tables, shape)) == plain(tables, shape)


def test_several_messages_add_up_and_the_dealer_never_runs_far_ahead() -> None:
    """More messages of one product than the dealer's window has room for."""
    columns = (8, 8, 9)
    products = tuple((i, j, 0) for i in range(8) for j in range(8))
    tables: list[Table] = [
        {k: [k % (n + 2) + c for c in range(width)] for k in range(100 * n, 18_000)}
        for n, width in enumerate(columns)
    ]
    shape = shape_of([18_000] * 3, columns, products)
    (step, *_) = (s for s in steps(shape) if len(s.pairs) == 64 and not s.last)
    assert len(many.stretches(step, shape.slots)) > many.WINDOW
    ahead = {"a": 0}
    most = 0

    def count(source: str, to: str, frame: bytes) -> bytes:
        nonlocal most
        if source == C and len(frame) > 8 * 2048:
            ahead["a"] += 1
        elif to == C and frame == many.TAKEN:
            ahead["a"] -= 1
        most = max(most, ahead["a"])
        return frame

    assert opened(join(tables, shape, count)) == plain(tables, shape)
    assert most <= many.WINDOW + 3  # Slots go to each of the three members too.


def test_more_columns_than_a_kernel_takes_go_in_batches() -> None:
    products = tuple((i, j, k) for i in range(12) for j in range(11) for k in range(2))
    tables: list[Table] = [
        {k: [k * c + 1 for c in range(width)] for k in range(n, 20)}
        for n, width in enumerate((12, 11, 13))
    ]
    shape = shape_of([20] * 3, (12, 11, 13), products)
    assert shared_columns(shape) == 132
    assert all(len(s.left) <= 64 and len(s.right) <= 64 for s in steps(shape))
    assert opened(join(tables, shape)) == plain(tables, shape)


def test_only_the_pairs_that_are_asked_for_are_shared_slot_by_slot() -> None:
    every = tuple((i, j, k) for i in range(3) for j in range(3) for k in range(4))
    few = ((0, 0, 0), (0, 0, 3), (2, 1, 2), (None, 1, 3), (1, None, 2))
    shapes = [shape_of([50] * 3, (3, 3, 4), products) for products in (every, few)]
    assert [shared_columns(shape) for shape in shapes] == [9, 2]
    assert words(shapes[1]) < words(shapes[0])


def heard_of(
    tables: Sequence[Table], shape: Shape, **options: object
) -> dict[tuple[str, str], list[bytes]]:
    heard: defaultdict[tuple[str, str], list[bytes]] = defaultdict(list)

    def keep(source: str, to: str, frame: bytes) -> bytes:
        heard[source, to].append(frame)
        return frame

    join(tables, shape, keep, **options)  # type: ignore[arg-type]
    return heard


PRODUCTS: Products = ((0, 0, 0), (0, 1, 0), (None, 1, 0), (0, None, 0))


def test_lengths_follow_from_the_shape_alone() -> None:
    shape = shape_of([60, 50, 40], (1, 2, 1), PRODUCTS, dummies=6)
    full: list[Table] = [{k: [1] * c for k in range(40)} for c in shape.columns]
    seen = [
        {way: [len(f) for f in frames] for way, frames in heard_of(t, shape, matching=m).items()}
        for t, m in (([{}, {}, {}], [0] * 4), (full, [6, 5, 0, 3]))
    ]
    assert seen[0] == seen[1]


def test_predicted_words_are_those_sent() -> None:
    shape = shape_of(
        [300, 200, 100, 50], (2, 3, 1, 2), ((0, 0, 0, 0), (1, 2, 0, 1), (1, 2, 0, None))
    )
    heard = heard_of([{}] * 4, shape)
    moved = sum(len(f) - 16 for way, frames in heard.items() if C not in way for f in frames)
    moved -= 3 * (32 + 4 * len(shape.patterns))  # What the first member tells each of the others.
    dealt = sum(len(f) for way, frames in heard.items() if way[0] == C for f in frames)
    dealt -= 4 * sum(shape.padded)
    assert moved + dealt == 8 * words(shape)


def test_the_dealer_hears_nothing_of_filters() -> None:
    """A filter is a zero in a column: given the same draws, the same bytes with and without it."""
    shape = shape_of([30] * 3, (1, 1, 1), ((0, 0, 0),), dummies=4)

    def heard(value: int) -> list[bytes]:
        tables: list[Table] = [{k: [value] for k in range(30)}, {3: [1]}, {3: [1]}]
        return [f for (_, to), fs in heard_of(tables, shape).items() if to == C for f in fs]

    assert heard(1) == heard(0)


def test_every_pattern_has_its_own_matching_dummies() -> None:
    """What the coordinator counts for each set of members: what they share, and that set's dummies."""
    shape = shape_of([9, 9, 9], (1, 1, 1), ((0, 0, 0),), dummies=7)
    tables: list[Table] = [
        {k: [1] for k in keys} for keys in ((1, 2, 3, 4), (1, 2, 5, 6), (1, 3, 5, 7))
    ]
    matching = [2, 3, 5, 7]  # ab, ac, bc, abc
    heard = heard_of(tables, shape, matching=matching)
    tags = {}
    for own, padded in zip("abc", shape.padded, strict=True):
        width = shape.tag_bytes
        raw = next(f for f in heard[own, C] if len(f) == width * padded)
        tags[own] = {raw[at : at + width] for at in range(0, len(raw), width)}
    everything = set().union(*tags.values())
    counted = [
        sum({own for own in "abc" if tag in tags[own]} == set(pattern) for tag in everything)
        for pattern in ("ab", "ac", "bc", "abc")
    ]  # fmt: skip
    assert counted == [1 + 2, 1 + 3, 1 + 5, 1 + 7]


@pytest.mark.parametrize("rerandomised", [True, False])
def test_any_share_is_uniform_without_the_others(rerandomised: bool) -> None:
    """The same rows under 300 sessions: each of a share's 64 bits is one in about half of them; of 384
    fair coins none deviates by more than 75 but with probability below 1e-15. Once re-randomised, so
    is the share of a product that a member takes no part in."""
    last = 0 if not rerandomised else None
    shape = shape_of([2, 2, 2], (1, 2, 1), ((0, 0, 0), (0, 1, last)))
    tables: list[Table] = [{1: [3] * c, 2: [5] * c} for c in shape.columns]
    ones = np.zeros((3, 2, 64), dtype=int)
    for n in range(300):
        shares = join(tables, shape, seed=str(n), job=str(n).encode(), rerandomised=rerandomised)
        for side, share in enumerate(shares):
            for product, value in enumerate(share):
                ones[side, product] += [(int(value) >> bit) & 1 for bit in range(64)]
    assert np.abs(ones - 150).max() < 75


def test_two_sessions_of_the_same_rows_share_no_bytes() -> None:
    shape = shape_of([20] * 3, (1, 2, 1), PRODUCTS)
    table: list[Table] = [{k: [1] * c for k in range(20)} for c in shape.columns]

    def blocks(seed: str, job: bytes) -> set[bytes]:
        heard = heard_of(table, shape, seed=seed, job=job)
        for own in shape.members:
            heard[own, C].pop(0)  # The shape, which is the same.
        frames = [f for fs in heard.values() for f in fs]
        return {f[at : at + 16] for f in frames for at in range(0, len(f) - 15, 16)}

    assert not blocks("", b"first") & blocks("other", b"second")


@pytest.mark.parametrize("slots", ["twice", "outside"])
def test_a_dealer_that_gives_a_slot_twice_or_none_is_refused(slots: str) -> None:
    shape = shape_of([5] * 3, (1, 1, 1), ((0, 0, 0),))

    def lie(source: str, to: str, frame: bytes) -> bytes:
        if source != C or to != "b" or len(frame) != 4 * shape.padded[1]:
            return frame
        return frame[:4] * shape.padded[1] if slots == "twice" else b"\xff" * len(frame)

    with pytest.raises(TrustError, match="SB-3047"):
        join([{1: [1]}] * 3, shape, lie)


def test_a_dealer_whose_corrections_are_of_another_shape_is_refused() -> None:
    shape = shape_of([5] * 3, (1, 1, 1), ((0, 0, 0),))

    def longer(source: str, to: str, frame: bytes) -> bytes:
        return frame + bytes(8) if source == C and len(frame) == 8 * shape.slots else frame

    with pytest.raises(ProtocolError, match="SB-4010"):
        join([{1: [1]}] * 3, shape, longer)


def test_a_member_that_states_other_products_is_refused() -> None:
    shapes = [shape_of([5] * 3, (1, 1, 1), p) for p in (((0, 0, 0),), ((0, 0, None),))]
    machines = {
        own: provider(own, shapes[own == "b"], rows({1: [1]}, 1), [1] * 4, "") for own in "abc"
    }
    with pytest.raises(ProtocolError, match="SB-4011"):
        run({**machines, C: deal([*"abc"], entropy(C))})


def test_a_first_member_that_asks_for_more_dummies_than_there_are_is_refused() -> None:
    """They would take the place of filling: the coordinator could see how many rows there are."""
    shape = shape_of([5] * 3, (1, 1, 1), ((0, 0, 0),), dummies=3)
    stream = pairs_of("a", "ab")["b"].stream("products/a/b/c")
    said = stream.send(bytes(32) + (4).to_bytes(4, "big") * 4)
    sealed = next(said)
    assert isinstance(sealed, Send)
    machine = many.agree(shape, "b", pairs_of("b", "abc"), [0] * 4, entropy("b"))
    next(machine)
    with pytest.raises(ProtocolError, match="SB-4015"):
        machine.send(bytes(sealed.payload))


@pytest.mark.parametrize(
    "products",
    [(), ((0, None, None),), ((0, 0, 1),), ((0, 0),), ((0, 0, 0), (0, 0, 0)), ((0, 0, -1),),
     ((0, 0, True),)],
)  # fmt: skip
def test_products_of_no_shape_are_refused(products: Products) -> None:
    shape = Shape(("a", "b", "c"), (1, 1, 1), (1, 1, 1), 3, products)
    with pytest.raises(SandboxError, match="SB-4010"):
        read_shapes(write_shapes([shape]), "a")


def test_a_shape_survives_its_frame() -> None:
    shape = shape_of(
        [1, 2, 3, 4, 5], (1, 2, 1, 2, 1), ((0, 1, 0, None, 0), (0, 0, None, None, None))
    )
    assert read_shapes(write_shapes([shape]), "a") == [shape]
