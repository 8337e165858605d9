"""Uniform orders from a seed by a slow model of native/src/keys/permutation.rs: permutation.json.

No peer has to draw an order alike: what is held here is that seeds mean the same on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.vectors.native import blake3
from tests.vectors.native.blocks import words
from tests.vectors.native.ot import digest

BUCKET_ITEMS: Final = 2**14
SEGMENT: Final = 2**16
SIZES: Final = (0, 1, 10, 5000, 2**14, 70_000)
SEED: Final = bytes(range(32))


def sub_seed(seed: bytes, purpose: bytes, number: int) -> int:
    text = b"fedsandbox permutation v1 " + purpose + number.to_bytes(8, "little")
    return int.from_bytes(blake3.keyed(seed, text, 16), "little")


def labels(seed: bytes, items: int, buckets: int) -> list[int]:
    """The bucket of each item: a 16-bit word of its segment's stream."""
    out: list[int] = []
    for segment in range(-(-items // SEGMENT)):
        count = min(SEGMENT, items - segment * SEGMENT)
        out += [word % buckets for word in words(sub_seed(seed, b"segment", segment), count, 2)]
    return out


def shuffled(items: list[int], seed: int) -> list[int]:
    """Fisher and Yates, from the end; indices from 32-bit words as in Lemire 2019, algorithm 5."""
    drawn: Iterator[int] = iter(words(seed, 2 * len(items) + 64, 4))
    for last in reversed(range(1, len(items))):
        bound = last + 1
        product = next(drawn) * bound
        while product % 2**32 < 2**32 % bound:
            product = next(drawn) * bound
        at = product >> 32
        items[last], items[at] = items[at], items[last]
    return items


def permutation(seed: bytes, items: int) -> list[int]:
    buckets = 1
    while buckets < items // BUCKET_ITEMS + 1:
        buckets *= 2
    buckets = min(buckets, 2**12)
    rooms: list[list[int]] = [[] for _ in range(buckets)]
    for item, label in enumerate(labels(seed, items, buckets) if buckets > 1 else [0] * items):
        rooms[label].append(item)
    return [
        item
        for number, room in enumerate(rooms)
        for item in shuffled(room, sub_seed(seed, b"buckets", number))
    ]


def vectors() -> dict[str, Any]:
    orders = []
    for items in SIZES:
        order = permutation(SEED, items)
        text = b"".join(item.to_bytes(4, "little") for item in order)
        orders.append({"items": items, "first": order[:10], "order": digest(text)})
    return {"seed": SEED.hex(), "orders": orders}


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(json.dumps(vectors(), indent=1) + "\n")
