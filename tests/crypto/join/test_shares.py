"""Sealed shares of a joined job: the researcher alone adds them, and only those of the roster."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

import numpy as np
import pytest

from sandbox.crypto.identity import Identity, Role
from sandbox.crypto.join.shares import _purpose, bundle, open_bundle, seal_share
from sandbox.crypto.join.words import WIDEST
from sandbox.crypto.seal import seal
from sandbox.errors import TrustError

JOB, ROSTER = "ab" * 32, "cd" * 32
NODES = ("node-a", "node-b")


@pytest.fixture(scope="module")
def researcher() -> Identity:
    return Identity.generate("rosa", Role.RESEARCHER)


def sealed_for(researcher: Identity, values: list[int]) -> list[bytes]:
    mask = np.frombuffer(secrets.token_bytes(8 * len(values)), dtype="<u8")
    wrapped = np.array([value % 2**64 for value in values], dtype=np.uint64)
    parts = dict(zip(NODES, (wrapped - mask, mask), strict=True))
    return [seal_share(part, researcher.public, JOB, ROSTER, n) for n, part in parts.items()]


def signed_for(shares: Sequence[bytes]) -> dict[str, str]:
    digests = [hashlib.sha256(share).hexdigest() for share in shares]
    return dict(zip(NODES, digests, strict=True))


def test_the_researcher_reads_the_sum_signed(researcher: Identity) -> None:
    values = [0, 7, -7, 2**62, -(2**62)]
    shares = sealed_for(researcher, values)
    opened = open_bundle(
        bundle(shares), researcher, JOB, ROSTER, signed_for(shares), WIDEST, len(values)
    )
    assert list(opened) == values


def test_shares_of_another_job_do_not_open(researcher: Identity) -> None:
    shares = sealed_for(researcher, [5])
    with pytest.raises(TrustError, match="SB-3020"):
        open_bundle(bundle(shares), researcher, "ef" * 32, ROSTER, signed_for(shares), WIDEST, 1)


@pytest.mark.parametrize("change", [b"", b"\0\0\0\0", b"x"])
def test_a_bundle_of_another_length_is_refused(researcher: Identity, change: bytes) -> None:
    shares = sealed_for(researcher, [5])
    whole, signed = bundle(shares), signed_for(shares)
    altered = whole[: len(whole) // 2] if change == b"" else whole + change
    with pytest.raises(TrustError):
        open_bundle(altered, researcher, JOB, ROSTER, signed, WIDEST, 1)
    with pytest.raises(TrustError, match="SB-3046"):
        open_bundle(whole, researcher, JOB, ROSTER, signed, WIDEST, 2)


@pytest.mark.parametrize("size", [0, 7, 9, 16])
def test_a_share_of_a_hostile_node_with_other_words_is_refused(
    researcher: Identity, size: int
) -> None:
    shares = sealed_for(researcher, [5])
    shares[1] = seal(researcher.public, _purpose(JOB, ROSTER, NODES[1]), bytes(size))
    with pytest.raises(TrustError, match="SB-3046"):
        open_bundle(bundle(shares), researcher, JOB, ROSTER, signed_for(shares), WIDEST, 1)
