"""Attacks j50–j52: on joins that exceed memory, by whoever wants to see sizes or to exhaust another."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from nodes.psi_rows import Cut, cut_rows
from sandbox import _native
from sandbox.crypto.join import psi
from sandbox.crypto.join.dealer import Room, deal
from sandbox.crypto.join.machine import Machine, Receive, send
from sandbox.crypto.join.shape import TAG_BYTES, Shape, Stage, write_shapes
from sandbox.crypto.join.spilled import SpilledTags
from sandbox.errors import Refusal, TrustError
from sandbox.scratch import scratch_in
from tests.attacks.join.test_dealer import C, draws
from tests.crypto.join.memory import run

SIZES = psi.Sizes(400, 400, False, 64)


def lengths(keys: Sequence[int], folder: Path) -> list[int]:
    """Return how many bytes of keys each bucket of a side puts into the protocol."""
    rows = pa.table({"key0": pa.array(keys, pa.int64())})
    side = Cut(rows.schema, 1, bytes(32), SIZES, scratch_in(folder), 1 << 20, receives=False)
    cut_rows(rows.to_batches(), [side])
    return [len(side.keys(bucket)) for bucket in range(SIZES.buckets)]


@pytest.mark.parametrize("keys", [range(0), range(3), range(100, 500), [5] * 400, range(2000)])
def test_attack_j50_sizes_of_buckets_tell_nothing_of_rows(
    keys: Sequence[int], tmp_path: Path
) -> None:
    """A peer, or who relays, would read off how many keys there are: of each bucket, and so of all."""
    assert lengths(keys, tmp_path) == [TAG_BYTES * SIZES.of_bucket[1]] * SIZES.buckets


def aimed(count: int, width: int = TAG_BYTES) -> bytes:
    """Distinct tags that all fall into one bucket, however many there are; the bytes that are sent."""
    return b"".join(n.to_bytes(4, "little") + b"\xff" * (width - 4) for n in range(count))


def test_attack_j51_tags_that_aim_at_one_bucket_take_no_more_memory_than_one() -> None:
    count = 4000
    spilled = SpilledTags([count, 10], 100, io.BytesIO)
    spilled.add(0, 0, memoryview(aimed(count)))
    spilled.add(1, 0, memoryview(os.urandom(10 * TAG_BYTES)))
    with pytest.raises(_native.PeerError):
        spilled.slots(os.urandom)


def test_attack_j51_members_whose_tags_are_aimed_are_all_that_is_told() -> None:
    shape = Shape(("a", "b"), (4000, 4000), (1, 1), 0, stage=Stage.MATCH)

    def hostile() -> Machine[None]:
        yield from send(C, write_shapes([shape]))
        yield from send(C, aimed(4000, shape.tag_bytes))

    machines: dict[str, Machine[None]] = {
        "a": hostile(),
        "b": hostile(),
        C: deal(["a", "b"], draws(C), Room(8000, bucket_rows=500)),
    }
    with pytest.raises(TrustError, match="SB-3047"):
        run(machines)


def test_attack_j52_more_rows_than_there_is_room_for_are_refused_before_any_is_sent() -> None:
    """Two members may state 2^27 rows and as many dummies each: that would be all memory there is."""
    shape = Shape(("a", "b"), (1 << 27, 1 << 27), (1, 1), 1 << 27)
    dealer = deal(["a", "b"], draws(C), Room(150_000_000))
    assert isinstance(next(dealer), Receive)
    assert isinstance(dealer.send(write_shapes([shape])), Receive)
    with pytest.raises(Refusal, match="SB-1110") as raised:
        dealer.send(write_shapes([shape]))
    assert raised.value.facts == {"rows": 1 << 29, "most": 150_000_000}


def test_attack_j52_what_is_only_multiplied_needs_no_room() -> None:
    shape = Shape(("a", "b"), (1 << 20, 1 << 20), (1, 1), 0, stage=Stage.MULTIPLY)
    dealer = deal(["a", "b"], draws(C), Room(1))
    next(dealer)
    dealer.send(write_shapes([shape]))
    assert isinstance(dealer.send(write_shapes([shape])), Receive)
