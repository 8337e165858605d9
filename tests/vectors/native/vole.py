"""Silent VOLE by an independent, slow model (docs/protocols.md, section 3), which writes vole.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.vectors.native import blake3, ot
from tests.vectors.native.blocks import Draws, from_bytes, multiply, polynomial, to_bytes, total
from tests.vectors.native.code import compress
from tests.vectors.native.ot import digest, hexed

NOISE: Final = 800
MOST_DIRECT: Final = 1024
REPLY: Final = 32
VERSION: Final = (
    b"fedsandbox vole v1: endemic ristretto, softspoken k=4, regular ggm t=800, "
    b"block-accumulate 3x32 d=0.105"
)


def numbers(*values: int) -> bytes:
    """Integers in 8 bytes, little-endian."""
    return b"".join(value.to_bytes(8, "little") for value in values)


@dataclass(frozen=True)
class Shape:
    """What follows from the number of entries."""

    entries: int
    malicious: bool

    @property
    def chunks(self) -> int:
        if self.entries <= MOST_DIRECT:
            return 0
        return max(1, -(-(self.entries - NOISE) // 204_000))

    @property
    def leaves(self) -> int:
        if not self.chunks:
            return 0
        least = -(-(self.entries + NOISE * (self.chunks - 1)) // (400 * self.chunks))
        return max(12, least + least % 2)

    @property
    def chunk(self) -> int:
        return 400 * self.leaves

    @property
    def trees(self) -> int:
        return NOISE * self.chunks

    @property
    def depth(self) -> int:
        return ot.depth(self.leaves) if self.chunks else 0

    @property
    def direct(self) -> int:
        return (NOISE if self.chunks else self.entries) + self.malicious

    @property
    def tiles(self) -> int:
        return self.direct + -(-self.trees * self.depth // 128)

    def digest(self) -> bytes:
        sizes = numbers(self.entries, self.malicious, self.chunks, self.leaves)
        return blake3.plain(VERSION + sizes)


def randomness(session: bytes, party: bytes, seed: int) -> Draws:
    """Where a kernel's draws come from: its own affair, but vectors need them."""
    text = b"fedsandbox vole randomness v1" + party + seed.to_bytes(16, "little")
    return Draws(ot.first_block(session, text))


def gathered(rows: Sequence[int], entries: int) -> list[int]:
    """An entry of each 128 rows."""
    return [polynomial(2, rows[128 * i : 128 * (i + 1)]) for i in range(entries)]


def combined(point: int, entries: Sequence[int]) -> int:
    """Σ X^(i+1) entry_i."""
    return polynomial(point, [0, *entries])


def proof(session: bytes, value: int) -> bytes:
    return blake3.keyed(session, b"fedsandbox vole check v1" + value.to_bytes(16, "little"))


def together(shape: Shape, chunks: Sequence[Sequence[int]]) -> list[int]:
    """The outputs of all chunks in their order."""
    out = [entry for chunk in chunks for entry in chunk[: shape.chunk - NOISE]]
    return (out + list(chunks[-1][shape.chunk - NOISE :]))[: shape.entries]


class Sender:
    """Who ends with Δ and B."""

    def __init__(self, shape: Shape, session: bytes, draws: Draws) -> None:
        self.shape, self._session = shape, session
        self.delta = draws.block()
        self._chooser = ot.Chooser(session, self.delta, draws)
        self.offer = self._chooser.offer
        self.b: list[int] = []
        self._sums: list[tuple[int, int]] = []
        self._totals: list[int] = []
        self._reserved: list[int] = []
        self._spare = 0
        if shape.chunks:
            self._grow(draws)

    def _grow(self, draws: Draws) -> None:
        trees, chunks = ot.Trees(self._session, "vole"), []
        for _ in range(self.shape.chunks):
            entries = []
            for root in draws.blocks(NOISE):
                leaves, sums = trees.expand(root, self.shape.leaves)
                self._sums += sums
                self._totals.append(total(leaves))
                entries += leaves
            chunks.append(compress(entries))
            self._reserved += chunks[-1][-NOISE:]
        self.b = together(self.shape, chunks)

    def answer(self, request: bytes) -> bytes:
        shape = self.shape
        strings = self._chooser.finish(request[:REPLY])
        extension = request[REPLY:]
        q = ot.correlate(
            self._session, self.delta, strings, shape.tiles, shape.malicious, extension
        )
        direct, paths = gathered(q, shape.direct), q[128 * shape.direct :]
        paths = paths[: len(self._sums)]
        left = ot.pair_hash(self._session, paths)
        right = ot.pair_hash(self._session, [row ^ self.delta for row in paths])
        answer = [
            total ^ mask
            for sums, masks in zip(self._sums, zip(left, right, strict=True), strict=True)
            for total, mask in zip(sums, masks, strict=True)
        ]
        noise = [*direct[:NOISE], *self._reserved][: shape.trees]
        answer += [total ^ b for total, b in zip(self._totals, noise, strict=True)]
        if not shape.chunks:
            self.b = direct[: shape.entries]
        self._spare = direct[-1]
        return to_bytes(answer)

    def prove(self, challenge: bytes) -> bytes:
        point, change = from_bytes(challenge)
        value = self._spare ^ multiply(change, self.delta) ^ combined(point, self.b)
        return proof(self._session, value)


