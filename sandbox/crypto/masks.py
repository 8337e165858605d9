"""Pairwise masks that hide a share even from who can decrypt it, and vanish in the sum.

Bonawitz et al. 2017, section 4, without the recovery of drop-outs: a roster is fixed and signed
before the first share leaves, and an attempt that loses a member fails. Each pair of members
agrees on a stream by X25519 with keys made for this attempt alone; the one whose fingerprint sorts
first adds it, the other subtracts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from sandbox.crypto.prg import derive_key, uniform
from sandbox.errors import TrustError

if TYPE_CHECKING:
    from sandbox.crypto.rings import Ring, Slots


def pairwise_masks(
    private: X25519PrivateKey,
    fingerprint: str,
    peers: Mapping[str, bytes],
    *,
    transcript: bytes,
    ring: Ring,
    length: int,
) -> Slots:
    """Return this member's mask over every slot of a share of `length` values, check slots too.

    `private` and `peers` (fingerprint -> 32-byte X25519 key) are of this attempt alone;
    `transcript` holds the digests of job and signed roster. Over all members of the roster the
    masks add up to 0 modulo t; over any smaller set they are uniform. Raises TrustError for a peer
    that is oneself, or whose key has no safe agreement.
    """
    if fingerprint in peers:
        raise TrustError("SB-3040", name=fingerprint)
    count = ring.slots(length)
    total = np.zeros((len(ring.plain_moduli), count), dtype=np.uint64)
    own_public = private.public_key().public_bytes_raw()
    for peer, public in peers.items():
        pair = sorted([(fingerprint, own_public), (peer, public)])
        labels = [part for name, key in pair for part in (name.encode(), key)]
        shared = agree(private, peer, public)
        stream = np.stack(
            [
                uniform(derive_key(shared, transcript, b"mask", *labels, str(t).encode()), t, count)
                for t in ring.plain_moduli
            ]
        )
        moduli = np.array(ring.plain_moduli, dtype=np.uint64)[:, np.newaxis]
        total = add_modulo(total, stream if fingerprint < peer else moduli - stream, ring)
    return total


def add_modulo(total: Slots, term: Slots, ring: Ring) -> Slots:
    """Return `total` + `term` modulo the ring's primes, which are far too small to wrap uint64."""
    moduli = np.array(ring.plain_moduli, dtype=np.uint64)[:, np.newaxis]
    return (total + term) % moduli


def agree(private: X25519PrivateKey, peer: str, public: bytes) -> bytes:
    """Return the X25519 agreement with a peer; raises TrustError SB-3041 for an unsafe key."""
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        # A point of small order would make the stream known to everybody.
        raise TrustError("SB-3041", name=peer) from error
