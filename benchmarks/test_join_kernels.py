"""What a join is made of, each Rust kernel as Python calls it (pytest-benchmark)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from sandbox import _native
from sandbox.crypto.join.keys import KeyHashes
from sandbox.crypto.join.shape import CHECKING_BYTES
from tests.crypto.join.memory import replied

KEY, SESSION = bytes(range(32)), bytes(32)
SEED_A, SEED_B = bytes(range(16)), bytes(range(16, 32))
COLUMNS = 2
"""Of each party: rows counted and one column summed."""
WORD_BYTES = 4
"""Of a word of the result's ring: what a count and a sum take."""
CHUNKS = 16
"""In one message of an inner product."""
SENT_BYTES = 11
"""Of a tag, among as many as match here."""
each_size = pytest.mark.parametrize("rows", [1 << 16, 1 << 20], ids=["2^16", "2^20"])


def _blocks(name: bytes, rows: int) -> memoryview:
    """Return as many 16-byte blocks that look random."""
    return memoryview(_native.expand(name.ljust(16), rows))


def _halves(rows: int) -> tuple[bytes, bytes]:
    """Return two sets of keys of which half are in both."""
    drawn = bytes(_blocks(b"keys", rows + rows // 2))
    return drawn[: 16 * rows], drawn[8 * rows :]


@each_size
def test_expand(benchmark: BenchmarkFixture, rows: int) -> None:
    """A stream of so many blocks from a seed."""
    assert len(benchmark(_native.expand, SEED_A, rows)) == 16 * rows


@each_size
@pytest.mark.parametrize("kind", ["integers", "texts", "bytes"])
def test_hash_keys(benchmark: BenchmarkFixture, kind: str, rows: int) -> None:
    """Keyed BLAKE3 of a column; texts of 12 letters, and their bytes."""
    numbers = np.random.default_rng(1).permutation(rows)
    keys = pa.array(numbers if kind == "integers" else [f"SN{n:010}" for n in numbers])
    if kind == "bytes":
        keys = keys.cast(pa.binary())
    assert len(memoryview(benchmark(KeyHashes, [keys], KEY).tags)) == 16 * rows


@each_size
def test_permutation(benchmark: BenchmarkFixture, rows: int) -> None:
    """A uniform permutation from a seed."""
    benchmark(_native.permutation, SESSION, rows)


@each_size
def test_take(benchmark: BenchmarkFixture, rows: int) -> None:
    """Tags brought into the order in which they are sent."""
    benchmark(_native.take, [_blocks(b"tags", rows)], 16, _native.permutation(SESSION, rows))


@each_size
def test_shorten_tags(benchmark: BenchmarkFixture, rows: int) -> None:
    """Tags in the order in which they are sent, as much of each as leaves."""
    tags, order = _blocks(b"tags", rows), _native.permutation(SESSION, rows)
    assert len(benchmark(_native.shorten_tags, [tags], SENT_BYTES, order)) == SENT_BYTES * rows


@each_size
def test_lengthen_tags(benchmark: BenchmarkFixture, rows: int) -> None:
    """What was sent of so many tags as tags again."""
    sent = _blocks(b"tags", rows)[: SENT_BYTES * rows]
    assert len(benchmark(_native.lengthen_tags, sent, SENT_BYTES)) == 16 * rows


@each_size
def test_find_repeats(benchmark: BenchmarkFixture, rows: int) -> None:
    """Whether a key occurs twice; none does."""
    assert not benchmark(_native.has_repeats, _blocks(b"tags", rows), b"\1" * rows)


@each_size
def test_match_tags(benchmark: BenchmarkFixture, rows: int) -> None:
    """The coordinator's slots for two parties of so many tags each, half of which match."""
    left, right = benchmark(_native.match_tags, _halves(rows), SESSION)
    shared = np.intersect1d(np.frombuffer(memoryview(left), np.uint32),
                            np.frombuffer(memoryview(right), np.uint32))  # fmt: skip
    assert len(shared) == rows // 2


@each_size
def test_encode_okvs(benchmark: BenchmarkFixture, rows: int) -> None:
    """An encoding of so many keys and values."""
    benchmark(
        _native.okvs_encode, rows, 1, SEED_A, _blocks(b"keys", rows), _blocks(b"values", rows)
    )


@each_size
def test_decode_okvs(benchmark: BenchmarkFixture, rows: int) -> None:
    """The values of so many keys."""
    keys, values = _blocks(b"keys", rows), _blocks(b"values", rows)
    encoding = _native.okvs_encode(rows, 1, SEED_A, keys, values)
    assert memoryview(benchmark(_native.okvs_decode, rows, 1, SEED_A, keys, encoding)) == values


@each_size
def test_size_okvs(benchmark: BenchmarkFixture, rows: int) -> None:
    """How long the encoding of so many keys is."""
    assert benchmark(_native.okvs_length, rows, 1) > rows


def _factor(rows: int, slots: int, seed: int) -> _native.SlotColumns:
    """Return columns of so many rows, spread over the slots."""
    chance = np.random.default_rng(seed)
    places = chance.permutation(slots)[:rows].astype(np.uint32).tobytes()
    values = [chance.integers(0, 1000, rows, np.uint64).tobytes() for _ in range(COLUMNS)]
    return _native.SlotColumns.placed(_native.Placement(slots, places), values)


@each_size
def test_place_columns(benchmark: BenchmarkFixture, rows: int) -> None:
    """Two columns of so many rows spread over twice as many slots."""
    slots = 2 * rows
    places = np.random.default_rng(1).permutation(slots)[:rows].astype(np.uint32).tobytes()
    values = [np.arange(rows, dtype=np.uint64).tobytes()] * COLUMNS
    benchmark(lambda: _native.SlotColumns.placed(_native.Placement(slots, places), values))


@each_size
def test_hold_shares(benchmark: BenchmarkFixture, rows: int) -> None:
    """Two columns of shares in twice as many slots, as a slot-wise product leaves them."""
    slots = 2 * rows
    shares = memoryview(_native.expand(SEED_A, slots * COLUMNS // 2))
    assert benchmark(_native.SlotColumns.dense, slots, COLUMNS, shares).slots == slots


@each_size
def test_local_product(benchmark: BenchmarkFixture, rows: int) -> None:
    """Two by two columns of one party over twice as many slots."""
    x, y = _factor(rows, 2 * rows, 1), _factor(rows, 2 * rows, 2)
    assert len(benchmark(_native.local_product, x, y)) == 8 * COLUMNS**2


@each_size
def test_deal_inner(benchmark: BenchmarkFixture, rows: int) -> None:
    """The dealer's part of the next product, alone."""
    dealt = benchmark(_native.deal_inner, SEED_A, SEED_B, 2 * rows, COLUMNS, COLUMNS)
    assert len(dealt) == 8 * COLUMNS**2


@each_size
def test_inner_product(benchmark: BenchmarkFixture, rows: int) -> None:
    """Two by two columns over twice as many slots: both parties, their messages, and the dealer."""
    slots = 2 * rows
    x, y = _factor(rows, slots, 1), _factor(rows, slots, 2)

    def product() -> tuple[_native.Buffer, _native.Buffer]:
        a = _native.InnerProduct.a(x, COLUMNS, SEED_A)
        b = _native.InnerProduct.b(y, COLUMNS, SEED_B)
        _pass(lambda: a.next_message(CHUNKS), b.absorb)
        _pass(lambda: b.next_message(CHUNKS), a.absorb)
        return a.finish(), b.finish(_native.deal_inner(SEED_A, SEED_B, slots, COLUMNS, COLUMNS))

    _is_product(benchmark(product), x, y)


@each_size
def test_masked_product(benchmark: BenchmarkFixture, rows: int) -> None:
    """The same product where the coordinator multiplies masked columns of both."""
    slots = 2 * rows
    x, y = _factor(rows, slots, 1), _factor(rows, slots, 2)

    def product() -> tuple[_native.Buffer, _native.Buffer]:
        a, b = (
            _native.MaskedFactor(own, COLUMNS, WORD_BYTES, SEED_A, SEED_B, left=own is x)
            for own in (x, y)
        )
        evaluator = _native.Evaluator(slots, COLUMNS, COLUMNS, WORD_BYTES)
        _pass(lambda: a.next_message(CHUNKS), lambda m: evaluator.absorb(m, b.next_message(CHUNKS)))
        return a.finish_left(evaluator.finish(KEY[:16]))[0], b.finish_right(KEY[:16])[0]

    _is_product(benchmark(product), x, y, WORD_BYTES)


@each_size
def test_verified_product(benchmark: BenchmarkFixture, rows: int) -> None:
    """The same product where both members check the coordinator."""
    slots, wide = 2 * rows, WORD_BYTES + CHECKING_BYTES
    x, y = _factor(rows, slots, 1), _factor(rows, slots, 2)

    def product() -> tuple[tuple[_native.Buffer, _native.Buffer], ...]:
        a, b = (
            _native.MaskedFactor(own, COLUMNS, wide, SEED_A, SEED_B, KEY[:16], left=own is x)
            for own in (x, y)
        )
        evaluator = _native.Evaluator(slots, COLUMNS, COLUMNS, wide, verified=True)
        _pass(lambda: a.next_message(CHUNKS), lambda m: evaluator.absorb(m, b.next_message(CHUNKS)))
        return a.finish_left(evaluator.finish(KEY[:16])), b.finish_right(KEY[:16])

    (left, left_check), (right, right_check) = benchmark(product)
    assert bytes(memoryview(left_check)) == bytes(memoryview(right_check))
    _is_product((left, right), x, y, WORD_BYTES)


def _is_product(
    shares: tuple[_native.Buffer, _native.Buffer],
    x: _native.SlotColumns,
    y: _native.SlotColumns,
    word_bytes: int = 8,
) -> None:
    plain = np.frombuffer(memoryview(_native.local_product(x, y)), np.uint64)
    opened = sum(np.frombuffer(memoryview(share), np.uint64) for share in shares)
    above = np.uint64(64 - 8 * word_bytes)
    assert np.array_equal(opened << above, plain << above)


@each_size
def test_slotwise_product(benchmark: BenchmarkFixture, rows: int) -> None:
    """One column by another in each of twice as many slots: both parties, messages, and dealer."""
    slots = 2 * rows
    x, y, pairs = _factor(rows, slots, 1), _factor(rows, slots, 2), [(0, 0)]

    def product() -> int:
        a = _native.SlotwiseProduct.a(x, COLUMNS, pairs, SEED_A)
        b = _native.SlotwiseProduct.b(y, COLUMNS, pairs, SEED_B)
        dealer = _native.SlotwiseDealer(SEED_A, SEED_B, slots, COLUMNS, COLUMNS, pairs)
        shared = 0
        while True:
            for_b, for_a = a.next_message(CHUNKS), b.next_message(CHUNKS)
            if not len(for_b):
                return shared
            shared += len(a.absorb(for_a))
            b.absorb(for_b, dealer.next_message(CHUNKS))

    assert benchmark(product) == 8 * slots


@each_size
def test_zero_share(benchmark: BenchmarkFixture, rows: int) -> None:
    """Words of zero for so many outputs."""
    share = benchmark(_native.zero_share, KEY, b"outputs", rows, negative=True)
    assert len(share) == 8 * rows


def _pass(
    following: Callable[[], _native.Buffer], absorb: Callable[[_native.Buffer], None]
) -> None:
    while len(message := following()):
        absorb(message)


each_adversary = pytest.mark.parametrize(
    "malicious", [False, True], ids=["semi-honest", "malicious"]
)
Parties = tuple[_native.PsiReceiver, _native.PsiSender, _native.Buffer]


def _vole(rows: int, malicious: bool) -> Parties:
    """Return both parties of an intersection as far as they come without keys, and what comes next."""
    receiver = _native.PsiReceiver(rows, rows, SESSION, KEY, malicious=malicious)
    sender, message = _native.PsiSender.start(rows, rows, SESSION, SESSION, malicious=malicious)
    while not receiver.wants_keys():
        message = sender.advance(replied(receiver, message))
    return receiver, sender, message


@each_size
def test_compare_checks(benchmark: BenchmarkFixture, rows: int) -> None:
    """Whether two members' checks of a product, of so many bytes, are equal; both parties."""
    value = bytes(_blocks(b"check", rows // 16))

    def compare() -> bool:
        parties = [_native.Equality.start(KEY, value, bytes([i]) * 64) for i in (1, 2)]
        (a, from_a), (b, from_b) = parties
        sent, _ = a.finish(from_b, left=True)
        _, awaited = b.finish(from_a, left=False)
        return bytes(sent) == bytes(awaited)

    assert benchmark(compare)


@each_size
def test_bucket_keys(benchmark: BenchmarkFixture, rows: int) -> None:
    """What each of 64 buckets of a set of so many keys is padded to."""
    assert rows // 64 < benchmark(_native.bucket_keys, rows, 64) < rows // 32


@each_size
@each_adversary
def test_digest_psi(benchmark: BenchmarkFixture, malicious: bool, rows: int) -> None:
    """What names the sizes of an intersection of so many keys."""
    digest = benchmark(_native.psi_digest, rows, rows, malicious=malicious)
    assert len(digest) == 32


@each_size
@each_adversary
def test_vole(benchmark: BenchmarkFixture, malicious: bool, rows: int) -> None:
    """Silent VOLE for an intersection of so many keys: base OTs, extension, expansion; both parties."""
    receiver, _, _ = benchmark(_vole, rows, malicious)
    assert receiver.wants_keys()


@each_size
@each_adversary
def test_intersect(benchmark: BenchmarkFixture, malicious: bool, rows: int) -> None:
    """A private set intersection of two sets of so many keys, VOLE included; both parties."""
    ours, theirs = _halves(rows)

    def intersect() -> int:
        receiver, sender, message = _vole(rows, malicious)
        receiver.take_keys(ours)
        while receiver.awaits() is not None:
            last, answer = message, replied(receiver, message)
            if sender.wants_keys():
                sender.take_keys(theirs)
            message = sender.advance(answer) if sender.awaits() is not None else answer
        width = receiver.value_bytes
        values = memoryview(last)[: rows * width]
        return bytes(_native.psi_matches(receiver.take_values(), values, width)).count(1)

    assert benchmark(intersect) == rows // 2
