"""`psi` by an independent, slow model (docs/protocols.md, section 3), which writes psi.json when run.

Either party alone speaks to a kernel: tests/native/test_psi.py has it do so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.vectors.native import blake3, okvs, vole
from tests.vectors.native.blocks import (
    Draws,
    aes,
    from_bytes,
    hashed,
    multiply,
    stream,
    to_bytes,
)  # fmt: skip
from tests.vectors.native.ot import digest
from tests.vectors.native.vole import numbers

H_B: Final = 0x243F6A8885A308D313198A2E03707344
H_O: Final = 0xA4093822299F31D0082EFA98EC4E6C89
VERSION: Final = b"fedsandbox psi v1: rr22, aes hashes, ideal cipher if malicious"
OKVS_VERSION: Final = b"fedsandbox okvs v1: clustered, weight 3"


@dataclass(frozen=True)
class Sizes:
    """What is public: the bounds of either set, or what its buckets are padded to."""

    receiver: int
    sender: int
    malicious: bool
    buckets: int = 1

    @property
    def encoding(self) -> okvs.Shape:
        return okvs.shape(self.receiver, self.buckets)

    @property
    def vole(self) -> vole.Shape:
        return vole.Shape(self.encoding.length, self.malicious)

    @property
    def value_bytes(self) -> int:
        if self.malicious:
            return 16
        both = [(self.buckets * keys - 1).bit_length() for keys in (self.receiver, self.sender)]
        return min(16, -(-(40 + sum(both)) // 8))

    def digest(self) -> bytes:
        where = self.encoding
        shape = numbers(self.receiver, where.bins, where.capacity, where.sparse, where.dense)
        sizes = numbers(self.receiver, self.sender, self.value_bytes, self.buckets)
        encoding = blake3.plain(OKVS_VERSION + shape)
        return blake3.plain(VERSION + self.vole.digest() + sizes + encoding)


def bucket_keys(keys: int, buckets: int) -> int:
    """What a bucket is padded to."""
    if buckets == 1:
        return keys
    return okvs.capacity(keys, buckets, 41)


def commitment(session: bytes, opening: bytes) -> bytes:
    return blake3.keyed(session, b"fedsandbox psi mask v1" + opening)


def compared(decoded: int, key: int, mask: int | None) -> int:
    """What is compared of a key, from d."""
    if mask is None:
        return hashed(H_O, [decoded])[0]
    return aes(decoded ^ mask, [key])[0] ^ key


class Receiver:
    """Who learns which of its keys the sender has."""

    def __init__(
        self, sizes: Sizes, session: bytes, keys: Sequence[int], noise: Draws, own: Draws
    ) -> None:
        self.sizes, self.session, self.keys = sizes, session, keys
        self._own = own
        self._vole = vole.Receiver(sizes.vole, session, noise)
        self._committed = b""
        self._half = self._seed = 0

    def request(self, offer: bytes) -> bytes:
        """Message 2."""
        return self._vole.request(offer)

    def challenge(self, answer: bytes) -> bytes:
        """Message 4, empty if semi-honest."""
        if self.sizes.malicious:
            answer, self._committed = answer[:-32], answer[-32:]
        return self._vole.finish(answer)

    def masked(self, proof: bytes) -> bytes:
        """Message 6."""
        if self.sizes.malicious and not self._vole.verify(proof):
            raise ValueError("the proof fails")
        targets = hashed(H_B, self.keys)
        encoding = None
        while encoding is None:
            self._seed = self._own.block()
            encoding = okvs.encode(self.sizes.encoding, self._seed, self.keys, targets)
        masked = [a ^ p for a, p in zip(self._vole.a, encoding, strict=True)]
        if not self.sizes.malicious:
            return to_bytes([self._seed, *masked])
        self._half = self._own.block()
        return to_bytes([self._seed, *masked, self._half])

    def values(self, message: bytes) -> list[int]:
        """What is compared, key by key, once message 7 is there."""
        mask = None
        if self.sizes.malicious:
            opening = message[-32:]
            if commitment(self.session, opening) != self._committed:
                raise ValueError("the opening is another")
            mask = self._half ^ from_bytes(opening)[0]
        where = self.sizes.encoding
        decoded = [okvs.decode(where, self._seed, key, self._vole.c) for key in self.keys]
        return [compared(d, key, mask) for d, key in zip(decoded, self.keys, strict=True)]

    def matches(self, message: bytes) -> list[int]:
        """The keys that the sender has too."""
        width = self.sizes.value_bytes
        sent = {message[width * i : width * (i + 1)] for i in range(self.sizes.sender)}
        values = to_bytes(self.values(message))
        return [key for i, key in enumerate(self.keys) if values[16 * i : 16 * i + width] in sent]


class Sender:
    """Who learns nothing."""

    def __init__(
        self, sizes: Sizes, session: bytes, keys: Sequence[int], noise: Draws, own: Draws
    ) -> None:
        self.sizes, self.session, self.keys = sizes, session, keys
        self._own = own
        self._opening = to_bytes(own.blocks(2))
        self._vole = vole.Sender(sizes.vole, session, noise)
        self.offer = self._vole.offer

    def answer(self, request: bytes) -> bytes:
        """Message 3."""
        answer = self._vole.answer(request)
        if not self.sizes.malicious:
            return answer
        return answer + commitment(self.session, self._opening)

    def prove(self, challenge: bytes) -> bytes:
        """Message 5."""
        return self._vole.prove(challenge) if self.sizes.malicious else b""

    def values(self, message: bytes) -> list[bytes]:
        """What message 7 holds of the own keys, in their order."""
        seed, *masked = from_bytes(message)
        mask = None
        if self.sizes.malicious:
            mask = masked.pop() ^ from_bytes(self._opening)[0]
        delta = self._vole.delta
        moved = [b ^ multiply(m, delta) for b, m in zip(self._vole.b, masked, strict=True)]
        values = []
        for key, target in zip(self.keys, hashed(H_B, self.keys), strict=True):
            decoded = okvs.decode(self.sizes.encoding, seed, key, moved)
            value = compared(decoded ^ multiply(delta, target), key, mask)
            values.append(to_bytes([value])[: self.sizes.value_bytes])
        return values

    def last(self, message: bytes) -> bytes:
        """Message 7, in an order that says nothing: that of values and what fills them up."""
        width, missing = self.sizes.value_bytes, self.sizes.sender - len(self.keys)
        padding = [to_bytes([block])[:width] for block in self._own.blocks(missing)]
        values = sorted(self.values(message) + padding)
        return b"".join(values) + (self._opening if self.sizes.malicious else b"")


# Vectors.

SESSION: Final = bytes([7] * 32)
SECRETS: Final = (bytes([1] * 32), bytes([2] * 32))
SIZES: Final = (
    Sizes(10, 12, False), Sizes(10, 12, True), Sizes(900, 20, True), Sizes(900, 20, False, 4),
)  # fmt: skip
BUCKETS: Final = ((1000, 1), (1000, 2), (2**20, 2), (2**23, 4), (10**8, 32))


def seeds(secret: bytes) -> tuple[int, Draws]:
    """A kernel's own randomness: what its part of the VOLE draws from, and the rest."""
    first = (
        int.from_bytes(blake3.derive_key(f"fedsandbox psi {name} v1", secret)[:16], "little")
        for name in ("vole", "own")
    )
    noise, own = first
    return noise, Draws(own)


