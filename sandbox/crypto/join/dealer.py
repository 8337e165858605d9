"""The coordinator's part of a blind join: it matches tags, hands out slots, multiplies masked columns.

It sees how many tags each member sends (padded sizes), which pseudonyms match (with the members' common
dummies among them), and columns under masks that it has no key for. It sees no key, no value and no
filtered count, and what it returns can shift a result, never choose a mask.

It multiplies slot by slot and needs no matching for that, so that it keeps none that members prepared.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox import _native
from sandbox.crypto.join.channel import SEED_BYTES
from sandbox.crypto.join.machine import FRAME_BYTES, Entropy, Machine, Receive, receive, send
from sandbox.crypto.join.manydealer import deal_products
from sandbox.crypto.join.shape import Shape, Stage, read_shapes
from sandbox.crypto.join.spilled import SpilledTags
from sandbox.errors import ProtocolError, Refusal, TrustError
from sandbox.scratch import Scratch

KEY_BYTES = 32
BUCKET_ROWS = 1 << 23
"""Of all members, that are matched at once; more of them go to disk first."""


@dataclass(frozen=True)
class Room:
    """What one join may take of the coordinator. rows: the most that its members may send in all,
    dummies included; scratch: where tags go if there are more of them than `bucket_rows`."""

    rows: int
    scratch: Scratch = io.BytesIO
    bucket_rows: int = BUCKET_ROWS

    def require(self, rows: int) -> None:
        """Raise Refusal SB-1110 for more rows than there is room for."""
        if rows > self.rows:
            raise Refusal("SB-1110", rows=rows, most=self.rows)


UNBOUNDED = Room(1 << 32)
"""As many as slots have numbers."""


def deal(members: Sequence[str], entropy: Entropy, room: Room = UNBOUNDED) -> Machine[None]:
    """Run every join of one job among `members`.

    Raises Refusal SB-1110 before any tag is sent if there are more than there is room for, ProtocolError
    SB-4011 unless all members state the same shapes, SB-4010 for messages of
    another length, TrustError SB-3047 for a member that repeats a tag.
    """
    stated: dict[str, list[Shape]] = {}
    for member in members:
        stated[member] = read_shapes((yield Receive(member)), member)
    shapes = _agreed(stated)
    for shape in shapes:
        if shape.stage is not Stage.MULTIPLY:
            room.require(shape.slots)
    for shape in shapes:
        yield from _run_one(shape, entropy, room)


def _agreed(stated: dict[str, list[Shape]]) -> list[Shape]:
    """Return all joins in the order that every member runs its own."""
    shapes = sorted({shape for own in stated.values() for shape in own}, key=lambda s: s.members)
    for member, own in stated.items():
        if own != [shape for shape in shapes if member in shape.members]:
            raise ProtocolError("SB-4011")
    if any(member not in stated for shape in shapes for member in shape.members):
        raise ProtocolError("SB-4011")
    return shapes


def _run_one(shape: Shape, entropy: Entropy, room: Room) -> Machine[None]:
    if len(shape.members) == 2:
        if shape.stage is not Stage.MULTIPLY:
            yield from _match(shape, entropy, room)
            if shape.verify:
                yield from _multiply(shape.of_matching)
        if shape.stage is not Stage.MATCH:
            yield from _multiply(shape)
        return
    seeds = []
    for member in shape.members:
        seeds.append(bytes((yield from receive(member, SEED_BYTES))))
    yield from _match(shape, entropy, room)
    yield from deal_products(shape, seeds)


def _match(shape: Shape, entropy: Entropy, room: Room) -> Machine[None]:
    """Give each tag a slot, equal ones the same, and tell every member its own."""
    matched = _slots if shape.slots <= room.bucket_rows else _slots_by_bucket
    try:
        slots = yield from matched(shape, entropy, room)
    except _native.PeerError as error:
        # A tag that its sender repeats, or tags that no hash is.
        raise TrustError("SB-3047", party=", ".join(shape.members)) from error
    for member, own in zip(shape.members, slots, strict=True):
        yield from send(member, own)


def _slots(shape: Shape, entropy: Entropy, _: Room) -> Machine[list[memoryview]]:
    tags: list[_native.Buffer] = []
    for member, rows in zip(shape.members, shape.padded, strict=True):
        tags.append((yield from _tags(member, rows, shape.tag_bytes)))
    return [memoryview(own) for own in _native.match_tags(tags, entropy(KEY_BYTES))]


def _slots_by_bucket(shape: Shape, entropy: Entropy, room: Room) -> Machine[list[memoryview]]:
    """Write all tags down as they come, and match them bucket by bucket."""
    spilled = SpilledTags(shape.padded, room.bucket_rows, room.scratch)
    for number, (member, rows) in enumerate(zip(shape.members, shape.padded, strict=True)):
        for first in range(0, rows, FRAME_BYTES):
            # Whole frames, however long a tag is.
            some = min(FRAME_BYTES, rows - first)
            tags = yield from _tags(member, some, shape.tag_bytes)
            spilled.add(number, first, memoryview(tags))
    return [own.data.cast("B") for own in spilled.slots(entropy)]


def _tags(member: str, rows: int, width: int) -> Machine[_native.Buffer]:
    sent = yield from receive(member, width * rows)
    return _native.lengthen_tags(sent, width)


def _multiply(shape: Shape) -> Machine[None]:
    """Multiply columns under masks that only the members know, blinded by the right one for the left."""
    left, right = shape.members
    seed = yield from receive(right, SEED_BYTES)
    p, q = shape.columns
    product = _native.Evaluator(shape.slots, p, q, shape.word_bytes, verified=shape.verify)
    step = shape.chunks_per_frame * _native.SLOTS_PER_CHUNK
    for first in range(0, shape.slots, step):
        words = shape.word_bytes * min(step, shape.slots - first)
        ours = yield from receive(left, words * shape.sent_columns[0])
        theirs = yield from receive(right, words * shape.sent_columns[1])
        product.absorb(ours, theirs)
    yield from send(left, memoryview(product.finish(seed)))
