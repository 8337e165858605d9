"""Pairwise masks: the vectors, cancelling, uniformity, and the streams they are made of."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sandbox.crypto.masks import add_modulo, pairwise_masks
from sandbox.crypto.prg import uniform
from sandbox.crypto.rings import RINGS, Ring, Slots, ring_named
from sandbox.errors import TrustError
from tests.crypto import model

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/masks.json").read_text())


def masks_of(ring: Ring, length: int, members: int, transcript: bytes = b"t") -> list[Slots]:
    """The masks of a whole roster."""
    keys = {f"fs1{i}": X25519PrivateKey.generate() for i in range(members)}
    publics = {name: key.public_key().public_bytes_raw() for name, key in keys.items()}
    return [
        pairwise_masks(
            key,
            name,
            {peer: public for peer, public in publics.items() if peer != name},
            transcript=transcript,
            ring=ring,
            length=length,
        )
        for name, key in keys.items()
    ]


def total(ring: Ring, masks: list[Slots]) -> Slots:
    """Their sum modulo the ring's primes."""
    result = np.zeros_like(masks[0])
    for mask in masks:
        result = add_modulo(result, mask, ring)
    return result


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["ring"])
def test_every_member_derives_the_masks_of_the_vectors(vector: dict[str, Any]) -> None:
    ring = ring_named(vector["ring"])
    for name, private in vector["private"].items():
        mask = pairwise_masks(
            X25519PrivateKey.from_private_bytes(bytes.fromhex(private)),
            name,
            {peer: bytes.fromhex(key) for peer, key in vector["public"].items() if peer != name},
            transcript=bytes.fromhex(vector["transcript"]),
            ring=ring,
            length=vector["length"],
        )
        assert mask.tolist() == vector["masks"][name]


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(RINGS), st.integers(1, 40), st.integers(1, 6))
def test_masks_cancel_over_the_whole_roster_in_every_slot(
    ring: Ring, length: int, members: int
) -> None:
    masks = masks_of(ring, length, members)
    assert masks[0].shape == (len(ring.plain_moduli), ring.slots(length))
    assert not total(ring, masks).any()


def test_masks_cancel_over_several_chunks() -> None:
    ring = RINGS[0]
    assert not total(ring, masks_of(ring, 2 * ring.chunk_values + 1, 3)).any()


def test_masks_change_with_transcript_key_and_name() -> None:
    ring, mine, peer = RINGS[1], X25519PrivateKey.generate(), X25519PrivateKey.generate()
    public = peer.public_key().public_bytes_raw()
    drawn = {
        pairwise_masks(key, me, {other: public}, transcript=t, ring=ring, length=3).tobytes()
        for key in (mine, X25519PrivateKey.generate())
        for me, other in (("fs1a", "fs1b"), ("fs1b", "fs1a"), ("fs1a", "fs1c"))
        for t in (b"attempt 1", b"attempt 2")
    }
    assert len(drawn) == 12


def test_residues_of_one_ring_are_masked_independently() -> None:
    first, second = masks_of(RINGS[2], 50, 2)[0]
    assert not (first == second).any()


def test_oneself_as_a_peer_is_refused() -> None:
    key = X25519PrivateKey.generate()
    peers = {"fs1a": key.public_key().public_bytes_raw()}
    with pytest.raises(TrustError, match="SB-3040"):
        pairwise_masks(key, "fs1a", peers, transcript=b"", ring=RINGS[0], length=1)


@pytest.mark.parametrize(
    "public",
    [bytes(32), (1).to_bytes(32, "little"), b"short", (2**255 - 19).to_bytes(32, "little")],
)
def test_a_key_whose_agreement_everybody_knows_is_refused(public: bytes) -> None:
    key = X25519PrivateKey.generate()
    with pytest.raises(TrustError, match="SB-3041"):
        pairwise_masks(key, "fs1a", {"fs1b": public}, transcript=b"", ring=RINGS[0], length=1)


@settings(max_examples=25, deadline=None)
@given(
    st.binary(min_size=32, max_size=32),
    st.integers(1, 2**58) | st.sampled_from([1, 2, 3, 2**57 + 1]),
    st.integers(0, 30),
)
def test_uniform_draws_what_the_slow_model_draws(key: bytes, modulus: int, count: int) -> None:
    assert uniform(key, modulus, count).tolist() == model.uniform(key, modulus, count)


@pytest.mark.statistical
def test_uniform_favours_no_residue() -> None:
    """Chi-squared over 64 cells, seeded by the key: fixed outcome; would fail 1 key in 10^6.

    The modulus lies just above a power of two, where taking words modulo it would favour the lower
    half by a factor of two.
    """
    modulus = 2**40 + 2**38
    drawn = uniform(bytes(range(32)), modulus, 200_000).astype(np.float64)
    cells = np.histogram(drawn, bins=64, range=(0, modulus))[0]
    assert stats.chisquare(cells).pvalue > 1e-6


@pytest.mark.statistical
def test_the_sum_of_all_masks_but_one_is_uniform() -> None:
    """Chi-squared over 64 cells at 10^-6: what colluders see of one share says nothing about it."""
    ring = RINGS[1]
    masks = masks_of(ring, 50_000, 4, transcript=secrets.token_bytes(8))
    partial = total(ring, masks[:-1])[0].astype(np.float64)
    cells = np.histogram(partial, bins=64, range=(0, ring.modulus))[0]
    assert stats.chisquare(cells).pvalue > 1e-6
