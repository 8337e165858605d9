"""Products on shares by an independent, slow model (docs/protocols.md, section 2): writes shares.json.

A matrix is a list of columns, a column a list of whole numbers, one for each slot.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.vectors.native import blake3
from tests.vectors.native.blocks import aes, stream, to_bytes, words
from tests.vectors.native.ot import digest

Matrix = list[list[int]]

CHUNK: Final = 2048
WORD, WIDE = 8, 16
FACTOR, PRODUCT = 0, 1
"""What the sub-seeds of a seed are for: a factor's mask, that of a product."""


def wire(columns: Matrix, width: int) -> bytes:
    """Chunk after chunk, in it column after column, of each word the low bytes."""
    slots, out = len(columns[0]), []
    for first in range(0, slots, CHUNK):
        for column in columns:
            out += column[first : first + CHUNK]
    return b"".join((word % 256**width).to_bytes(width, "little") for word in out)


def drawn(seed: int, purpose: int, slots: int, columns: int, width: int = WORD) -> Matrix:
    """A mask: words of AES-CTR(AES_σ(purpose)) in the order of the wire."""
    (sub_seed,) = stream(seed, 1, purpose)
    taken = iter(words(sub_seed, slots * columns, width))
    out: Matrix = [[] for _ in range(columns)]
    for first in range(0, slots, CHUNK):
        for column in out:
            column += [next(taken) for _ in range(min(CHUNK, slots - first))]
    return out


def rows(seed: int, purpose: int, height: int, width: int, word: int = WORD) -> Matrix:
    """The first words of such a stream as the rows of a small matrix."""
    (sub_seed,) = stream(seed, 1, purpose)
    taken = words(sub_seed, height * width, word)
    return [taken[width * i : width * (i + 1)] for i in range(height)]


def less(left: Matrix, right: Matrix) -> Matrix:
    return [[a - b for a, b in zip(x, y, strict=True)] for x, y in zip(left, right, strict=True)]


def plus(left: Matrix, right: Matrix) -> Matrix:
    return [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(left, right, strict=True)]


def times(x: Matrix, y: Matrix) -> Matrix:
    """XᵀY, row by row."""
    return [[sum(a * b for a, b in zip(u, v, strict=True)) for v in y] for u in x]


def slotwise(x: Matrix, y: Matrix, pairs: Sequence[tuple[int, int]]) -> Matrix:
    """x_i·y_j in every slot."""
    return [[a * b for a, b in zip(x[i], y[j], strict=True)] for i, j in pairs]


def text(numbers: Matrix, width: int) -> str:
    """Numbers, row by row, modulo 2^(8 width)."""
    flat = (number for row in numbers for number in row)
    return b"".join((number % 256**width).to_bytes(width, "little") for number in flat).hex()


@dataclass(frozen=True)
class Masked:
    """A product that the coordinator multiplies: messages 5 and 6, and both shares."""

    sent: tuple[Matrix, Matrix]
    returned: Matrix
    shares: tuple[Matrix, Matrix]


def masked(x: Matrix, y: Matrix, seeds: tuple[int, int], blind: int, word: int = WORD) -> Masked:
    """seeds: of U and V; blind: the right member's seed s."""
    slots = len(x[0])
    u = drawn(seeds[0], FACTOR, slots, len(x), word)
    v = drawn(seeds[1], FACTOR, slots, len(y), word)
    r = rows(blind, PRODUCT, len(x), len(y), word)
    sent = less(x, u), less(y, v)
    returned = plus(times(*sent), r)
    left = plus(returned, times(x, v))
    return Masked(sent, returned, (left, less(times(u, sent[1]), r)))


def verified(
    x: Matrix, y: Matrix, seeds: tuple[int, int], blind: int, alpha: int
) -> tuple[Masked, list[int], list[int]]:
    """The product of a verified join, over X and one more column, and what either member compares."""
    factors = stream(alpha, len(x))
    checking = [
        sum(a * n for a, n in zip(factors, slot, strict=True)) for slot in zip(*x, strict=True)
    ]
    whole = masked([*x, checking], y, seeds, blind, WIDE)
    compared = []
    for share, sign in zip(whole.shares, (1, -1), strict=True):
        sums = times([factors], [list(column) for column in zip(*share[:-1], strict=True)])[0]
        compared.append([sign * (c - z) for c, z in zip(sums, share[-1], strict=True)])
    return whole, compared[0], compared[1]


@dataclass(frozen=True)
class Dealt:
    """A product of two parties with a dealer: what both send and B is dealt, and both shares."""

    sent: tuple[Matrix, Matrix]
    to_b: Matrix
    shares: tuple[Matrix, Matrix]


def dealt(
    x: Matrix, y: Matrix, seeds: tuple[int, int], pairs: Sequence[tuple[int, int]] | None = None
) -> Dealt:
    """XᵀY, or slot by slot the products of pairs of columns. seeds: of A and B."""
    slots = len(x[0])
    u, v = (drawn(seed, FACTOR, slots, len(own)) for seed, own in zip(seeds, (x, y), strict=True))

    def product(left: Matrix, right: Matrix) -> Matrix:
        return times(left, right) if pairs is None else slotwise(left, right, pairs)

    if pairs is None:
        w_a = rows(seeds[0], PRODUCT, len(x), len(y))
    else:
        w_a = drawn(seeds[0], PRODUCT, slots, len(pairs))
    sent = less(x, u), less(y, v)
    to_b = less(product(u, v), w_a)
    return Dealt(sent, to_b, (plus(product(x, sent[1]), w_a), plus(product(sent[0], v), to_b)))


