"""How far a join is: phases in order up to the end, of bytes that follow from padded sizes alone."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from sandbox.coordinator.progress import MOST_STATED_BYTES, Progress, Track, Tracks
from sandbox.crypto.join import psi
from sandbox.crypto.join.dealer import deal
from sandbox.crypto.join.legs import JoinPhase, Leg
from sandbox.crypto.join.machine import FRAME_BYTES
from sandbox.crypto.join.shape import (
    MOST_COLUMNS,
    MOST_JOINS,
    MOST_ROWS,
    Shape,
    Stage,
    write_shapes,
)
from tests.crypto.join import test_kept, test_many, test_psi, test_verified
from tests.crypto.join.memory import run
from tests.crypto.join.test_blind import C


def told(tracks: Tracks, seen: list[list[Progress]]) -> Callable[[str, str, bytes], bytes]:
    """Return a wiretap that tells tracks of each frame, and keeps where members are then."""

    def wiretap(source: str, to: str, frame: bytes) -> bytes:
        tracks.carried(source, to, frame)
        seen.append(tracks.now())
        return frame

    return wiretap


def table(full: bool, columns: int) -> dict[int | None, list[int]]:
    return {key: [1] * columns for key in range(40 if full else 1)}


def blind(verify: bool, rows: int = 40) -> Callable[[Tracks, bool, list[list[Progress]]], None]:
    shape = replace(test_verified.SHAPE, verify=verify, rows=(rows, rows))

    def join(tracks: Tracks, full: bool, seen: list[list[Progress]]) -> None:
        test_verified.join(table(full, 2), table(full, 3), shape, told(tracks, seen))  # type: ignore[arg-type]

    return join


def of_three(tracks: Tracks, full: bool, seen: list[list[Progress]]) -> None:
    products = tuple(itertools.product(range(2), range(1), range(2)))
    # So many slots that the dealer, which is eight messages ahead at most, is told that some were taken.
    shape = test_many.shape_of((40_000, 90_000, 90_000), (2, 1, 2), products, 2)
    tables = [table(full, width) for width in shape.columns]
    test_many.join(tables, shape, told(tracks, seen))


def kept(tracks: Tracks, full: bool, seen: list[list[Progress]]) -> None:
    keys = [*range(30 if full else 2)]
    matched = test_kept.kept_by({test_kept.LEFT: keys, test_kept.RIGHT: keys})
    shape = replace(test_kept.SHAPE, stage=Stage.MULTIPLY)
    machines = {
        own: test_kept.over(shape, own, one, np.ones((1, len(takes)), np.int64), b"job")
        for own, (takes, one) in matched.items()
    }
    dealer = {test_kept.DEALER: deal([test_kept.LEFT, test_kept.RIGHT], os.urandom)}
    run(dealer | machines, told(tracks, seen))


def intersection(sizes: psi.Sizes) -> Callable[[Tracks, bool, list[list[Progress]]], None]:
    def join(tracks: Tracks, full: bool, seen: list[list[Progress]]) -> None:
        for member in ("r", "s"):
            tracks.carried(member, C, write_shapes([]))
        keys = [*range(150 if full else 1)]
        test_psi.intersect(keys, keys, sizes, told(tracks, seen))

    return join


P = JoinPhase
FEW = psi.Sizes(200, 170, False)
ONE_BUCKET = psi.Sizes(2000, 170, False)
MALICIOUS = psi.Sizes(200, 170, True)
BUCKETS = psi.Sizes(200, 170, False, 60)
DIRECT = [P.VOLE, P.READING, P.VALUES, P.SHARES]
"""Of sets that go in one frame: as soon as the receiver has said its set, it is complete."""

JOINS = {
    "blind": (blind(verify=False), (), [P.READING, P.MATCHING, P.MULTIPLYING, P.SHARES]),
    "verified": (
        blind(verify=True),
        (),
        [P.READING, P.MATCHING, P.CHECKING, P.MULTIPLYING, P.SHARES],
    ),
    "frames": (
        blind(verify=False, rows=FRAME_BYTES // 4),
        (),
        [P.READING, P.TAGS, P.MATCHING, P.MULTIPLYING, P.SHARES],
    ),
    "three": (of_three, (), [P.READING, P.TAGS, P.MATCHING, P.MULTIPLYING, P.SHARES]),
    "kept": (kept, (), [P.READING, P.MULTIPLYING, P.SHARES]),
    "few": (intersection(FEW), [(FEW, "r", "s")], DIRECT),
    "psi": (intersection(ONE_BUCKET), [(ONE_BUCKET, "r", "s")], DIRECT),
    "malicious": (intersection(MALICIOUS), [(MALICIOUS, "r", "s")], DIRECT),
    "buckets": (intersection(BUCKETS), [(BUCKETS, "r", "s")], None),
}


def seen_of(name: str, monkeypatch: pytest.MonkeyPatch, *, full: bool) -> list[list[Progress]]:
    join, sessions, _ = JOINS[name]
    own = test_kept.DEALER if name == "kept" else C
    step = Track._step

    def exactly(track: Track) -> Leg | None:
        leg = track._leg(track._at)
        assert leg is not None
        assert leg.bytes in (None, track._done)
        return step(track)

    monkeypatch.setattr(Track, "_step", exactly)
    seen: list[list[Progress]] = []
    join(Tracks(own, sessions), full, seen)
    return seen


def phases(ways: Sequence[Progress]) -> list[JoinPhase]:
    return [phase for phase, _ in itertools.groupby(way.phase for way in ways)]


@pytest.mark.parametrize("name", JOINS)
def test_every_member_goes_through_the_phases_in_order_to_the_end(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = seen_of(name, monkeypatch, full=True)
    expected = JOINS[name][2]
    for last in seen[-1]:
        ways = [way for now in seen for way in now if way.party == last.party]
        assert (last.phase, last.moved) == (P.SHARES, last.all)
        assert last.all > 0
        assert [way.moved for way in ways] == sorted(way.moved for way in ways)
        assert all(way.done <= way.total and way.moved <= way.all for way in ways)
        if expected is not None:
            assert phases(ways) == expected
    assert len(seen[-1]) == (3 if name == "three" else 2)
    # Not too early: all but the last frame are needed, which may be one of a pair's comparison.
    assert any(way.phase is not P.SHARES for way in seen[len(seen) * 2 // 3])


@pytest.mark.parametrize("name", JOINS)
def test_progress_is_the_same_however_many_rows_there_are(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = seen_of(name, monkeypatch, full=True)
    monkeypatch.undo()
    assert many == seen_of(name, monkeypatch, full=False)


def test_buckets_go_from_values_to_the_next_ones_vole_and_never_back_to_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = phases([now[0] for now in seen_of("buckets", monkeypatch, full=True)])
    bucket = [P.VOLE, P.VALUES]
    assert found == [P.VOLE, P.READING, P.VALUES, *bucket * (BUCKETS.buckets - 1), P.SHARES]


def test_member_of_whose_way_nothing_is_known_or_that_says_nonsense_is_left_out() -> None:
    tracks = Tracks(C, ())
    tracks.carried("a", C, write_shapes([]))
    tracks.carried("b", C, b"\xff")
    tracks.carried("c", C, write_shapes([Shape(("x", "y"), (1, 1), (1, 1), 0)]))
    for frame in (b"", bytes(100)):
        for source, to in itertools.permutations(("a", "b", "c", C), 2):
            tracks.carried(source, to, frame)
    assert tracks.now() == []


def test_member_that_sends_more_than_it_said_is_never_beyond_the_end() -> None:
    shape = Shape(("a", "b"), (5, 5), (1, 1), 0)
    tracks = Tracks(C, ())
    for member in "ab":
        tracks.carried(member, C, write_shapes([shape]))
    for _ in range(50):
        for source, to in itertools.permutations(("a", "b", C), 2):
            tracks.carried(source, to, bytes(10_000))
    assert all(way.moved <= way.all and way.done <= way.total for way in tracks.now())


@pytest.mark.timeout(30)
def test_member_that_states_the_largest_joins_keeps_the_coordinator_from_nothing_else() -> None:
    """Frames of all joins are carried beside it: message by message, this would take minutes."""
    products = tuple(itertools.islice(itertools.product(range(64), repeat=5), 64))
    rows, columns = (MOST_ROWS,) * 5, (MOST_COLUMNS,) * 5
    shape = Shape(tuple("abcde"), rows, columns, MOST_ROWS, products)
    most = MOST_STATED_BYTES // len(write_shapes([shape]))
    tracks = Tracks(C, ())
    tracks.carried("a", C, write_shapes([shape] * most))
    tracks.carried("b", C, write_shapes([shape] * MOST_JOINS))
    assert [(way.party, way.moved) for way in tracks.now()] == [("a", 0)]