class Receiver:
    """Who ends with A and C."""

    def __init__(self, shape: Shape, session: bytes, draws: Draws) -> None:
        self.shape, self._session, self._draws = shape, session, draws
        self.a: list[int] = []
        self.c: list[int] = []
        self._expected = b""

    def request(self, offer: bytes) -> bytes:
        shape = self.shape
        keys, reply = ot.send(self._session, offer, self._draws)
        words = self._draws.blocks(shape.trees)
        self._places = [(word >> 64) * shape.leaves >> 64 for word in words]
        direct = self._draws.blocks(shape.direct)
        paths = 0
        for tree, place in enumerate(self._places):
            for level in range(shape.depth):
                avoided = ~place >> (shape.depth - 1 - level) & 1
                paths |= avoided << tree * shape.depth + level
        tiles = shape.tiles - shape.direct
        choices = direct + from_bytes(paths.to_bytes(16 * tiles, "little"))
        t, extension = ot.choose(self._session, keys, choices, shape.malicious, self._draws)
        self._direct = list(zip(direct, gathered(t, shape.direct), strict=True))
        self._rows = t[128 * shape.direct :][: shape.trees * shape.depth]
        return reply + extension

    def finish(self, answer: bytes) -> bytes:
        """The challenge, empty without checks."""
        shape, blocks = self.shape, from_bytes(answer)
        entries = self._direct
        point = self._draws.block()
        if shape.chunks:
            self._open(blocks)
        else:
            self.a, self.c = map(list, zip(*entries[: shape.entries], strict=True))
        if not shape.malicious:
            return b""
        spare_a, spare_c = entries[-1]
        self._expected = proof(self._session, spare_c ^ combined(point, self.c))
        return to_bytes([point, spare_a ^ combined(point, self.a)])

    def _open(self, blocks: Sequence[int]) -> None:
        shape, trees = self.shape, ot.Trees(self._session, "vole")
        strings = ot.pair_hash(self._session, self._rows)
        noise, of_a, of_c = self._direct[:NOISE], [], []
        corrections = blocks[2 * len(self._rows) :]
        for first in range(0, shape.trees, NOISE):
            a, c = [0] * (2 * shape.chunk), []
            for i, (y, y_c) in enumerate(noise):
                tree, place = first + i, self._places[first + i]
                known = []
                for level in range(shape.depth):
                    at = shape.depth * tree + level
                    avoided = ~place >> (shape.depth - 1 - level) & 1
                    known.append(blocks[2 * at + avoided] ^ strings[at])
                leaves = trees.puncture(place, known, shape.leaves)
                leaves[place] = corrections[tree] ^ y_c ^ total(leaves)
                a[shape.leaves * i + place] = y
                c += leaves
            of_a.append(compress(a))
            of_c.append(compress(c))
            noise = list(zip(of_a[-1][-NOISE:], of_c[-1][-NOISE:], strict=True))
        self.a, self.c = together(shape, of_a), together(shape, of_c)

    def verify(self, answer: bytes) -> bool:
        return answer == self._expected


SESSION: Final = bytes([1] * 32)
SEED_S, SEED_R = 11, 12
SIZES: Final = ((3, False), (700, True), (1025, True), (9601, False), (204_801, False))


def sampled(entries: Sequence[int]) -> list[str]:
    """About twenty of them and the last one."""
    return hexed([*entries[:: max(1, len(entries) // 20)], entries[-1]])


def run(entries: int, malicious: bool) -> dict[str, Any]:
    """Both parties, with the kernels' draws."""
    shape = Shape(entries, malicious)
    sender = Sender(shape, SESSION, randomness(SESSION, b"S", SEED_S))
    receiver = Receiver(shape, SESSION, randomness(SESSION, b"R", SEED_R))
    messages = [sender.offer, receiver.request(sender.offer)]
    messages.append(sender.answer(messages[-1]))
    challenge = receiver.finish(messages[-1])
    if malicious:
        messages += [challenge, sender.prove(challenge)]
        if not receiver.verify(messages[-1]):
            raise AssertionError("the proof fails")
    for i in range(0, entries, max(1, entries // 1000)):
        if receiver.c[i] != multiply(receiver.a[i], sender.delta) ^ sender.b[i]:
            raise AssertionError("an entry is not correlated")
    return {
        "entries": entries,
        "malicious": malicious,
        "digest": shape.digest().hex(),
        "messages": [digest(message) for message in messages],
        "delta": to_bytes([sender.delta]).hex(),
        "a": sampled(receiver.a),
        "b": sampled(sender.b),
        "c": sampled(receiver.c),
    }


def vectors() -> list[dict[str, Any]]:
    return [run(entries, malicious) for entries, malicious in SIZES]


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(json.dumps(vectors(), indent=1) + "\n")
