"""A joined job's release: one sealed share per node, integers modulo 2^64 that the researcher adds up.

A share is uniform on its own, since each pair of nodes adds a value and subtracts it again; only the
sum over the whole roster means anything, and that carries every node's noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from sandbox.crypto.identity import Identity, PublicIdentity
from sandbox.crypto.join.words import WordRing, Words
from sandbox.crypto.seal import open_sealed, seal
from sandbox.errors import TrustError

_LENGTH_BYTES = 4


def seal_share(
    values: Words, researcher: PublicIdentity, job: str, roster: str, node: str
) -> bytes:
    """Return a node's share sealed to the researcher's identity, for this job and roster alone.

    job, roster: digests of the signed documents; node: the fingerprint of who seals.
    """
    return seal(researcher, _purpose(job, roster, node), values.astype("<u8").tobytes())


def bundle(shares: Sequence[bytes]) -> bytes:
    """Return sealed shares in the roster's order as one byte string, each after its length."""
    return b"".join(len(share).to_bytes(_LENGTH_BYTES, "big") + share for share in shares)


def open_bundle(
    bundled: bytes,
    researcher: Identity,
    job: str,
    roster: str,
    signed: Mapping[str, str],
    ring: WordRing,
    length: int,
) -> tuple[int, ...]:
    """Return the sum of all shares, modulo the job's ring, as integers around zero.

    signed: the roster's members in order, with the SHA-256 (hex) that each signed for its sealed share:
    anybody can seal something to a researcher. Raises TrustError SB-3046 for another number or length
    of shares, SB-3048 for one that its node did not sign for, SB-3020 for one that was not sealed for
    that job and roster to this researcher.
    """
    total = np.zeros(length, dtype=np.uint64)
    for (node, digest), sealed in zip(signed.items(), _split(bundled, len(signed)), strict=True):
        if hashlib.sha256(sealed).hexdigest() != digest:
            raise TrustError("SB-3048", node=node[:16])
        words = open_sealed(researcher, _purpose(job, roster, node), sealed)
        if len(words) != length * total.itemsize:
            raise TrustError("SB-3046")
        total += np.frombuffer(words, "<u8")
    return ring.centred(total)


def _split(bundled: bytes, count: int) -> Iterator[bytes]:
    at = 0
    for _ in range(count):
        size = int.from_bytes(bundled[at : at + _LENGTH_BYTES], "big")
        at += _LENGTH_BYTES
        yield bundled[at : at + size]
        at += size
    if at != len(bundled):
        raise TrustError("SB-3046")


def _purpose(job: str, roster: str, node: str) -> bytes:
    return b"\0".join((b"joined-share", job.encode(), roster.encode(), node.encode()))
