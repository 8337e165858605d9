"""How far apart codewords of the VOLE's code (native/src/vole/code.rs) are: a first-moment bound.

`python -m tests.vectors.native.code_distance 8192 524288` prints log2 of the expected number of
codewords of relative weight at most d over uniform permutations and matrices. Weights are summed one by
one up to n = 4096, beyond that on a grid whose points stand for their gaps; the outer code is counted
exactly up to weight 12 and by Chernoff's bound above.
"""

from __future__ import annotations

import sys
from math import comb, lgamma

import numpy as np
from numpy.typing import NDArray

SIGMA = 32
Array = NDArray[np.float64]


def block_weights() -> Array:
    """Expected words of each weight in one block: a nonzero message beside a uniform product."""
    weights = np.zeros(2 * SIGMA + 1)
    for i in range(1, SIGMA + 1):
        for j in range(SIGMA + 1):
            weights[i + j] += comb(SIGMA, i) * comb(SIGMA, j) * 2.0**-SIGMA
    return weights


def outer_weights(n: int) -> Array:
    """ln of the expected number of words of each weight of n/64 blocks, or more."""
    blocks = n // (2 * SIGMA)
    one = block_weights()
    tilt = np.linspace(-14, 3, 3000)
    whole = np.log1p(sum(one[v] * np.exp(tilt * v) for v in range(len(one))))
    counts = np.full(n + 1, np.inf)
    for t, value in zip(tilt, whole, strict=True):
        counts = np.minimum(counts, blocks * value - np.arange(n + 1) * t)
    exact = np.full(13, -np.inf)
    power = np.ones(1)
    for active in range(1, min(12, blocks) + 1):  # a word of weight 12 has at most 12 active blocks
        power = np.convolve(power, one)[:13]
        choices = lgamma(blocks + 1) - lgamma(active + 1) - lgamma(blocks - active + 1)
        with np.errstate(divide="ignore"):
            exact[: len(power)] = np.logaddexp(exact[: len(power)], np.log(power) + choices)
    counts[:13] = exact
    return counts


def expected_words(n: int, distances: tuple[float, ...]) -> list[float]:
    """log2 of the expected number of codewords of weight at most d·n, for each d."""
    factorial = np.concatenate([[0], np.cumsum(np.log(np.arange(1, n + 2)))])

    def choose(a: NDArray[np.int64], b: int) -> Array:
        possible = (b >= 0) & (b <= a)
        value = factorial[np.maximum(a, 0)] - factorial[max(b, 0)] - factorial[np.clip(a - b, 0, n)]
        return np.where(possible, value, -np.inf)

    if n <= 4096:
        grid = np.arange(1, n + 1)
    else:
        coarse = np.round(np.geomspace(400, n, 1600)).astype(np.int64)
        grid = np.unique(np.concatenate([np.arange(1, 400), coarse]))
    gaps = np.log(np.diff(np.append(grid, n + 1)))

    def accumulate(counts: Array) -> Array:
        after = np.full(len(grid), -np.inf)
        for weight, count in zip(grid.tolist(), counts + gaps, strict=True):
            moved = choose(n - grid, weight // 2) + choose(grid - 1, (weight + 1) // 2 - 1)
            after = np.logaddexp(after, count + moved - choose(np.array([n]), weight))
        return after

    words = accumulate(accumulate(outer_weights(n)[grid]))
    below = np.logaddexp.accumulate(words + gaps) / np.log(2)
    return [float(below[np.searchsorted(grid, d * n, side="right") - 1]) for d in distances]


if __name__ == "__main__":
    for size in map(int, sys.argv[1:]):
        for d, bits in zip(
            ds := (0.05, 0.1, 0.105, 0.108, 0.11), expected_words(size, ds), strict=True
        ):
            sys.stdout.write(f"n = {size}, d = {d}: 2^{bits:.1f}\n")