def parties(
    sizes: Sizes, ours: Sequence[int], theirs: Sequence[int], session: bytes = SESSION
) -> tuple[Receiver, Sender]:
    """Both as the kernels are with SECRETS."""
    (r_noise, r_own), (s_noise, s_own) = map(seeds, SECRETS)
    return (
        Receiver(sizes, session, ours, vole.randomness(session, b"R", r_noise), r_own),
        Sender(sizes, session, theirs, vole.randomness(session, b"S", s_noise), s_own),
    )


def keys(sizes: Sizes) -> tuple[list[int], list[int]]:
    """Of either party; three are both's."""
    ours = stream(1, sizes.receiver - 1)
    return ours, ours[:3] + stream(2, sizes.sender - 5)


def run(sizes: Sizes) -> dict[str, Any]:
    """Both parties, with the kernels' draws."""
    ours, theirs = keys(sizes)
    receiver, sender = parties(sizes, ours, theirs)
    request = receiver.request(sender.offer)
    answer = sender.answer(request)
    challenge = receiver.challenge(answer)
    proof = sender.prove(challenge)
    masked = receiver.masked(proof)
    last = sender.last(masked)
    if receiver.matches(last) != ours[:3]:
        raise AssertionError("another intersection")
    messages = (sender.offer, request, answer, challenge, proof)
    return {
        "receiver": sizes.receiver,
        "sender": sizes.sender,
        "malicious": sizes.malicious,
        "buckets": sizes.buckets,
        "digest": sizes.digest().hex(),
        "messages": [digest(message) for message in messages],
        "masked": masked.hex() if sizes.receiver < 100 else digest(masked),
        "values": [value.hex() for value in sender.values(masked)],
        "compared": to_bytes(receiver.values(last)[:10]).hex(),
    }


def vectors() -> dict[str, Any]:
    padded = [
        {"keys": keys, "buckets": buckets, "padded": bucket_keys(keys, buckets)}
        for keys, buckets in BUCKETS
    ]
    return {"runs": [run(sizes) for sizes in SIZES], "buckets": padded}


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(json.dumps(vectors(), indent=1) + "\n")
