"""A worker's part of `blind` joins up to the slot at which tags leave.

How long it takes to read rows, to hash their keys and to make tags of them depends on how many there
are. What a member says first depends on none, and leaves before; all else waits for the slot, once for
all joins of a job.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from sandbox.crypto.join import blind, many
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.machine import Machine
from sandbox.crypto.join.pool import Rows
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
    # Heard after rows are read: whoever says it may be late.
    heard = [wire.drive(join) for join, first in zip(joins, leads, strict=True) if not first]
    agreed = [(said if first else heard).pop(0) for first in leads]
    members = [each.fill(rows, os.urandom) for each in agreed]
    hold()
    return members


def _agree(
    shape: Shape, own: str, pairs: Mapping[str, Pair], matching: Sequence[int]
) -> Machine[Agreed]:
    if len(shape.members) > 2:
        return (yield from many.agree(shape, own, pairs, matching, os.urandom))
    (peer,) = {*shape.members} - {own}
    return (yield from blind.agree(shape, own, pairs[peer], matching[0]))
