"""Products on shares against numpy modulo 2^64, and their wire against an independent AES."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import _native

Words = npt.NDArray[np.uint64]
CHUNK = _native.SLOTS_PER_CHUNK
SEED_A, SEED_B = bytes(range(16)), bytes(range(16, 32))
SLOTS = st.integers(1, 3 * CHUNK + 100)


def words(buffer: _native.Buffer) -> Words:
    return np.frombuffer(memoryview(buffer), np.uint64)


def aes_words(seed: bytes, count: int, first_block: int = 0) -> Words:
    """AES-128 over little-endian counters, as 64-bit words."""
    counters = range(first_block, first_block + (count + 1) // 2)
    encryptor = Cipher(algorithms.AES(seed), modes.ECB()).encryptor()  # noqa: S305 - one block at a time
    return np.frombuffer(
        encryptor.update(b"".join(i.to_bytes(16, "little") for i in counters)), np.uint64
    )[:count]


def mask(seed: bytes, purpose: int, count: int) -> Words:
    return aes_words(aes_words(seed, 2, purpose).tobytes(), count)


def wire(matrix: Words) -> Words:
    """Slots × columns in wire order: chunk after chunk, column after column."""
    chunks = [matrix[i : i + CHUNK].T.ravel() for i in range(0, len(matrix), CHUNK)]
    return np.concatenate(chunks)


def unwire(stream: Words, slots: int, columns: int) -> Words:
    out = np.empty((slots, columns), np.uint64)
    for start in range(0, slots, CHUNK):
        end = min(start + CHUNK, slots)
        out[start:end] = stream[start * columns : end * columns].reshape(columns, end - start).T
    return out


def factor(rng: np.random.Generator, slots: int, columns: int) -> tuple[_native.SlotColumns, Words]:
    """Random rows in random slots, in a random order with dummies, and the matrix they stand for."""
    rows = int(rng.integers(0, slots + 1))
    real = int(rng.integers(0, rows + 1))
    order = rng.permutation(rows).astype(np.uint32)
    given = rng.permutation(slots)[:rows].astype(np.uint32)
    values = rng.integers(0, 2**64, (real, columns), np.uint64)
    matrix = np.zeros((slots, columns), np.uint64)
    for row, slot in zip(order, given, strict=True):
        if row < real:
            matrix[slot] = values[row]
    placement = _native.Placement(slots, given.tobytes(), order.tobytes())
    return _native.SlotColumns.placed(
        placement, [values[:, j].tobytes() for j in range(columns)]
    ), matrix


def inner(
    x: _native.SlotColumns, y: _native.SlotColumns, cut: tuple[int, int] = (1, 2)
) -> list[Words]:
    """Both parties' shares of XᵀY, the streams cut into messages of so many chunks."""
    a = _native.InnerProduct.a(x, y.columns, SEED_A)
    b = _native.InnerProduct.b(y, x.columns, SEED_B)
    while len(message := a.next_message(cut[0])):
        b.absorb(message)
    while len(message := b.next_message(cut[1])):
        a.absorb(message)
    dealt = _native.deal_inner(SEED_A, SEED_B, x.slots, x.columns, y.columns)
    return [words(a.finish()), words(b.finish(dealt))]


def slotwise(
    x: _native.SlotColumns, y: _native.SlotColumns, pairs: list[tuple[int, int]]
) -> tuple[_native.SlotColumns, _native.SlotColumns]:
    """Both parties' shares of the products, as factors of a next one."""
    a = _native.SlotwiseProduct.a(x, y.columns, pairs, SEED_A)
    b = _native.SlotwiseProduct.b(y, x.columns, pairs, SEED_B)
    dealer = _native.SlotwiseDealer(SEED_A, SEED_B, x.slots, x.columns, y.columns, pairs)
    shares: tuple[list[Any], list[Any]] = ([], [])
    while len(message := a.next_message(1)):
        shares[1].append(bytes(b.absorb(message, dealer.next_message(1))))
    while len(message := b.next_message(2)):
        shares[0].append(bytes(a.absorb(message)))
    left, right = (
        _native.SlotColumns.dense(x.slots, len(pairs), b"".join(each)) for each in shares
    )
    return left, right


