"""Sealed shares of a joined job: the researcher alone adds them, and only those of the roster."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.crypto.identity import Identity, Role
from sandbox.crypto.join.shares import _purpose, bundle, open_bundle, seal_share
from sandbox.crypto.join.words import WIDEST, WordRing, choose_words, words_named
from sandbox.crypto.seal import seal
from sandbox.errors import InputError, TrustError

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


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5), st.integers(4, 8))
def test_a_ring_keeps_what_it_holds_and_nothing_above(values: list[int], width: int) -> None:
    ring = WordRing(width)
    words = np.array([value % 2**64 for value in values], dtype=np.uint64)
    reduced = ring.reduced(words)
    assert all(int(word) < ring.modulus for word in reduced)
    half = ring.modulus // 2
    expected = tuple((value + half) % ring.modulus - half for value in values)
    assert ring.centred(words) == ring.centred(reduced) == expected


def test_the_least_ring_that_holds_a_bound_is_chosen() -> None:
    assert choose_words(2**31 - 1).name == "z32"
    assert choose_words(2**31).name == "z40"
    assert choose_words(2**63 - 1) == WIDEST == words_named("z64")
    with pytest.raises(InputError, match="SB-3032"):
        choose_words(2**63)
    with pytest.raises(TrustError, match="SB-3031"):
        words_named("z65")


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