def zero(key: bytes, outputs: int) -> list[int]:
    """A pair's words of zero, as the lesser member adds them."""
    said = blake3.keyed(key, b"fedsandbox zero sharing v1 outputs", WORD * outputs)
    return [int.from_bytes(said[i : i + WORD], "little") for i in range(0, len(said), WORD)]


def checking_words(key: int, tags: Sequence[int]) -> list[tuple[int, int]]:
    """h(x) and g(x) of tags."""
    return [(out % 2**64, out >> 64) for out in aes(key, tags)]


def matching_columns(
    key: int, tags: Sequence[int], check_keys: Sequence[int], *, left: bool
) -> Matrix:
    """Both columns of a member, at its tags, that check the slots."""
    both = checking_words(key, tags)
    if not left:
        return [[g for _, g in both], [1] * len(tags)]
    known = set(check_keys)
    against = [0 if x in known else -h * g for x, (h, g) in zip(tags, both, strict=True)]
    return [[h for h, _ in both], against]


def matching_check(key: int, share: Matrix, check_keys: Sequence[int], *, left: bool) -> int:
    """What a member compares, modulo 2^48."""
    own = share[0][0] + share[1][1]
    expected = sum(h * g for h, g in checking_words(key, check_keys))
    return (own if left else expected - own) % 2**48


# Vectors.

SEEDS: Final = (21, 22)
BLIND, ALPHA = 33, 44
SHAPES: Final = ((7, 1, 1, 8), (2048, 2, 3, 4), (4099, 3, 2, 5))
"""Slots, columns of either factor, bytes of a word."""


def factor(slots: int, columns: int, seed: int) -> tuple[list[int], Matrix, Matrix]:
    """Slots of a few rows, the rows' columns, and these over all slots."""
    count = slots // 2 + 1
    places = [(5 * i + seed) % slots for i in range(count)]
    values = [words(1000 * seed + j, count, WORD) for j in range(columns)]
    matrix = [[0] * slots for _ in range(columns)]
    for column, own in zip(matrix, values, strict=True):
        for place, value in zip(places, own, strict=True):
            column[place] = value
    return places, values, matrix


def modulo(parts: Sequence[Matrix], ring: int) -> Matrix:
    total = plus(*parts)
    return [[number % ring for number in row] for row in total]


def product_vectors(slots: int, p: int, q: int, width: int) -> dict[str, Any]:
    x, y = factor(slots, p, 1)[2], factor(slots, q, 2)[2]
    pairs = [(i % p, i % q) for i in range(max(p, q))]
    plain = masked(x, y, SEEDS, BLIND)
    checked, of_left, of_right = verified(x, y, SEEDS, BLIND, ALPHA)
    wide = width + 5
    sums, products = dealt(x, y, SEEDS), dealt(x, y, SEEDS, pairs)
    if modulo(plain.shares, 2**64) != modulo((times(x, y), [[0] * q] * p), 2**64):
        raise AssertionError("the shares do not add to the product")
    if modulo([[of_left], [[-n for n in of_right]]], 256**wide) != [[0] * q]:
        raise AssertionError("the checks differ")
    return {
        "slots": slots,
        "p": p,
        "q": q,
        "width": width,
        "masked": {
            "left": digest(wire(plain.sent[0], width)),
            "right": digest(wire(plain.sent[1], width)),
            "returned": text(plain.returned, width),
            "shares": [text(share, width) for share in plain.shares],
        },
        "verified": {
            "left": digest(wire(checked.sent[0], wide)),
            "right": digest(wire(checked.sent[1], wide)),
            "returned": text(checked.returned, wide),
            "shares": [text(share[:-1], min(WORD, wide)) for share in checked.shares],
            "check": b"".join((n % 256**wide).to_bytes(16, "little") for n in of_left).hex(),
        },
        "dealt": {
            "left": digest(wire(sums.sent[0], WORD)),
            "right": digest(wire(sums.sent[1], WORD)),
            "to_b": text(sums.to_b, WORD),
            "shares": [text(share, WORD) for share in sums.shares],
        },
        "slotwise": {
            "pairs": pairs,
            "to_b": digest(wire(products.to_b, WORD)),
            "shares": [digest(wire(share, WORD)) for share in products.shares],
        },
    }


def matching_vectors() -> dict[str, Any]:
    """Four members' tags, of which two are check keys."""
    key, tags = 55, stream(66, 4)
    check_keys = tags[:2]
    columns = {
        side: text(matching_columns(key, tags, check_keys, left=side == "left"), WORD)
        for side in ("left", "right")
    }
    x, y = (matching_columns(key, tags, check_keys, left=left) for left in (True, False))
    whole = masked(x, y, SEEDS, BLIND)
    checks = [
        matching_check(key, share, check_keys, left=left)
        for share, left in zip(whole.shares, (True, False), strict=True)
    ]
    if checks[0] != checks[1]:
        raise AssertionError("the checks differ")
    return {
        "key": to_bytes([key]).hex(),
        "tags": to_bytes(tags).hex(),
        "check_keys": len(check_keys),
        "columns": columns,
        "shares": [text(share, WORD) for share in whole.shares],
        "check": checks[0].to_bytes(6, "little").hex(),
    }


def vectors() -> dict[str, Any]:
    key = bytes(range(32))
    return {
        "products": [product_vectors(*shape) for shape in SHAPES],
        "zero": {"key": key.hex(), "words": text([zero(key, 20)], WORD)},
        "matching": matching_vectors(),
    }


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(json.dumps(vectors(), indent=1) + "\n")
