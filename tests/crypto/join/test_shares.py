"""Sealed shares of a joined job: the researcher alone adds them, and only those of the roster."""

from __future__ import annotations

import secrets

import numpy as np
import pytest

from sandbox.crypto.identity import Identity, Role
from sandbox.crypto.join.shares import bundle, open_bundle, seal_share
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


def test_the_researcher_reads_the_sum_signed(researcher: Identity) -> None:
    values = [0, 7, -7, 2**62, -(2**62)]
    opened = open_bundle(
        bundle(sealed_for(researcher, values)), researcher, JOB, ROSTER, NODES, len(values)
    )
    assert list(opened) == values


def test_shares_in_another_order_or_of_another_job_do_not_open(researcher: Identity) -> None:
    shares = sealed_for(researcher, [5])
    for bundled, job in ((bundle(shares[::-1]), JOB), (bundle(shares), "ef" * 32)):
        with pytest.raises(TrustError, match="SB-3020"):
            open_bundle(bundled, researcher, job, ROSTER, NODES, 1)


@pytest.mark.parametrize("change", [b"", b"\0\0\0\0", b"x"])
def test_a_bundle_of_another_length_is_refused(researcher: Identity, change: bytes) -> None:
    shares = bundle(sealed_for(researcher, [5]))
    altered = shares[: len(shares) // 2] if change == b"" else shares + change
    with pytest.raises(TrustError):
        open_bundle(altered, researcher, JOB, ROSTER, NODES, 1)
    with pytest.raises(TrustError, match="SB-3046"):
        open_bundle(shares, researcher, JOB, ROSTER, NODES, 2)
