"""A provider's part of a `blind` join of two (JOIN.md): the coordinator matches, and sees pseudonyms.

The result is the member's additive share, modulo 2^64, of X'Y, to be re-randomised by `zero_share`: for
every column of the left member and every column of the right one, the sum over join keys of the product
of their values. Rows carry no filter: one that a statement leaves out has zeros in its columns, so that
what the coordinator matches does not depend on filters.

A member makes the pool of its tags, which takes longer the more rows it has, and goes from `agree` to
`Agreed`, to `Filled`, to its share: what these say, and for how long they work, follows from the shape.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sandbox import _native
from sandbox.crypto.join.channel import SEED_BYTES, Pair
from sandbox.crypto.join.machine import Entropy, Machine, Send, receive, send
from sandbox.crypto.join.pool import KEY_BYTES, Pool, Rows
from sandbox.crypto.join.shape import TAG_BYTES, Shape
from sandbox.crypto.join.verified import MatchingCheck, check_tags, compare
from sandbox.crypto.join.words import Words
from sandbox.errors import TrustError

Slots = NDArray[np.uint32]

SLOT_BYTES = 4
COUNT_BYTES = 4


@dataclass(frozen=True, eq=False)
class Kept:
    """What a member keeps of a matching. slots: where keys lie, and then all else that it sent, so that
    columns take as long to be laid out whatever the number of keys; common: 32 bytes that both members,
    and nobody else, have for this matching."""

    slots: Slots
    common: bytes = field(repr=False)


def agree(shape: Shape, own: str, pair: Pair, matching: int) -> Machine[Agreed]:
    """Agree on how many dummies match, 0..shape.dummies: the left member says its number.

    The left one waits for nobody here, the right one sends nothing. Raises TrustError SB-3045,
    ProtocolError SB-4010.
    """
    stream = pair.stream("matching")
    if own == shape.members[0]:
        yield from stream.send(matching.to_bytes(COUNT_BYTES, "big"))
    else:
        matching = int.from_bytes((yield from stream.receive(COUNT_BYTES)), "big")
    return Agreed(shape, own, pair, min(matching, shape.dummies - shape.check_keys))


@dataclass(frozen=True)
class Agreed:
    """A member that knows how many dummies match, which the coordinator never does."""

    shape: Shape
    own: str
    pair: Pair
    matching: int

    def fill(self, pool: Pool) -> Filled:
        """Return the member with all of its tags. pool: see `pooled`."""
        dummies = [_native.expand(self.pair.key("dummies")[:TAG_BYTES], self.matching)]
        if self.shape.verify:
            dummies.insert(0, check_tags(self.pair))
        pool.admit(dummies)
        return Filled(self.shape, self.own, self.pair, pool)


def pooled(shape: Shape, own: str, pair: Pair, rows: Rows, entropy: Entropy) -> Pool:
    """Return a member's rows, tags made: all that takes as long as there are rows."""
    side = shape.members.index(own)
    return Pool(rows, tag_key(pair), shape.rows[side], shape.padded[side], entropy)


