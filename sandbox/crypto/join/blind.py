"""A provider's part of a `blind` join of two (JOIN.md): the coordinator matches, and sees pseudonyms.

The result is the member's additive share, modulo 2^64, of X'Y, to be re-randomised by `zero_share`: for
every column of the left member and every column of the right one, the sum over join keys of the product
of their values. Rows carry no filter: one that a statement leaves out has zeros in its columns, so that
what the coordinator matches does not depend on filters.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sandbox import _native
from sandbox.crypto.join.channel import SEED_BYTES, Pair
from sandbox.crypto.join.keys import KeyHashes
from sandbox.crypto.join.machine import Entropy, Machine, Send, receive, send
from sandbox.crypto.join.shape import TAG_BYTES, WORD_BYTES, Shape
from sandbox.crypto.join.words import Words
from sandbox.errors import TrustError

Slots = NDArray[np.uint32]

SLOT_BYTES = 4
KEY_BYTES = 32
COUNT_BYTES = 4


@dataclass(frozen=True)
class Rows:
    """A side's rows, one per join key. keys: a column for each of the key's; values: shape (columns,
    rows), taken modulo 2^64; hashed: by key, what has been hashed before it is asked for."""

    keys: Sequence[pa.Array | pa.ChunkedArray]
    values: Words
    hashed: Mapping[bytes, KeyHashes] = field(default_factory=dict, repr=False)

    def hashes(self, key: bytes) -> KeyHashes:
        """Return the rows' keys hashed under `key`."""
        return self.hashed[key] if key in self.hashed else KeyHashes(self.keys, key)


@dataclass(frozen=True, eq=False)
class Kept:
    """What a member keeps of a matching. slots: where keys lie; common: 32 bytes that both members, and
    nobody else, have for this matching."""

    slots: Slots
    common: bytes = field(repr=False)


def member(
    shape: Shape,
    own: str,
    pair: Pair,
    coordinator: str,
    rows: Rows,
    matching: int,
    entropy: Entropy,
) -> Machine[Words]:
    """Run one join and return this member's share of X'Y, shape (left columns, right columns), modulo
    2^(8 shape.width).

    matching: how many dummies match, 0..shape.dummies; the left member's number counts. Raises
    TrustError SB-3045, SB-3047 and ProtocolError SB-4010 where a message is not what the job fixed.
    """
    pool, slots = yield from _matched(shape, own, pair, coordinator, rows, matching, entropy)
    placement = _placement(shape, slots, pool.order, coordinator)
    factor = _native.SlotColumns.placed(placement, [*pool.values])
    return (yield from _multiplied(shape, own, pair, coordinator, factor, entropy))


