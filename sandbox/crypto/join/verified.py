"""How the members of a `blind` join of two check what the coordinator did (docs/decisions/019).

They check slots by two products of words that follow from tags, and a product by one more column
(SPDZ2k: Cramer and others 2018, eprint 2018/482). What they compare is the same at both wherever the
coordinator did its part; whether it is, is all that either or the coordinator learns of it
(native/src/equality.rs).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sandbox import _native
from sandbox.crypto.join.channel import SEED_BYTES, Pair, Stream
from sandbox.crypto.join.machine import Entropy, Machine
from sandbox.crypto.join.shape import CHECK_KEYS, MATCHING_WIDTH, TAG_BYTES
from sandbox.crypto.join.words import Words
from sandbox.errors import TrustError

SCALAR_BYTES, POINT_BYTES, PROOF_BYTES = 64, 32, 32


def check_tags(pair: Pair) -> _native.Buffer:
    """Return the tags that both members add, and that must match."""
    return _native.expand(pair.key("check keys")[:TAG_BYTES], CHECK_KEYS)


class MatchingCheck:
    """What a member needs to check the slots of its tags: every pair of different tags in one slot, and
    every check key alone in its slot, moves a sum that both members know."""

    def __init__(self, pair: Pair, *, left: bool) -> None:
        key = algorithms.AES(pair.key("check words")[:SEED_BYTES])
        self._cipher = Cipher(key, modes.ECB())  # noqa: S305 - a PRF of distinct blocks, no encryption.
        self._left = left
        h, g = self._words([memoryview(check_tags(pair))])
        self._expected = int(np.sum(h * g, dtype=np.uint64))

    def columns(self, tags: Sequence[memoryview], checks: slice) -> Words:
        """Return a member's two columns, a word for each tag; checks: which of them are check tags."""
        h, g = self._words(tags)
        if not self._left:
            return np.array([g, np.ones_like(g)])
        # A pair of equal tags adds h g - h g = 0; one of the check keys h g.
        against = np.negative(h * g)
        against[checks] = 0
        return np.array([h, against])

    def value(self, share: Words) -> bytes:
        """Return what the peer has as well if slots are what tags say; share: of columns' products."""
        own = int(share[0, 0]) + int(share[1, 1])
        value = own if self._left else self._expected - own
        return (value % (1 << 8 * MATCHING_WIDTH)).to_bytes(MATCHING_WIDTH, "little")

    def _words(self, tags: Sequence[memoryview]) -> tuple[Words, Words]:
        """Return two words for each tag, which nobody but the members can tell from random ones."""
        cipher, at = self._cipher.encryptor(), 0
        made = bytearray(sum(map(len, tags)) + TAG_BYTES)  # A block more, as update_into asks for.
        for part in tags:
            at += cipher.update_into(memoryview(part), memoryview(made)[at:])
        words = np.frombuffer(made, "<u8", at // 8).reshape(-1, 2)
        return words[:, 0], words[:, 1]


def compare(
    stream: Stream, session: bytes, value: bytes, coordinator: str, entropy: Entropy, *, left: bool
) -> Machine[None]:
    """Go on only if the peer has the same value, of which it learns nothing else; raise TrustError
    SB-3049 if it has not. session: 32 bytes that both have, for this value alone."""
    party, point = _native.Equality.start(session, value, entropy(SCALAR_BYTES))
    yield from stream.send(memoryview(point))
    try:
        own, peers = party.finish((yield from stream.receive(POINT_BYTES)), left=left)
    except _native.PeerError as error:
        raise TrustError("SB-3047", party=stream.peer) from error
    yield from stream.send(memoryview(own))
    if not hmac.compare_digest((yield from stream.receive(PROOF_BYTES)), bytes(memoryview(peers))):
        raise TrustError("SB-3049", party=coordinator)