@settings(deadline=None, max_examples=40)
@given(SLOTS, st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32), st.integers(1, 4))
def test_shares_add_to_numpys_product(slots: int, p: int, q: int, seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    (x, plain_x), (y, plain_y) = factor(rng, slots, p), factor(rng, slots, q)
    left, right = inner(x, y, (cut, 5 - cut))
    expected = (plain_x.T @ plain_y).ravel()
    assert np.array_equal(left + right, expected)
    assert np.array_equal(words(_native.local_product(x, y)), expected)


def test_what_is_sent_is_the_factor_less_an_aes_stream_in_wire_order() -> None:
    x, plain = factor(np.random.default_rng(3), 2 * CHUNK + 77, 3)
    party = _native.InnerProduct.a(x, 1, SEED_A)
    sent = np.concatenate([words(party.next_message(1)) for _ in range(3)])
    assert np.array_equal(sent + mask(SEED_A, 0, len(sent)), wire(plain))


def test_the_dealer_sends_the_masks_product_less_as_share() -> None:
    slots, p, q = CHUNK + 9, 2, 3
    u = unwire(mask(SEED_A, 0, slots * p), slots, p)
    v = unwire(mask(SEED_B, 0, slots * q), slots, q)
    expected = (u.T @ v).ravel() - mask(SEED_A, 1, p * q)
    assert np.array_equal(words(_native.deal_inner(SEED_A, SEED_B, slots, p, q)), expected)


@settings(deadline=None, max_examples=20)
@given(SLOTS, st.integers(0, 2**32))
def test_a_providers_own_gram_over_matched_rows(slots: int, seed: int) -> None:
    """Z = X∘1_B slot by slot, then XᵀZ = XᵀZ_A (at A alone) + XᵀZ_B (A's X, B's Z_B)."""
    rng = np.random.default_rng(seed)
    x, plain_x = factor(rng, slots, 3)
    y, plain_y = factor(rng, slots, 1)
    z_a, z_b = slotwise(x, y, [(i, 0) for i in range(3)])
    left, right = inner(x, z_b)
    gram = words(_native.local_product(x, z_a)) + left + right
    assert np.array_equal(gram, (plain_x.T @ (plain_x * plain_y)).ravel())


@settings(deadline=None, max_examples=20)
@given(SLOTS, st.integers(0, 2**32))
def test_three_parties_multiply_slot_by_slot_and_then_sum(slots: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    (x, plain_x), (y, plain_y), (z, plain_z) = (
        factor(rng, slots, columns) for columns in (2, 3, 2)
    )
    pairs = [(0, 0), (1, 2), (1, 0)]
    left, right = slotwise(x, y, pairs)
    total = sum(inner(left, z) + inner(right, z))
    products = np.stack([plain_x[:, i] * plain_y[:, j] for i, j in pairs], axis=1)
    assert np.array_equal(total, (products.T @ plain_z).ravel())


def test_messages_that_are_not_whole_chunks_are_refused() -> None:
    x, _ = factor(np.random.default_rng(1), CHUNK + 5, 2)
    party = _native.InnerProduct.b(x, 1, SEED_B)
    for size in (0, 8, 8 * CHUNK - 8, 8 * (CHUNK + 4), 8 * (CHUNK + 6), 8 * CHUNK + 1):
        with pytest.raises(_native.PeerError):
            party.absorb(bytes(size))
    party.absorb(bytes(8 * (CHUNK + 5)))
    with pytest.raises(_native.PeerError):
        party.absorb(bytes(8 * 5))
    with pytest.raises(ValueError, match="sent and received"):
        party.finish(bytes(16))
    with pytest.raises(ValueError, match="has ended"):
        party.finish(bytes(16))


def test_slots_that_no_honest_coordinator_gives_are_refused() -> None:
    def slots(*numbers: int) -> bytes:
        return np.array(numbers, np.uint32).tobytes()

    with pytest.raises(_native.PeerError):
        _native.Placement(4, slots(0, 4))
    with pytest.raises(_native.PeerError):
        _native.Placement(4, slots(2, 2))
    with pytest.raises(ValueError, match="1 to 64"):
        _native.SlotColumns.placed(_native.Placement(4, slots(0)), [])


def test_a_zero_sharing_adds_to_zero_and_is_its_contexts_own() -> None:
    key = bytes(range(32))
    one = words(_native.zero_share(key, b"job 1", 9, negative=False))
    other = words(_native.zero_share(key, b"job 1", 9, negative=True))
    assert not (one + other).any()
    assert not set(one.tolist()) & set(
        words(_native.zero_share(key, b"job 2", 9, negative=False)).tolist()
    )
    assert not set(one.tolist()) & set(
        words(_native.zero_share(bytes(32), b"job 1", 9, negative=False)).tolist()
    )


def wide_mask(seed: bytes, purpose: int, slots: int, columns: int) -> npt.NDArray[np.object_]:
    """Words of 128 bits as Python integers, slots × columns, from their wire order."""
    raw = mask(seed, purpose, 2 * slots * columns).tobytes()
    stream = np.array(
        [int.from_bytes(raw[at : at + 16], "little") for at in range(0, len(raw), 16)], object
    )
    out = np.empty((slots, columns), object)
    for start in range(0, slots, CHUNK):
        end = min(start + CHUNK, slots)
        chunk = stream[start * columns : end * columns]
        out[start:end] = chunk.reshape(columns, end - start).T
    return out


@pytest.mark.parametrize(("slots", "p", "q", "width"), [(7, 1, 1, 9), (CHUNK + 5, 2, 3, 10)])
def test_verified_product_is_what_integers_of_any_size_make_of_it(
    slots: int, p: int, q: int, width: int
) -> None:
    rng = np.random.default_rng(7)
    (x, plain_x), (y, plain_y) = factor(rng, slots, p), factor(rng, slots, q)
    alpha, seed_r, ring = b"a" * 16, b"r" * 16, 1 << 8 * width
    left = _native.MaskedFactor(x, q, width, SEED_A, SEED_B, alpha, left=True)
    right = _native.MaskedFactor(y, p, width, SEED_A, SEED_B, alpha, left=False)
    coordinator = _native.Evaluator(slots, p, q, width, verified=True)
    ours, theirs = bytes(left.next_message(9)), bytes(right.next_message(9))
    coordinator.absorb(ours, theirs)
    share, check = left.finish_left(coordinator.finish(seed_r))
    other, other_check = right.finish_right(seed_r)

    raw = aes_words(alpha, 2 * p).tobytes()
    factors = [int.from_bytes(raw[16 * i : 16 * i + 16], "little") for i in range(p)]
    wide_x = plain_x.astype(object)
    wide_x = np.column_stack([wide_x, wide_x @ np.array(factors, object)])
    u, v = wide_mask(SEED_A, 0, slots, p + 1), wide_mask(SEED_B, 0, slots, q)
    r = wide_mask(seed_r, 1, 1, (p + 1) * q).reshape(p + 1, q)
    sent_x, sent_y = (wide_x - u) % ring, (plain_y.astype(object) - v) % ring
    for sent, said in ((sent_x, ours), (sent_y, theirs)):
        flat = [n for i in range(0, slots, CHUNK) for n in sent[i : i + CHUNK].T.ravel()]
        assert said == b"".join(n.to_bytes(width, "little") for n in flat)
    z_left, z_right = sent_x.T @ sent_y + r + wide_x.T @ v, u.T @ sent_y - r
    mine = (np.array(factors, object) @ z_left[:p] - z_left[p]) % ring
    assert bytes(check) == b"".join(n.to_bytes(16, "little") for n in mine)
    assert bytes(other_check) == bytes(check)
    for found, z in ((share, z_left), (other, z_right)):
        expected = np.array([n % (1 << 64) for n in z[:p].ravel()], np.uint64)
        assert (words(found) == expected).all()
