"""The clustered OKVS decoded by an independent, slow model, which writes okvs.json when run.

Raghuraman and Rindal 2022 (eprint 2022/320), §3-4, as docs/protocols.md, section 3, has it. Encodings
are AES streams: decoding is linear and defined for every vector.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.vectors.native.blocks import hashed, polynomial, stream, to_bytes, total

BIN_ITEMS: Final = 2**14
CASES: Final = ((1, 1), (2, 1), (37, 5), (1000, 1), (2**14, 8), (2**14 + 1, 1), (100_000, 64))


@dataclass(frozen=True)
class Shape:
    bins: int
    capacity: int
    sparse: int
    dense: int

    @property
    def length(self) -> int:
        return self.bins * (self.sparse + self.dense)


def log2_overflow(items: int, bins: int, most: int) -> float:
    """log2 of bins times P[Binomial(items, 1/bins) > most]."""
    tail = 0.0
    for load in range(most + 1, min(items, most + 2000) + 1):
        choose = math.lgamma(items + 1) - math.lgamma(load + 1) - math.lgamma(items - load + 1)
        tail += math.exp(choose - load * math.log(bins) + (items - load) * math.log1p(-1 / bins))
    return math.log2(bins * tail) if tail else -math.inf


def capacity(items: int, bins: int, security: float) -> int:
    """The least load that the fullest bin exceeds with probability 2^-security at most."""
    load = items // bins
    step = 1 << 20
    while step:
        if log2_overflow(items, bins, load + step) > -security:
            load += step
        else:
            step //= 2
    return load + 1


def shape(items: int, buckets: int) -> Shape:
    bins = -(-items // BIN_ITEMS)
    security = 40 + math.log2(bins) + math.log2(buckets)
    most = items if bins == 1 else capacity(items, bins, security)
    w = math.log2(3)
    slope = 2 ** (0.555 * math.log2(most) + 0.093 * w**3 - 1.01 * w**2 + 2.925 * w - 0.133)
    expansion = 1.223 + (security + 9.2) / slope
    dense = math.floor(security / math.log2(expansion * most))
    return Shape(bins, most, max(3, math.floor(expansion * most)), dense)


@dataclass(frozen=True)
class Row:
    """Where a key reads: its three sparse columns, where its bin's dense ones begin, and its hash."""

    columns: tuple[int, ...]
    dense: int
    hash: int


def row(where: Shape, seed: int, key: int) -> Row:
    (hash_,) = hashed(seed, [key])
    words = [hash_ >> shift & 0xFFFFFFFF for shift in (0, 32, 64, 96)]
    chosen: list[int] = []
    for i in range(3):
        free = [column for column in range(where.sparse) if column not in chosen]
        chosen.append(free[words[i] * len(free) >> 32])
    start = (words[3] * where.bins >> 32) * (where.sparse + where.dense)
    return Row(tuple(start + column for column in chosen), start + where.sparse, hash_)


def decode(where: Shape, seed: int, key: int, encoding: Sequence[int]) -> int:
    """The three sparse columns of the key's bin, and the dense ones times the powers of its hash."""
    reads = row(where, seed, key)
    value = total(encoding[column] for column in reads.columns)
    dense = encoding[reads.dense : reads.dense + where.dense]
    return value ^ polynomial(reads.hash, [0, *dense])


def encode(where: Shape, seed: int, keys: Sequence[int], values: Sequence[int]) -> list[int] | None:
    """A vector that decodes each key to its value, or None where peeling alone finds none.

    Which of many, and under which seed, is its maker's choice: the kernel's may be another.
    """
    columns = [row(where, seed, key).columns for key in keys]
    readers: dict[int, set[int]] = {}
    for number, own in enumerate(columns):
        for column in own:
            readers.setdefault(column, set()).add(number)
    lonely = [column for column, numbers in readers.items() if len(numbers) == 1]
    solved: list[tuple[int, int]] = []
    while lonely:
        column = lonely.pop()
        if not readers[column]:
            continue
        (number,) = readers[column]
        solved.append((number, column))
        for other in columns[number]:
            readers[other].discard(number)
            if len(readers[other]) == 1:
                lonely.append(other)
    if len(solved) < len(keys):
        return None
    encoding = [0] * where.length
    for number, column in reversed(solved):
        others = (encoding[other] for other in columns[number])
        encoding[column] = values[number] ^ total(others)
    return encoding


def main() -> None:
    cases = []
    for number, (items, buckets) in enumerate(CASES):
        where = shape(items, buckets)
        encoding = stream(number, where.length)
        seed, keys = 1000 + number, stream(2000 + number, 6)
        values = [decode(where, seed, key, encoding) for key in keys]
        cases.append(
            {
                "items": items,
                "buckets": buckets,
                "length": where.length,
                "encoding_seed": to_bytes([number]).hex(),
                "seed": to_bytes([seed]).hex(),
                "keys": to_bytes(keys).hex(),
                "values": to_bytes(values).hex(),
            }
        )
    Path(__file__).with_name("okvs.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
