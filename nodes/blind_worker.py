"""A worker's part of `blind` joins up to the slot at which tags leave.

How long it takes to read rows, to hash their keys and to make tags of them depends on how many there
are. What a member says first depends on none, and leaves before; all else waits for the slot, once for
all joins of a job. What others say first is taken after it: whoever carries it may do so when he likes,
and what follows it must not show whether rows were read by then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from sandbox.crypto.join import blind, many
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.machine import Machine
from sandbox.crypto.join.pool import Pool, Rows
from sandbox.crypto.join.shape import Shape
from sandbox.disposable import Header

if TYPE_CHECKING:
    from nodes.join_worker import Wire

Agreed = blind.Agreed | many.Agreed
Filled = blind.Filled | many.Filled


def filled(
    request: Header,
    wire: Wire,
    pairs: Mapping[str, Pair],
    shapes: Sequence[Shape],
    read: Callable[[], Rows],
    hold: Callable[[], None],
) -> list[Filled]:
    """Return this member in each of its joins, tags made, once they may leave.

    read: this side's rows. hold: waits until it shows no longer how long all before took.
    """
    own = request["own"]
    joins = [
        _agree(shape, own, pairs, matching)
        for shape, matching in zip(shapes, request["matching"], strict=True)
    ]
    leads = [shape.members[0] == own for shape in shapes]
    said = [wire.drive(join) for join, first in zip(joins, leads, strict=True) if first]
    rows = read().padded(max(shape.padded[shape.members.index(own)] for shape in shapes))
    pools = [_pooled(shape, own, pairs, rows) for shape in shapes]
    hold()
    heard = [wire.drive(join) for join, first in zip(joins, leads, strict=True) if not first]
    agreed = [(said if first else heard).pop(0) for first in leads]
    return [each.fill(pool) for each, pool in zip(agreed, pools, strict=True)]


def hash_keys(
    pairs: Mapping[str, Pair], peers: Sequence[str], shapes: Sequence[Shape]
) -> list[bytes]:
    """Return the keys under which rows' keys will be hashed."""
    if any(len(shape.members) > 2 for shape in shapes):
        return [many.tag_key(pairs[peers[0]])]
    return [blind.tag_key(pairs[peer]) for peer in peers]


def _agree(
    shape: Shape, own: str, pairs: Mapping[str, Pair], matching: Sequence[int]
) -> Machine[Agreed]:
    if len(shape.members) > 2:
        return (yield from many.agree(shape, own, pairs, matching, os.urandom))
    return (yield from blind.agree(shape, own, _other(shape, own, pairs), matching[0]))


def _pooled(shape: Shape, own: str, pairs: Mapping[str, Pair], rows: Rows) -> Pool:
    if len(shape.members) > 2:
        return many.pooled(shape, own, pairs, rows, os.urandom)
    return blind.pooled(shape, own, _other(shape, own, pairs), rows, os.urandom)


def _other(shape: Shape, own: str, pairs: Mapping[str, Pair]) -> Pair:
    (peer,) = {*shape.members} - {own}
    return pairs[peer]
