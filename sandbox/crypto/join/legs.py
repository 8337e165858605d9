"""A join as whoever carries its frames sees it: who sends how many bytes in which phase, leg by leg.

All of it follows from padded sizes, which the coordinator knows: progress tells nothing of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sandbox import _native
from sandbox.crypto.join.blind import SLOT_BYTES
from sandbox.crypto.join.channel import SEED_BYTES, TAG_BYTES
from sandbox.crypto.join.machine import FRAME_BYTES
from sandbox.crypto.join.many import TAKEN, WINDOW, slots_in
from sandbox.crypto.join.psi import Sizes
from sandbox.crypto.join.schedule import steps
from sandbox.crypto.join.shape import WORD_BYTES, Shape, Stage

BLOCK_BYTES, OPENING_BYTES, STATISTICAL_BITS = 16, 32, 40
MOST_DIRECT, EXTENSION_BYTES, GROUPS = 1024, 4128, 32
"""Of a PSI, as the kernels have them: VOLE entries that each take an OT, what an extension of them has
beside its corrections, and of how many groups it has one for each entry."""


class JoinPhase(StrEnum):
    """What a member of a join does."""

    READING = "reading"
    """Its rows; it hashes their keys, and waits for its slot."""
    TAGS = "tags"
    MATCHING = "matching"
    CHECKING = "checking"
    """What the coordinator has matched."""
    MULTIPLYING = "multiplying"
    VOLE = "vole"
    """Base OTs, and the correlation that a PSI rests on."""
    ENCODED = "encoded"
    """The receiver's set as an OKVS."""
    VALUES = "values"
    """The sender's, one for each of its keys."""
    SHARES = "shares"
    """All frames have come: it counts, adds noise, seals, or writes what matched."""


@dataclass(frozen=True)
class Leg:
    """What one party sends to another, None: to anyone, in one phase; bytes: how many, None where it
    ends with an answer. before: what its sender does until the first of them."""

    phase: JoinPhase
    source: str
    to: str | None
    bytes: int | None
    before: JoinPhase | None = None


def legs_of_shapes(shapes: Sequence[Shape], member: str, coordinator: str) -> list[Leg]:
    """Return a member's legs of the blind joins that it has stated to the coordinator."""
    return [leg for shape in shapes for leg in _blind(shape, member, coordinator)]


def legs_of_sessions(sessions: Sequence[tuple[Sizes, str, str]], member: str) -> list[Leg]:
    """Return a member's legs of a job's intersections: sizes, receiver and sender of each, in order."""
    return [leg for session in sessions if member in session[1:] for leg in _psi(*session)]


def _blind(shape: Shape, member: str, coordinator: str) -> Iterator[Leg]:
    place = shape.members.index(member)
    seed = 0 if place == 0 and len(shape.members) == 2 else SEED_BYTES
    own = shape.padded[place]
    if shape.stage is not Stage.MULTIPLY:
        tags = shape.tag_bytes * own + (seed if len(shape.members) > 2 else 0)
        yield Leg(JoinPhase.TAGS, member, coordinator, tags, JoinPhase.READING)
        yield Leg(JoinPhase.MATCHING, coordinator, member, SLOT_BYTES * own)
    if len(shape.members) > 2:
        yield Leg(JoinPhase.MULTIPLYING, member, None, _many_bytes(shape, place))
        return
    if shape.verify and shape.stage is not Stage.MULTIPLY:
        yield from _multiplied(JoinPhase.CHECKING, shape.of_matching, place, coordinator)
    if shape.stage is not Stage.MATCH:
        yield from _multiplied(JoinPhase.MULTIPLYING, shape, place, coordinator)


def _multiplied(phase: JoinPhase, shape: Shape, place: int, coordinator: str) -> Iterator[Leg]:
    """Yield the legs of one multiplication of two members' columns by the coordinator."""
    member = shape.members[place]
    columns = shape.word_bytes * shape.slots * shape.sent_columns[place]
    reading = JoinPhase.READING if shape.stage is Stage.MULTIPLY else None
    if place == 0:
        yield Leg(phase, member, coordinator, columns, reading)
        yield Leg(phase, coordinator, member, shape.dealt_bytes)
    else:
        yield Leg(phase, member, coordinator, SEED_BYTES + columns, reading)


def _many_bytes(shape: Shape, place: int) -> int:
    """Return what a member of three and more sends to its peers, sealed, and to the dealer."""
    total = 0
    for step in steps(shape):
        for holder in step.holders:
            if place not in (holder, step.member):
                continue
            row = WORD_BYTES * len(step.left if place == holder else step.right)
            # Not message by message: a member may state as many as it likes before any is sent.
            size = slots_in(step)
            whole, rest = divmod(shape.slots, size)
            total += whole * sealed(row * size) + sealed(row * rest)
            if place == step.member and not step.last:
                total += len(TAKEN) * max(0, whole + (rest > 0) - WINDOW)
    return total


def _psi(sizes: Sizes, receiver: str, sender: str) -> Iterator[Leg]:
    receives, sends = sizes.of_bucket
    entries = _native.okvs_length(receives, sizes.buckets)
    # Of so few, the sender has nothing to say between the receiver's two messages.
    silent = entries <= MOST_DIRECT and not sizes.malicious
    extension = sealed(EXTENSION_BYTES + BLOCK_BYTES * GROUPS * entries) if silent else None
    masked = BLOCK_BYTES * (1 + entries)
    values = _value_bytes(sizes) * sends
    if sizes.malicious:
        masked, values = masked + BLOCK_BYTES, values + OPENING_BYTES
    for bucket in range(sizes.buckets):
        yield Leg(JoinPhase.VOLE, sender, receiver, None)
        yield Leg(JoinPhase.VOLE, receiver, sender, extension)
        if not silent:
            yield Leg(JoinPhase.VOLE, sender, receiver, None)
        if sizes.malicious:
            yield Leg(JoinPhase.VOLE, receiver, sender, None)
            yield Leg(JoinPhase.VOLE, sender, receiver, None)
        # All rows are read for the first bucket; then the receiver encodes, and expands its VOLE. A
        # semi-honest one sends that in parts: a few GCM tags more, which no leg counts.
        before = JoinPhase.VOLE if bucket else JoinPhase.READING
        yield Leg(JoinPhase.ENCODED, receiver, sender, sealed(masked), before)
        yield Leg(JoinPhase.VALUES, sender, receiver, sealed(values))


def _value_bytes(sizes: Sizes) -> int:
    """Return how much of a sender's value is sent; the kernels know the same."""
    if sizes.malicious:
        return BLOCK_BYTES
    bits = [(sizes.buckets * keys - 1).bit_length() for keys in sizes.of_bucket]
    return min(BLOCK_BYTES, -(-(STATISTICAL_BITS + sum(bits)) // 8))


def sealed(length: int) -> int:
    """Return how many bytes a message of a stream takes."""
    return length + TAG_BYTES * -(-length // FRAME_BYTES)
