"""The clustered OKVS decoded by an independent, slow model, which writes okvs.json when run.

Raghuraman and Rindal 2022 (eprint 2022/320), §3-4, and the formulas of their code for its sizes; where
a key's hash is cut into bin and columns, as native/src/okvs/hashing.rs states it. Encodings are AES
streams: decoding is linear and defined for every vector.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BIN_ITEMS: Final = 2**14
CASES: Final = ((1, 1), (2, 1), (37, 5), (1000, 1), (2**14, 8), (2**14 + 1, 1), (100_000, 64))


def aes(key: bytes, blocks: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(blocks)  # noqa: S305 - a permutation is wanted


def stream(seed: int, blocks: int) -> list[int]:
    """AES under a small seed over little-endian counters."""
    counters = b"".join(i.to_bytes(16, "little") for i in range(blocks))
    text = aes(seed.to_bytes(16, "little"), counters)
    return [int.from_bytes(text[i : i + 16], "little") for i in range(0, len(text), 16)]


def multiply(a: int, b: int) -> int:
    """In GF(2^128) modulo x^128 + x^7 + x^2 + x + 1, by the definition."""
    product = 0
    for bit in range(128):
        if b >> bit & 1:
            product ^= a << bit
    for bit in reversed(range(128, 255)):
        if product >> bit & 1:
            product ^= (1 << 128 | 0x87) << (bit - 128)
    return product


@dataclass(frozen=True)
class Shape:
    bins: int
    sparse: int
    dense: int

    @property
    def length(self) -> int:
        return self.bins * (self.sparse + self.dense)


def log2_overflow(items: int, bins: int, capacity: int) -> float:
    """log2 of bins times P[Binomial(items, 1/bins) > capacity]."""
    total = 0.0
    for load in range(capacity + 1, min(items, capacity + 2000) + 1):
        choose = math.lgamma(items + 1) - math.lgamma(load + 1) - math.lgamma(items - load + 1)
        total += math.exp(choose - load * math.log(bins) + (items - load) * math.log1p(-1 / bins))
    return math.log2(bins * total) if total else -math.inf


def shape(items: int, buckets: int) -> Shape:
    bins = -(-items // BIN_ITEMS)
    security = 40 + math.log2(bins) + math.log2(buckets)
    capacity = items
    if bins > 1:
        capacity = items // bins
        while log2_overflow(items, bins, capacity) > -security:
            capacity += 1
    w = math.log2(3)
    slope = 2 ** (0.555 * math.log2(capacity) + 0.093 * w**3 - 1.01 * w**2 + 2.925 * w - 0.133)
    expansion = 1.223 + (security + 9.2) / slope
    dense = math.floor(security / math.log2(expansion * capacity))
    return Shape(bins, math.floor(expansion * capacity), dense)


def decode(where: Shape, seed: bytes, key: int, encoding: list[int]) -> int:
    """The three sparse columns of the key's bin, and the dense ones times the powers of its hash."""
    hashed = int.from_bytes(aes(seed, key.to_bytes(16, "little")), "little") ^ key
    words = [hashed >> shift & 0xFFFFFFFF for shift in (0, 32, 64, 96)]
    chosen: list[int] = []
    for i in range(3):
        free = [column for column in range(where.sparse) if column not in chosen]
        chosen.append(free[words[i] * len(free) >> 32])
    start = (words[3] * where.bins >> 32) * (where.sparse + where.dense)
    value, power = 0, 1
    for column in chosen:
        value ^= encoding[start + column]
    for coefficient in encoding[start + where.sparse :][: where.dense]:
        power = multiply(power, hashed)
        value ^= multiply(power, coefficient)
    return value


def main() -> None:
    cases = []
    for number, (items, buckets) in enumerate(CASES):
        where = shape(items, buckets)
        encoding = stream(number, where.length)
        seed, keys = (1000 + number).to_bytes(16, "little"), stream(2000 + number, 6)
        values = [decode(where, seed, key, encoding) for key in keys]
        cases.append(
            {
                "items": items,
                "buckets": buckets,
                "length": where.length,
                "encoding_seed": number.to_bytes(16, "little").hex(),
                "seed": seed.hex(),
                "keys": b"".join(key.to_bytes(16, "little") for key in keys).hex(),
                "values": b"".join(value.to_bytes(16, "little") for value in values).hex(),
            }
        )
    Path(__file__).with_name("okvs.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
