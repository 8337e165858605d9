"""The menu of BFV plaintext rings, and the checksum that tells a true sum from any other.

A share is a vector of integers laid into chunks, one ciphertext each. Every chunk ends in
CHECK_SLOTS check slots: weights . values + a constant of the member, modulo t, with weights and
constants from a seed that researcher and nodes know and the coordinator does not (a Carter-Wegman
universal hash, linear so that it survives addition). Whoever changes a sum without the seed passes
with probability at most (1/t)^CHECK_SLOTS < 2^-79 a chunk; the members' constants make a sum over
another roster, a multiple of the sum, or an encrypted zero fail too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from operator import mul

import numpy as np
from numpy.typing import NDArray

from sandbox.crypto.prg import derive_key, uniform
from sandbox.errors import InputError, TrustError

Slots = NDArray[np.uint64]
"""Shape (plain moduli, slots): residues of a vector and its checks, modulo each plain modulus."""

CHECK_SLOTS = 2
SEED_BYTES = 32
MAX_LENGTH = 1 << 20
"""Integers in one share; more would be a share of hundreds of megabytes."""


@dataclass(frozen=True)
class Ring:
    """BFV parameters: integers modulo `modulus` (one or two primes), in vectors of any length.

    `coeff_mod_bit_sizes` are 128-bit secure for the degree (Homomorphic Encryption Standard, 2018);
    more than 1,000 additions of fresh ciphertexts decrypt exactly.
    """

    name: str
    poly_modulus_degree: int
    plain_moduli: tuple[int, ...]
    coeff_mod_bit_sizes: tuple[int, ...]

    @property
    def modulus(self) -> int:
        """What sums are taken modulo; a sum of absolute value under half of it is exact."""
        return prod(self.plain_moduli)

    @property
    def chunk_values(self) -> int:
        """Values that one ciphertext holds beside its check slots."""
        return self.poly_modulus_degree - CHECK_SLOTS

    def chunk_sizes(self, length: int) -> list[int]:
        """Values in each chunk of a vector of `length`; raises InputError out of 1..MAX_LENGTH."""
        if not 1 <= length <= MAX_LENGTH:
            raise InputError("SB-3030", length=length, limit=MAX_LENGTH)
        full, rest = divmod(length, self.chunk_values)
        return [self.chunk_values] * full + ([rest] if rest else [])

    def slots(self, length: int) -> int:
        """Slots that a vector of `length` fills, check slots included."""
        return length + CHECK_SLOTS * len(self.chunk_sizes(length))


_PRIME_40 = 1099511480321
_PRIMES_58 = (288230376150876161, 288230376150712321)

RINGS: tuple[Ring, ...] = (
    Ring("bfv-4096-40", 4096, (_PRIME_40,), (36, 36, 37)),
    Ring("bfv-8192-58", 8192, _PRIMES_58[:1], (43, 43, 44, 44, 44)),
    Ring("bfv-8192-58x2", 8192, _PRIMES_58, (43, 43, 44, 44, 44)),
)
"""Smallest first. Plain moduli are the largest primes of their bit length that are 1 modulo 2N."""


def ring_named(name: str) -> Ring:
    """Return the menu's ring of that name; raises TrustError for any other."""
    for ring in RINGS:
        if ring.name == name:
            return ring
    raise TrustError("SB-3031", ring=name)


def choose_ring(bound: int) -> Ring:
    """Return the smallest ring in which no sum of absolute value <= `bound` wraps.

    Raises InputError if none fits.
    """
    for ring in RINGS:
        if 2 * bound < ring.modulus:
            return ring
    limit = (RINGS[-1].modulus - 1).bit_length() - 1
    raise InputError("SB-3032", bits=bound.bit_length(), limit=limit)


def frame(
    values: Sequence[int], ring: Ring, *, seed: bytes, transcript: bytes, member: str
) -> Slots:
    """Lay one member's values into slots and append each chunk's checks.

    `transcript` names job and roster, so that a sum of another attempt fails. Values are taken
    modulo the ring's modulus.
    """
    rows = [
        [
            slot
            for chunk, part in enumerate(_split(values, ring))
            for slot in (
                *(value % modulus for value in part),
                *_checks(part, modulus, _key(seed, transcript, modulus, chunk), [member]),
            )
        ]
        for modulus in ring.plain_moduli
    ]
    return np.array(rows, dtype=np.uint64)


def unframe(
    slots: Slots,
    ring: Ring,
    length: int,
    *,
    seed: bytes,
    transcript: bytes,
    members: Sequence[str],
) -> list[int]:
    """Return the summed values, centred modulo the ring's modulus.

    Raises TrustError unless the slots are the sum of exactly one frame of each of `members`.
    """
    residues: list[list[int]] = []
    for row, modulus in zip(slots, ring.plain_moduli, strict=True):
        values: list[int] = []
        start = 0
        for chunk, size in enumerate(ring.chunk_sizes(length)):
            part = row[start : start + size].tolist()
            found = row[start + size : start + size + CHECK_SLOTS].tolist()
            expected = _checks(part, modulus, _key(seed, transcript, modulus, chunk), members)
            if found != expected:
                raise TrustError("SB-3033")
            values += part
            start += size + CHECK_SLOTS
        residues.append(values)
    return _centred(residues, ring)


def _split(values: Sequence[int], ring: Ring) -> list[Sequence[int]]:
    parts, start = [], 0
    for size in ring.chunk_sizes(len(values)):
        parts.append(values[start : start + size])
        start += size
    return parts


def _key(seed: bytes, transcript: bytes, modulus: int, chunk: int) -> bytes:
    if len(seed) != SEED_BYTES:
        raise InputError("SB-3034", size=SEED_BYTES)
    return derive_key(seed, transcript, b"check", str(modulus).encode(), str(chunk).encode())


def _checks(values: Sequence[int], modulus: int, key: bytes, members: Sequence[str]) -> list[int]:
    weights = uniform(derive_key(key, b"", b"weights"), modulus, CHECK_SLOTS * len(values)).tolist()
    constants = [
        uniform(derive_key(key, b"", b"constant", member.encode()), modulus, CHECK_SLOTS).tolist()
        for member in members
    ]
    return [
        (
            sum(map(mul, weights[slot * len(values) :], values))
            + sum(constant[slot] for constant in constants)
        )
        % modulus
        for slot in range(CHECK_SLOTS)
    ]


def _centred(residues: list[list[int]], ring: Ring) -> list[int]:
    modulus = ring.modulus
    # Chinese remainder theorem: each basis element is 1 modulo its own prime and 0 modulo the
    # other.
    basis = [(modulus // t) * pow(modulus // t, -1, t) for t in ring.plain_moduli]
    sums = (sum(map(mul, basis, column)) % modulus for column in zip(*residues, strict=True))
    return [value - modulus if 2 * value > modulus else value for value in sums]
