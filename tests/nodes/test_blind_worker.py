"""A worker's part of `blind` joins: what takes as long as there are keys comes before the slot."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nodes import blind_worker
from sandbox.crypto.join import blind, many, pool
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.machine import Machine, Send, drive
from sandbox.crypto.join.pool import Pool, Rows
from sandbox.crypto.join.shape import Shape, patterns

TWO = [Shape(("a", "b"), (8, 8), (1, 1), 4), Shape(("a", "c"), (8, 8), (1, 1), 4)]
THREE = [
    Shape(("a", "b", "d"), (8, 8, 8), (1, 1, 1), 3, ((0, 0, 0),)),
    Shape(("a", "c", "d"), (8, 8, 8), (1, 1, 1), 3, ((0, 0, 0),)),
]
LAST = [Shape(("a", "d"), (8, 8), (1, 1), 4), Shape(("b", "d"), (8, 8), (1, 1), 4)]


def pair(own: str, peer: str) -> Pair:
    return Pair("".join(sorted((own, peer))).encode().ljust(32), b"job and roster", own, peer)


def agreeing(shape: Shape, own: str) -> Machine[Any]:
    if len(shape.members) == 2:
        (peer,) = {*shape.members} - {own}
        return blind.agree(shape, own, pair(own, peer), 2)
    pairs = {peer: pair(own, peer) for peer in shape.members if peer != own}
    return many.agree(shape, own, pairs, [1] * 4, os.urandom)


class Wire:
    """Writes down what is said and heard; what others say first is there already."""

    def __init__(self, acts: list[str], own: str, shapes: list[Shape]) -> None:
        self._acts = acts
        self._frames: defaultdict[str, list[bytes]] = defaultdict(list)
        for shape in shapes:
            first = shape.members[0]
            for step in agreeing(shape, first) if first != own else ():
                assert isinstance(step, Send)
                if step.party == own:
                    self._frames[first].append(bytes(step.payload))

    def drive(self, machine: Machine[Any]) -> Any:
        def hear(party: str) -> bytes:
            self._acts.append("hear")
            return self._frames[party].pop(0)

        return drive(machine, lambda _: self._acts.append("say"), hear)


@pytest.mark.parametrize(
    ("own", "shapes", "first", "then"),
    [
        ("a", TWO, ["say"] * 2, []),
        ("d", LAST, [], ["hear"] * 2),
        ("a", THREE, ["say"] * 4, []),
        ("d", THREE, [], ["hear"] * 2),
    ],
)
def test_rows_of_all_joins_are_hashed_before_the_slot_and_what_others_say_is_taken_after_it(
    monkeypatch: pytest.MonkeyPatch,
    own: str,
    shapes: list[Shape],
    first: list[str],
    then: list[str],
) -> None:
    """Else the coordinator could time how many keys a side has, however much its size is padded: by when
    tags leave, or by whether they do as soon as it lets through what they wait for."""
    acts: list[str] = []

    def making(*arguments: Any) -> Pool:
        acts.append("fill")
        return Pool(*arguments)

    def hashing(columns: Any, key: bytes) -> Any:
        acts.append("hash")
        return hashes(columns, key)

    def read() -> Rows:
        acts.append("read")
        return Rows([pa.array([1, 2, 3], pa.int64())], np.ones((1, 3), np.uint64))

    hashes = pool.KeyHashes
    monkeypatch.setattr(pool, "KeyHashes", hashing)
    monkeypatch.setattr(blind, "Pool", making)
    monkeypatch.setattr(many, "Pool", making)
    request = {"own": own, "matching": [[1] * len(patterns(len(s.members))) for s in shapes]}
    peers = {peer for shape in shapes for peer in shape.members} - {own}
    wire: Any = Wire(acts, own, shapes)
    members = blind_worker.filled(
        request,
        wire,
        {peer: pair(own, peer) for peer in peers},
        shapes,
        read,
        lambda: acts.append("hold"),
    )
    assert acts == [*first, "read", *["fill", "hash"] * 2, "hold", *then]
    sent = [bytes(member.pool.shuffled(16, os.urandom)[1]) for member in members]
    assert [len(tags) for tags in sent] == [16 * shape.padded[-1] for shape in shapes]
    assert len(set(sent)) == 2
    # Reading a value for a dummy takes as long as for a row, since there is one.
    for member, shape in zip(members, shapes, strict=True):
        assert member.pool.values.tolist() == [[1] * 3 + [0] * (shape.padded[-1] - 3)]
