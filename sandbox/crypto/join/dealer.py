"""The coordinator's part of a blind join: it matches tags, hands out slots, deals randomness.

It sees how many tags each member sends (padded sizes), which pseudonyms match (with the members' common
dummies among them), and seeds of masks. It sees no key, no value and no filtered count, and what it
deals can shift a result, never choose a mask.
"""

from __future__ import annotations

from collections.abc import Sequence

from sandbox import _native
from sandbox.crypto.join.machine import Entropy, Machine, Receive, receive, send
from sandbox.crypto.join.manydealer import deal_products
from sandbox.crypto.join.shape import SEED_BYTES, TAG_BYTES, Shape, read_shapes
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
        yield from _deal_one(shape, entropy)


def _agreed(stated: dict[str, list[Shape]]) -> list[Shape]:
    """Return all joins in the order that every member runs its own."""
    shapes = sorted({shape for own in stated.values() for shape in own}, key=lambda s: s.members)
    for member, own in stated.items():
        if own != [shape for shape in shapes if member in shape.members]:
            raise ProtocolError("SB-4011")
    if any(member not in stated for shape in shapes for member in shape.members):
        raise ProtocolError("SB-4011")
    return shapes


def _deal_one(shape: Shape, entropy: Entropy) -> Machine[None]:
    seeds: list[bytes] = []
    tags: list[bytes] = []
    for member, rows in zip(shape.members, shape.padded, strict=True):
        seeds.append((yield from receive(member, SEED_BYTES)))
        tags.append((yield from receive(member, TAG_BYTES * rows)))
    try:
        slots = _native.match_tags(tags, entropy(32))
    except _native.PeerError as error:
        # A tag that its sender repeats.
        raise TrustError("SB-3047", party=", ".join(shape.members)) from error
    del tags
    for member, own in zip(shape.members, slots, strict=True):
        yield from send(member, memoryview(own))
    if len(shape.members) > 2:
        yield from deal_products(shape, seeds)
        return
    left, right = shape.columns
    correction = _native.deal_inner(seeds[0], seeds[1], shape.slots, left, right)
    yield from send(shape.members[1], memoryview(correction))
