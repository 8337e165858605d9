"""A provider's part of a `blind` join of two (JOIN.md): the coordinator matches, and sees pseudonyms.

The result is the member's additive share, modulo 2^64, of X'Y, to be re-randomised by `zero_share`: for
every column of the left member and every column of the right one, the sum over join keys of the product
of their values. Rows carry no filter: one that a statement leaves out has zeros in its columns, so that
what the coordinator matches does not depend on filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sandbox import _native
from sandbox.crypto.join.channel import SEED_BYTES, Pair
from sandbox.crypto.join.keys import KeyHashes
from sandbox.crypto.join.machine import Entropy, Machine, Send, receive, send
from sandbox.crypto.join.shape import TAG_BYTES, WORD_BYTES, Shape
from sandbox.crypto.join.shares import Words
from sandbox.errors import TrustError

SLOT_BYTES = 4
KEY_BYTES = 32
COUNT_BYTES = 4


@dataclass(frozen=True)
class Rows:
    """A side's rows, one per join key. keys: a column for each of the key's; values: shape (columns,
    rows), taken modulo 2^64."""

    keys: Sequence[pa.Array]
    values: Words


def member(
    shape: Shape,
    own: str,
    pair: Pair,
    coordinator: str,
    rows: Rows,
    matching: int,
    entropy: Entropy,
) -> Machine[Words]:
    """Run one join and return this member's share of X'Y, shape (left columns, right columns).

    matching: how many dummies match, 0..shape.dummies; the left member's number counts. Raises
    TrustError SB-3045, SB-3047 and ProtocolError SB-4010 where a message is not what the job fixed.
    """
    side = shape.members.index(own)
    matching = yield from _agree_on_matching(pair, matching, left=side == 0)
    pool = _Pool(rows, shape.rows[side], shape.dummies, pair, min(matching, shape.dummies), entropy)
    yield from send(coordinator, pool.sent)
    slots = yield from receive(coordinator, SLOT_BYTES * shape.padded[side])
    try:
        placement = _native.Placement(shape.slots, slots, pool.order)
    except _native.PeerError as error:
        raise TrustError("SB-3047", party=coordinator) from error
    factor = _native.SlotColumns.placed(placement, [*pool.values])
    share = _left if side == 0 else _right
    words = yield from share(shape, factor, pair, coordinator, entropy)
    return np.frombuffer(memoryview(words), np.uint64).reshape(shape.columns)


def _left(
    shape: Shape, own: _native.SlotColumns, pair: Pair, coordinator: str, entropy: Entropy
) -> Machine[_native.Buffer]:
    """Send the masked columns; what the coordinator returns is part of this member's share."""
    left, right = shape.columns
    masked = _native.MaskedFactor.a(own, right, *_masks(pair))
    yield from _columns(masked, shape, coordinator)
    return masked.finish_a((yield from receive(coordinator, WORD_BYTES * left * right)))


def _right(
    shape: Shape, own: _native.SlotColumns, pair: Pair, coordinator: str, entropy: Entropy
) -> Machine[_native.Buffer]:
    """Send the masked columns and the seed of what blinds the left member's numbers."""
    masked = _native.MaskedFactor.b(own, shape.columns[0], *_masks(pair))
    seed = entropy(SEED_BYTES)
    yield from send(coordinator, seed)
    yield from _columns(masked, shape, coordinator)
    return masked.finish_b(seed)


def _masks(pair: Pair) -> tuple[bytes, bytes]:
    """Return the seeds of both members' masks; the coordinator, who sees what they hide, has neither."""
    return pair.seed("left mask"), pair.seed("right mask")


def _columns(masked: _native.MaskedFactor, shape: Shape, coordinator: str) -> Machine[None]:
    while len(message := masked.next_message(shape.chunks_per_frame)):
        yield Send(coordinator, memoryview(message))


def zero_share(pair: Pair, own: str, outputs: int) -> Words:
    """Return what a member adds to its outputs before its noise: words that cancel with the peer's.

    Without them a dealer that sees a share opened could take its own randomness out of it, and read
    rows off what remains. One word per output, under a key that it never holds.
    """
    negative = own > pair.peer
    words = _native.zero_share(pair.key("zero"), b"outputs", outputs, negative=negative)
    return np.frombuffer(memoryview(words), np.uint64)


def _agree_on_matching(pair: Pair, matching: int, *, left: bool) -> Machine[int]:
    """Return how many dummies match: the left member's number, which the coordinator never sees."""
    stream = pair.stream("matching")
    if left:
        yield from stream.send(matching.to_bytes(COUNT_BYTES, "big"))
        return matching
    return int.from_bytes((yield from stream.receive(COUNT_BYTES)), "big")


class _Pool:
    """A member's rows, dummies and filling, in the random order in which their tags leave.

    A row beyond the declared bound does not take part: whether there was one must not show.
    """

    def __init__(
        self, rows: Rows, bound: int, dummies: int, pair: Pair, matching: int, entropy: Entropy
    ) -> None:
        hashed = KeyHashes(rows.keys, pair.key("tags"))
        kept = np.flatnonzero(hashed.present)[:bound]
        tags = np.frombuffer(memoryview(hashed.tags), np.uint8).reshape(-1, TAG_BYTES)
        self.values = rows.values
        rows.values.flags.writeable = False  # The kernels read in place.
        if len(kept) < len(tags):
            tags, self.values = tags[kept], np.ascontiguousarray(rows.values[:, kept])
            self.values.flags.writeable = False
        shared = _native.expand(pair.key("dummies")[:TAG_BYTES], matching)
        filling = entropy(TAG_BYTES * (bound + dummies - matching - len(tags)))
        everything = b"".join((tags.tobytes(), shared, filling))
        self.order = _native.permutation(entropy(KEY_BYTES), bound + dummies)
        self.sent = memoryview(_native.take(everything, TAG_BYTES, self.order))
