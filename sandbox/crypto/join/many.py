"""A provider's part of a `blind` join of three to five (JOIN.md; docs/decisions/015).

The result is the member's additive share, modulo 2^64, of every product of the shape: the sum over join
keys of the product of one column of each member that takes part. Columns are shared by nobody; partial
products are, by those whose columns are in them, and every product of a share with a column is one of
two parties, with masks of their own seeds (native/src/shares). Members re-randomise what they end with
by `blind.zero_share`, in all pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sandbox import _native
from sandbox.crypto.join.blind import COUNT_BYTES, SLOT_BYTES
from sandbox.crypto.join.channel import PROTOCOL, SEED_BYTES, Pair, Stream
from sandbox.crypto.join.machine import FRAME_BYTES, Entropy, Machine, Send, receive, send
from sandbox.crypto.join.pool import KEY_BYTES, Pool, Rows
from sandbox.crypto.join.schedule import Partial, Step, partial, steps
from sandbox.crypto.join.shape import TAG_BYTES, WORD_BYTES, Shape
from sandbox.crypto.join.words import Words
from sandbox.crypto.prg import derive_key
from sandbox.errors import ProtocolError, TrustError

WINDOW = 8
"""Messages that the dealer sends before it is told that one was taken."""
TAKEN = b"\x01"


def agree(
    shape: Shape, own: str, pairs: Mapping[str, Pair], matching: Sequence[int], entropy: Entropy
) -> Machine[Agreed]:
    """Agree on a fresh key, and on how many dummies of each of `shape.patterns` match: the first member
    says both.

    It waits for nobody here, and the others send nothing. pairs: with every other member. matching: as
    drawn, the first member's. Raises TrustError SB-3045, ProtocolError SB-4010, SB-4015.
    """
    place = shape.members.index(own)
    phase = "/".join(("products", *shape.members))
    streams = {n: pairs[m].stream(phase) for n, m in enumerate(shape.members) if m != own}
    most = most_matching(shape)
    if place == 0:
        common = entropy(KEY_BYTES)
        counts = [min(count, most) for count in matching]
        said = common + b"".join(count.to_bytes(COUNT_BYTES, "big") for count in counts)
        for stream in streams.values():
            yield from stream.send(said)
        return Agreed(shape, place, streams, common, counts)
    said = bytes((yield from streams[0].receive(KEY_BYTES + COUNT_BYTES * len(shape.patterns))))
    at = range(KEY_BYTES, len(said), COUNT_BYTES)
    counts = [int.from_bytes(said[n : n + COUNT_BYTES], "big") for n in at]
    if any(count > most for count in counts):
        raise ProtocolError("SB-4015", party=shape.members[0])
    return Agreed(shape, place, streams, said[:KEY_BYTES], counts)


@dataclass(frozen=True)
class Agreed:
    """A member that has what all share and the coordinator lacks. streams: with the others, by place;
    common: a key; matching: how many dummies of each pattern match."""

    shape: Shape
    place: int
    streams: Mapping[int, Stream]
    common: bytes = field(repr=False)
    matching: Sequence[int]

    def fill(self, pool: Pool) -> Filled:
        """Return the member with all of its tags. pool: see `pooled`."""
        dummies = [
            _native.expand(_dummies(self.common, pattern), count)
            for pattern, count in zip(self.shape.patterns, self.matching, strict=True)
            if pattern >> self.place & 1
        ]
        # Of all alike, rows and what fills up: how many of these there are must not show.
        pool.tags = _enciphered(self.common, pool.tags)
        pool.admit(dummies)
        return Filled(self.shape, self.place, self.streams, pool)


def pooled(shape: Shape, own: str, pairs: Mapping[str, Pair], rows: Rows, entropy: Entropy) -> Pool:
    """Return a member's rows, hashed: all that takes as long as there are rows. Which tags the hashes
    become is said later, by the first member."""
    place = shape.members.index(own)
    key = tag_key(next(iter(pairs.values())))
    return Pool(rows, key, shape.rows[place], shape.padded[place], entropy)


def tag_key(pair: Pair) -> bytes:
    """Return the key under which all members of a job hash their rows' keys. It is no secret: the key
    under which hashes become tags is."""
    return derive_key(b"", pair.transcript, PROTOCOL, b"hashes")


@dataclass(frozen=True)
class Filled:
    """A member that can send its tags."""

    shape: Shape
    place: int
    streams: Mapping[int, Stream]
    pool: Pool

    def multiply(self, coordinator: str, entropy: Entropy) -> Machine[Words]:
        """Run the join and return this member's share of each of `shape.products`.

        Raises TrustError SB-3045, SB-3047, ProtocolError SB-4010.
        """
        seed = entropy(SEED_BYTES)
        yield from send(coordinator, seed)
        order, tags = self.pool.shuffled(self.shape.tag_bytes, entropy)
        yield from send(coordinator, tags)
        slots = yield from receive(coordinator, SLOT_BYTES * self.shape.padded[self.place])
        try:
            placement = _native.Placement(self.shape.slots, slots, order)
        except _native.PeerError as error:
            raise TrustError("SB-3047", party=coordinator) from error
        party = _Party(self, coordinator, placement, seed)
        return (yield from party.run())


def chunks_in(step: Step) -> int:
    """Return how many chunks a message of a step's products has: no part of it exceeds a frame."""
    widest = max(len(step.left), len(step.right), 0 if step.last else len(step.pairs))
    return max(1, FRAME_BYTES // (WORD_BYTES * _native.SLOTS_PER_CHUNK * widest))


def slots_in(step: Step) -> int:
    """Return how many slots a message of a step's products covers; the last one what is left."""
    return chunks_in(step) * _native.SLOTS_PER_CHUNK


def stretches(step: Step, slots: int) -> list[int]:
    """Return how many slots each message of a step's products covers."""
    size = slots_in(step)
    return [min(size, slots - first) for first in range(0, slots, size)]


def seed_of(seed: bytes, product: int) -> bytes:
    """Return the seed of a join's product number `product`: that block of the member's own stream."""
    blocks = memoryview(_native.expand(seed, product + 1))
    return bytes(blocks[product * SEED_BYTES :])


def most_matching(shape: Shape) -> int:
    """Return how many dummies of one pattern match at most."""
    of_a_member = sum(pattern & 1 for pattern in shape.patterns)
    return shape.dummies // of_a_member


def _enciphered(common: bytes, hashes: Sequence[memoryview]) -> list[memoryview]:
    key = algorithms.AES(derive_key(common, b"", PROTOCOL, b"tags")[:TAG_BYTES])
    cipher = Cipher(key, modes.ECB()).encryptor()  # noqa: S305 - a permutation of distinct blocks.
    return [memoryview(cipher.update(part)) for part in hashes]


def _dummies(common: bytes, pattern: int) -> bytes:
    return derive_key(common, b"", PROTOCOL, b"dummies", bytes([pattern]))[:TAG_BYTES]


class _Party:
    """One member while it multiplies: its own columns at their slots, its shares of partial products."""

    def __init__(
        self, member: Filled, coordinator: str, placement: _native.Placement, seed: bytes
    ) -> None:
        self._shape = shape = member.shape
        self._place = member.place
        self._coordinator = coordinator
        self._streams = member.streams
        self._placement = placement
        self._values = member.pool.values
        self._seed = seed
        self._shares: dict[Partial, Words] = {}
        wanted = [partial(shape, columns) for columns in shape.products]
        self._number = {product: n for n, product in enumerate(wanted)}
        self._answers = np.zeros(len(wanted), np.uint64)

    def run(self) -> Machine[Words]:
        product = 0
        for step in steps(self._shape):
            for holder in step.holders:
                if self._place in (holder, step.member):
                    yield from self._multiply(step, holder, seed_of(self._seed, product))
                product += 1
        return self._answers

    def _multiply(self, step: Step, holder: int, seed: bytes) -> Machine[None]:
        """Run one product of two: what `holder` has of a step's left columns times the member's."""
        first = self._place == holder
        factor = self._left(step) if first else self._own(step.right)
        stream = self._streams[step.member if first else holder]
        if step.last:
            yield from self._sum(step, factor, stream, seed, first=first)
        else:
            yield from self._keep(step, factor, stream, seed, first=first)

    def _left(self, step: Step) -> _native.SlotColumns:
        if len(step.holders) == 1:
            return self._own([column for ((_, column),) in step.left])
        columns = [self._shares[part] for part in step.left]
        return _native.SlotColumns.dense(self._shape.slots, len(columns), _wire(columns))

    def _own(self, columns: Sequence[int]) -> _native.SlotColumns:
        return _native.SlotColumns.placed(self._placement, [self._values[c] for c in columns])

    def _sum(
        self, step: Step, factor: _native.SlotColumns, stream: Stream, seed: bytes, *, first: bool
    ) -> Machine[None]:
        """Add this member's share of a product, summed over all slots, to its answers."""
        left, right = len(step.left), len(step.right)
        theirs = right if first else left
        start = _native.InnerProduct.a if first else _native.InnerProduct.b
        party = start(factor, theirs, seed)
        for slots in stretches(step, self._shape.slots):
            yield from stream.send(memoryview(party.next_message(chunks_in(step))))
            party.absorb((yield from stream.receive(WORD_BYTES * slots * theirs)))
        dealt = None
        if not first:
            dealt = yield from receive(self._coordinator, WORD_BYTES * left * right)
        share = np.frombuffer(memoryview(party.finish(dealt)), np.uint64).reshape(left, right)
        answers = [self._number[step.product(pair)] for pair in step.pairs]
        self._answers[answers] += share[tuple(np.transpose(step.pairs))]

    def _keep(
        self, step: Step, factor: _native.SlotColumns, stream: Stream, seed: bytes, *, first: bool
    ) -> Machine[None]:
        """Add this member's share of a product, slot by slot, to its shares."""
        theirs = len(step.right if first else step.left)
        start = _native.SlotwiseProduct.a if first else _native.SlotwiseProduct.b
        party = start(factor, theirs, step.pairs, seed)
        covered = stretches(step, self._shape.slots)
        at = 0
        for number, slots in enumerate(covered):
            yield from stream.send(memoryview(party.next_message(chunks_in(step))))
            message = yield from stream.receive(WORD_BYTES * slots * theirs)
            dealt = None
            if not first:
                length = WORD_BYTES * slots * len(step.pairs)
                dealt = yield from receive(self._coordinator, length)
                if number + WINDOW < len(covered):
                    yield Send(self._coordinator, TAKEN)
            share = np.frombuffer(memoryview(party.absorb(message, dealt)), np.uint64)
            self._add(step, at, _columns(share, len(step.pairs)))
            at += slots

    def _add(self, step: Step, at: int, share: Words) -> None:
        for pair, column in zip(step.pairs, share, strict=True):
            product = step.product(pair)
            if product not in self._shares:
                self._shares[product] = np.zeros(self._shape.slots, np.uint64)
            self._shares[product][at : at + len(column)] += column


def _wire(columns: Sequence[Words]) -> bytes:
    """Return columns over slots in the order of the wire: a chunk of slots after the other."""
    size = _native.SLOTS_PER_CHUNK
    starts = range(0, len(columns[0]), size)
    return b"".join(column[at : at + size].data for at in starts for column in columns)


def _columns(wire: Words, count: int) -> Words:
    """Return whole chunks in the order of the wire as columns over their slots."""
    size = _native.SLOTS_PER_CHUNK * count
    chunks = [wire[at : at + size].reshape(count, -1) for at in range(0, len(wire), size)]
    return np.concatenate(chunks, axis=1)