def prepare(
    shape: Shape,
    own: str,
    pair: Pair,
    coordinator: str,
    keys: Sequence[pa.Array],
    matching: int,
    entropy: Entropy,
) -> Machine[tuple[NDArray[np.intp], Kept]]:
    """Match keys (none twice); return the places of those that take part, and where they lie, to be
    kept. Raises as `member`."""
    places = np.arange(len(keys[0]), dtype=np.uint64)
    rows = Rows(keys, places.reshape(1, -1))
    pool, sent = yield from _matched(shape, own, pair, coordinator, rows, matching, entropy)
    _placement(shape, sent, pool.order, coordinator)  # Holds the slots to what they must be.
    slots = np.empty(len(pool.order) // SLOT_BYTES, np.uint32)
    slots[np.frombuffer(memoryview(pool.order), np.uint32)] = np.frombuffer(sent, np.uint32)
    taking_part = pool.values[0].astype(np.intp)
    return taking_part, Kept(slots[: len(taking_part)].copy(), pair.key("kept matching"))


def over_kept(
    shape: Shape,
    own: str,
    pair: Pair,
    coordinator: str,
    common: bytes,
    factor: _native.SlotColumns,
    entropy: Entropy,
) -> Machine[Words]:
    """Return what `member` returns, over slots that both members kept: no tag is sent.

    common: as kept; factor: see `placed`. Raises TrustError SB-3300 where the members kept slots of
    different matchings, and else as `member`.
    """
    stream, left = pair.stream("kept matching"), own == shape.members[0]
    if left:
        yield from stream.send(common)
    words = yield from _multiplied(shape, own, pair, coordinator, factor, entropy)
    # Last, for nobody waits on it: without its share the other's says nothing.
    if not left and not hmac.compare_digest((yield from stream.receive(KEY_BYTES)), common):
        raise TrustError("SB-3300", party=pair.peer)
    return words


def placed(shape: Shape, own: str, kept: Kept, values: Words) -> _native.SlotColumns:
    """Return a member's columns over all slots; values: shape (columns, rows), row for row of
    `kept.slots`. Raises TrustError SB-3047 for slots that are not what they must be."""
    placement = _placement(shape, kept.slots.data.cast("B").toreadonly(), None, own)
    values.flags.writeable = False  # The kernels read in place.
    return _native.SlotColumns.placed(placement, [*values])


def _matched(
    shape: Shape,
    own: str,
    pair: Pair,
    coordinator: str,
    rows: Rows,
    matching: int,
    entropy: Entropy,
) -> Machine[tuple[_Pool, bytes | memoryview]]:
    """Send the tags and return the slots that they were given."""
    side = shape.members.index(own)
    matching = yield from _agree_on_matching(pair, matching, left=side == 0)
    pool = _Pool(rows, shape.rows[side], shape.dummies, pair, min(matching, shape.dummies), entropy)
    yield from send(coordinator, pool.sent)
    return pool, (yield from receive(coordinator, SLOT_BYTES * shape.padded[side]))


def _placement(
    shape: Shape, slots: bytes | memoryview, order: _native.Buffer | None, party: str
) -> _native.Placement:
    """Hold slots to lie among all, none of them twice; party: who said them."""
    try:
        return _native.Placement(shape.slots, slots, order)
    except _native.PeerError as error:
        raise TrustError("SB-3047", party=party) from error


def _multiplied(
    shape: Shape,
    own: str,
    pair: Pair,
    coordinator: str,
    factor: _native.SlotColumns,
    entropy: Entropy,
) -> Machine[Words]:
    share = _left if own == shape.members[0] else _right
    words = yield from share(shape, factor, pair, coordinator, entropy)
    return np.frombuffer(memoryview(words), np.uint64).reshape(shape.columns)


def _left(
    shape: Shape, own: _native.SlotColumns, pair: Pair, coordinator: str, entropy: Entropy
) -> Machine[_native.Buffer]:
    """Send the masked columns; what the coordinator returns is part of this member's share."""
    left, right = shape.columns
    masked = _native.MaskedFactor.a(own, right, shape.width, *_masks(pair))
    yield from _columns(masked, shape, coordinator)
    return masked.finish_a((yield from receive(coordinator, WORD_BYTES * left * right)))


def _right(
    shape: Shape, own: _native.SlotColumns, pair: Pair, coordinator: str, entropy: Entropy
) -> Machine[_native.Buffer]:
    """Send the masked columns and the seed of what blinds the left member's numbers."""
    masked = _native.MaskedFactor.b(own, shape.columns[0], shape.width, *_masks(pair))
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


def tag_key(pair: Pair) -> bytes:
    """Return the key of the tags that two members make of their rows' keys."""
    return pair.key("tags")


class _Pool:
    """A member's rows, dummies and filling, in the random order in which their tags leave.

    A row beyond the declared bound does not take part: whether there was one must not show.
    """

    def __init__(
        self, rows: Rows, bound: int, dummies: int, pair: Pair, matching: int, entropy: Entropy
    ) -> None:
        hashed = rows.hashes(tag_key(pair))
        kept = np.flatnonzero(hashed.present)[:bound]
        tags, self.values = hashed.tags, rows.values
        if len(kept) < len(hashed.present):
            tags = _native.take([tags], TAG_BYTES, kept.astype(np.uint32).tobytes())
            self.values = np.ascontiguousarray(rows.values[:, kept])
        self.values.flags.writeable = False  # The kernels read in place.
        shared = _native.expand(pair.key("dummies")[:TAG_BYTES], matching)
        # From a seed: to ask the system for all of it would take longer the fewer rows there are.
        filling = _native.expand(entropy(TAG_BYTES), bound + dummies - matching - len(kept))
        self.order = _native.permutation(entropy(KEY_BYTES), bound + dummies)
        self.sent = memoryview(_native.take([tags, shared, filling], TAG_BYTES, self.order))
