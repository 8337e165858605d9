"""A slow model of the VOLE's compressing code (native/src/vole/code.rs), written from its description.

`python -m tests.vectors.native.code` writes code.json: for each size, what the entries of AES-CTR under
seed 7 compress to.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.vectors.native.blocks import words

SIZES = (32, 96, 800)
PI = "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89452821e638d01377be5466cf34e90c6c"
FIRST, SECOND, MATRICES = (int(PI[i : i + 32], 16) for i in (0, 32, 64))
SIGMA = 32


def permutation(length: int, seed: int) -> list[int]:
    places = list(range(length))
    for i, word in list(enumerate(words(seed, length, 8)))[1:]:
        j = word * (i + 1) // 2**64
        places[i], places[j] = places[j], places[i]
    return places


def prefix_sums(entries: list[int]) -> list[int]:
    sums, total = [], 0
    for entry in entries:
        total ^= entry
        sums.append(total)
    return sums


def compress(noise: list[int]) -> list[int]:
    """Of 2k entries the k that remain."""
    k = len(noise) // 2
    for seed in (FIRST, SECOND):
        sums = prefix_sums(noise)
        noise = [sums[place] for place in permutation(2 * k, seed)]
    rows = words(MATRICES, k, 4)
    out = []
    for i in range(k):
        block = i // SIGMA * SIGMA
        value = noise[i]
        for j in range(SIGMA):
            if rows[i] >> j & 1:
                value ^= noise[k + block + j]
        out.append(value)
    return out


def vectors() -> list[dict[str, object]]:
    compressed = ((k, compress(words(7, 2 * k, 16))) for k in SIZES)
    return [
        {"outputs": k, "compressed": [f"{value:032x}" for value in out]} for k, out in compressed
    ]


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(json.dumps(vectors(), indent=1) + "\n")
