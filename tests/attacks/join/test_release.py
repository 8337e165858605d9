"""Attack j01: on the sum that a researcher opens."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from sandbox.crypto.identity import Identity, Role
from sandbox.crypto.join.shares import bundle, open_bundle, seal_share
from sandbox.crypto.join.words import WIDEST, Words
from sandbox.errors import TrustError

JOB, ROSTER = "ab" * 32, "cd" * 32
NODES = ("node-a", "node-b")


def words(*values: int) -> Words:
    return np.array([value % 2**64 for value in values], dtype=np.uint64)


def sealed(researcher: Identity, node: str, values: Words) -> bytes:
    return seal_share(values, researcher.public, JOB, ROSTER, node)


@pytest.mark.parametrize("forged", [NODES, NODES[1:]])
def test_attack_j01_coordinator_that_seals_shares_of_its_own_is_found(
    forged: tuple[str, ...],
) -> None:
    """Anybody can seal to a researcher: one who relays could make up the whole sum, or shift it by δ
    if it knew a share. What the nodes signed for decides."""
    researcher = Identity.generate("rosa", Role.RESEARCHER)
    honest = {n: sealed(researcher, n, words(v)) for n, v in zip(NODES, (40, 2), strict=True)}
    signed = {node: hashlib.sha256(share).hexdigest() for node, share in honest.items()}
    assert open_bundle(bundle([*honest.values()]), researcher, JOB, ROSTER, signed, WIDEST, 1) == (
        42,
    )
    shares = honest | {node: sealed(researcher, node, words(1000)) for node in forged}
    with pytest.raises(TrustError, match="SB-3048"):
        open_bundle(bundle([*shares.values()]), researcher, JOB, ROSTER, signed, WIDEST, 1)
