"""The coordinator's part of a blind join: it matches tags, hands out slots, multiplies masked columns.

It sees how many tags each member sends (padded sizes), which pseudonyms match (with the members' common
dummies among them), and columns under masks that it has no key for. It sees no key, no value and no
filtered count, and what it returns can shift a result, never choose a mask.

It multiplies slot by slot and needs no matching for that, so that it keeps none that members prepared.
"""

from __future__ import annotations

from collections.abc import Sequence

from sandbox import _native
from sandbox.crypto.join.channel import SEED_BYTES
from sandbox.crypto.join.machine import Entropy, Machine, Receive, receive, send
from sandbox.crypto.join.manydealer import deal_products
from sandbox.crypto.join.shape import TAG_BYTES, Shape, Stage, read_shapes
from sandbox.errors import ProtocolError, TrustError


def deal(members: Sequence[str], entropy: Entropy) -> Machine[None]:
    """Run every join of one job among `members`.

    Raises ProtocolError SB-4011 unless all members state the same shapes, SB-4010 for messages of
    another length, TrustError SB-3047 for a member that repeats a tag.
    """
    stated: dict[str, list[Shape]] = {}
    for member in members:
        stated[member] = read_shapes((yield Receive(member)), member)
    for shape in _agreed(stated):
        yield from _run_one(shape, entropy)


def _agreed(stated: dict[str, list[Shape]]) -> list[Shape]:
    """Return all joins in the order that every member runs its own."""
    shapes = sorted({shape for own in stated.values() for shape in own}, key=lambda s: s.members)
    for member, own in stated.items():
        if own != [shape for shape in shapes if member in shape.members]:
            raise ProtocolError("SB-4011")
    if any(member not in stated for shape in shapes for member in shape.members):
        raise ProtocolError("SB-4011")
    return shapes


def _run_one(shape: Shape, entropy: Entropy) -> Machine[None]:
    if len(shape.members) == 2:
        if shape.stage is not Stage.MULTIPLY:
            yield from _match(shape, entropy)
        if shape.stage is not Stage.MATCH:
            yield from _multiply(shape)
        return
    seeds = []
    for member in shape.members:
        seeds.append(bytes((yield from receive(member, SEED_BYTES))))
    yield from _match(shape, entropy)
    yield from deal_products(shape, seeds)


def _match(shape: Shape, entropy: Entropy) -> Machine[None]:
    """Give each tag a slot, equal ones the same, and tell every member its own."""
    tags: list[bytes | memoryview] = []
    for member, rows in zip(shape.members, shape.padded, strict=True):
        tags.append((yield from receive(member, TAG_BYTES * rows)))
    try:
        slots = _native.match_tags(tags, entropy(32))
    except _native.PeerError as error:
        # A tag that its sender repeats.
        raise TrustError("SB-3047", party=", ".join(shape.members)) from error
    for member, own in zip(shape.members, slots, strict=True):
        yield from send(member, memoryview(own))


def _multiply(shape: Shape) -> Machine[None]:
    """Multiply columns under masks that only the members know, blinded by the right one for the left."""
    left, right = shape.members
    seed = yield from receive(right, SEED_BYTES)
    p, q = shape.columns
    product = _native.Evaluator(shape.slots, p, q, shape.width)
    step = shape.chunks_per_frame * _native.SLOTS_PER_CHUNK
    for first in range(0, shape.slots, step):
        words = shape.width * min(step, shape.slots - first)
        ours = yield from receive(left, words * shape.columns[0])
        theirs = yield from receive(right, words * shape.columns[1])
        product.absorb(ours, theirs)
    yield from send(left, memoryview(product.finish(seed)))
