"""Rings of a join: integers modulo 2^(8 w), whose words go by w bytes.

The least ring that holds a job's sums with their noise halves what most joins send.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.errors import InputError, TrustError

Words = NDArray[np.uint64]


@dataclass(frozen=True)
class WordRing:
    """Integers modulo 2^(8 `width`)."""

    width: int

    @property
    def name(self) -> str:
        """How a job names it."""
        return f"z{8 * self.width}"

    @property
    def modulus(self) -> int:
        """2^(8 width)."""
        return 1 << 8 * self.width

    def reduced(self, words: Words) -> Words:
        """Return words modulo the ring: what is above it would tell more than their sum does."""
        return words & np.uint64(self.modulus - 1)

    def centred(self, words: Words) -> tuple[int, ...]:
        """Return words as integers in [-modulus/2, modulus/2)."""
        above = 64 - 8 * self.width
        shifted = (words << np.uint64(above)).view(np.int64) >> np.int64(above)
        return tuple(int(value) for value in shifted)


_RINGS = {ring.name: ring for ring in map(WordRing, range(4, 9))}
WIDEST = _RINGS["z64"]


def words_named(name: str) -> WordRing:
    """Return the ring of that name; raises TrustError SB-3031."""
    if name not in _RINGS:
        raise TrustError("SB-3031", ring=name)
    return _RINGS[name]


def choose_words(bound: int) -> WordRing:
    """Return the least ring that holds integers of at most `bound` in magnitude; raises InputError
    SB-3032 if none does."""
    for ring in _RINGS.values():
        if 2 * bound < ring.modulus:
            return ring
    raise InputError("SB-3032", bits=bound.bit_length(), limit=62)
