"""A joined job's release: one sealed share per node, integers modulo 2^64 that the researcher adds up.

A share is uniform on its own, since each pair of nodes adds a value and subtracts it again; only the
sum over the whole roster means anything, and that carries every node's noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sandbox.crypto.identity import Identity, PublicIdentity
from sandbox.crypto.seal import open_sealed, seal
from sandbox.errors import TrustError

Words = NDArray[np.uint64]

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
    bundled: bytes, researcher: Identity, job: str, roster: str, nodes: Sequence[str], length: int
) -> tuple[int, ...]:
    """Return the sum of all shares as integers in [-2^63, 2^63).

    nodes: the roster's members in order. Raises TrustError SB-3046 for another number or length of
    shares, SB-3020 for one that was not sealed by that node's job and roster to this researcher.
    """
    total = np.zeros(length, dtype=np.uint64)
    for node, sealed in _split(bundled, nodes).items():
        values = np.frombuffer(
            open_sealed(researcher, _purpose(job, roster, node), sealed), np.uint64
        )
        if len(values) != length:
            raise TrustError("SB-3046")
        total += values
    return tuple(int(value) for value in total.view(np.int64))


def _split(bundled: bytes, nodes: Sequence[str]) -> Mapping[str, bytes]:
    found: dict[str, bytes] = {}
    at = 0
    for node in nodes:
        size = int.from_bytes(bundled[at : at + _LENGTH_BYTES], "big")
        at += _LENGTH_BYTES
        found[node] = bundled[at : at + size]
        at += size
    if at != len(bundled):
        raise TrustError("SB-3046")
    return found


def _purpose(job: str, roster: str, node: str) -> bytes:
    return b"\0".join((b"joined-share", job.encode(), roster.encode(), node.encode()))