@dataclass(frozen=True)
class Filled:
    """A member that can send its tags. Its machines raise TrustError SB-3047 for slots that are not
    what they must be, in a verified join SB-3049 for slots and products that cannot be right, and
    ProtocolError SB-4010 for messages of another length."""

    shape: Shape
    own: str
    pair: Pair
    pool: Pool

    def multiply(self, coordinator: str, entropy: Entropy) -> Machine[Words]:
        """Run the join and return this member's share of X'Y, shape (left columns, right columns),
        modulo 2^(8 shape.width)."""
        _, _, placement = yield from self._matched(coordinator, entropy)
        factor = _native.SlotColumns.placed(placement, [*self.pool.values])
        words, check = yield from _multiplied(
            self.shape, self.own, self.pair, coordinator, factor, _masks(self.pair), entropy
        )
        yield from _compare_product(self.shape, self.own, self.pair, check, coordinator, entropy)
        return words

    def keep(self, coordinator: str, entropy: Entropy) -> Machine[Kept]:
        """Match alone; return where all of the pool lies, the keys that take part first."""
        order, given, _ = yield from self._matched(coordinator, entropy)
        slots = np.empty(len(order) // SLOT_BYTES, np.uint32)
        slots[np.frombuffer(memoryview(order), np.uint32)] = np.frombuffer(given, np.uint32)
        return Kept(slots, self.pair.key("kept matching"))

    def _matched(
        self, coordinator: str, entropy: Entropy
    ) -> Machine[tuple[_native.Buffer, bytes | memoryview, _native.Placement]]:
        """Send the tags; return their order, the slots that they were given, and what these are, held to
        what can be known of them."""
        order, tags = self.pool.shuffled(self.shape.tag_bytes, entropy)
        yield from send(coordinator, tags)
        # They take as much memory as two columns, and so does what they are of, which only checks need.
        del tags
        if not self.shape.verify:
            self.pool.tags = []
        side = self.shape.members.index(self.own)
        given = yield from receive(coordinator, SLOT_BYTES * self.shape.padded[side])
        placement = _placement(self.shape, given, order, coordinator)
        if self.shape.verify:
            yield from self._verify(coordinator, placement, entropy)
        return order, given, placement

    def _verify(
        self, coordinator: str, placement: _native.Placement, entropy: Entropy
    ) -> Machine[None]:
        """Let the coordinator multiply what shows whether equal tags alone have met."""
        pool, pair, shape = self.pool, self.pair, self.shape.of_matching
        left = self.own == shape.members[0]
        check = MatchingCheck(pair, left=left)
        checks = slice(pool.rows, pool.rows + self.shape.check_keys)
        columns = check.columns(pool.tags, checks)
        columns.flags.writeable = False  # The kernels read in place.
        factor = _native.SlotColumns.placed(placement, [*columns])
        masks = pair.seed("left check mask"), pair.seed("right check mask")
        share, _ = yield from _multiplied(
            shape, self.own, pair, coordinator, factor, masks, entropy
        )
        seen = check.value(share)
        stream, session = pair.stream("verify matching"), pair.key("matching equality")
        yield from compare(stream, session, seen, coordinator, entropy, left=left)


def over_kept(
    shape: Shape,
    own: str,
    pair: Pair,
    coordinator: str,
    common: bytes,
    factor: _native.SlotColumns,
    entropy: Entropy,
) -> Machine[Words]:
    """Return what `Filled.multiply` does, over slots that both members kept: no tag is sent.

    common: as kept; factor: see `placed`. Raises TrustError SB-3300 where the members kept slots of
    different matchings, and else as `Filled`.
    """
    stream, left = pair.stream("kept matching"), own == shape.members[0]
    if left:
        yield from stream.send(common)
    words, check = yield from _multiplied(
        shape, own, pair, coordinator, factor, _masks(pair), entropy
    )
    # Last, for nobody waits on it: without its share the other's says nothing.
    if not left and not hmac.compare_digest((yield from stream.receive(KEY_BYTES)), common):
        raise TrustError("SB-3300", party=pair.peer)
    yield from _compare_product(shape, own, pair, check, coordinator, entropy)
    return words


def placed(shape: Shape, own: str, kept: Kept, values: Words) -> _native.SlotColumns:
    """Return a member's columns over all slots; values: shape (columns, rows), row for row of
    `kept.slots`, and zero in those that they do not reach. Raises TrustError SB-3047 for slots that are
    not what they must be."""
    placement = _placement(shape, kept.slots.data.cast("B").toreadonly(), None, own)
    values.flags.writeable = False  # The kernels read in place.
    return _native.SlotColumns.placed(placement, [*values])


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
    masks: tuple[bytes, bytes],
    entropy: Entropy,
) -> Machine[tuple[Words, bytes]]:
    """Send the masked columns; return a member's share, and of a product that is verified what its peer
    has as well if the coordinator multiplied.

    masks: seeds of both members' masks; the coordinator, who sees what they hide, has neither. What is
    above the result's ring is part of the check alone: who seals a share reduces it.
    """
    left = own == shape.members[0]
    masked = _native.MaskedFactor(
        factor,
        shape.columns[1 if left else 0],
        shape.word_bytes,
        *masks,
        pair.seed("check product") if shape.verify else None,
        left=left,
    )
    # Of what blinds the left member's numbers; of its own it sends nothing.
    seed = b"" if left else entropy(SEED_BYTES)
    yield from send(coordinator, seed)
    while len(message := masked.next_message(shape.chunks_per_frame)):
        yield Send(coordinator, memoryview(message))
    if left:
        dealt = yield from receive(coordinator, shape.dealt_bytes)
        share, check = masked.finish_left(dealt)
    else:
        share, check = masked.finish_right(seed)
    words = np.frombuffer(memoryview(share), np.uint64).reshape(shape.columns)
    return words, bytes(memoryview(check))


def _compare_product(
    shape: Shape, own: str, pair: Pair, check: bytes, coordinator: str, entropy: Entropy
) -> Machine[None]:
    if shape.verify:
        left = own == shape.members[0]
        stream, session = pair.stream("verify product"), pair.key("product equality")
        yield from compare(stream, session, check, coordinator, entropy, left=left)


def _masks(pair: Pair) -> tuple[bytes, bytes]:
    return pair.seed("left mask"), pair.seed("right mask")


def zero_share(pair: Pair, own: str, outputs: int) -> Words:
    """Return what a member adds to its outputs before its noise: words that cancel with the peer's.

    Without them a dealer that sees a share opened could take its own randomness out of it, and read
    rows off what remains. One word per output, under a key that it never holds.
    """
    negative = own > pair.peer
    words = _native.zero_share(pair.key("zero"), b"outputs", outputs, negative=negative)
    return np.frombuffer(memoryview(words), np.uint64)


def tag_key(pair: Pair) -> bytes:
    """Return the key of the tags that two members make of their rows' keys."""
    return pair.key("tags")
