"""Samplers for tests: exact and seeded, fast for mass simulation, and none at all."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sandbox.privacy.noise import Law, Mechanism


class ZeroNoise:
    """Draws zeros: receipts of such a node say UNPROTECTED."""

    protected = False

    def draw(self, law: Law, count: int) -> Sequence[int]:
        """Return `count` zeros."""
        return [0] * count


class SeededSampler:
    """Exact draws from a seeded generator by integer arithmetic alone (Canonne, Kamath, Steinke
    2020, algorithms 1-3)."""

    protected = False

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def draw(self, law: Law, count: int) -> Sequence[int]:
        """Return `count` exact draws; about 20 microseconds each."""
        one = self._gaussian if law.mechanism is Mechanism.GAUSSIAN else self._laplace
        return [one(law.scale) for _ in range(count)]

    def _bernoulli_exp(self, numerator: int, denominator: int) -> bool:
        """True with probability exp(-numerator/denominator); algorithm 1."""
        while numerator > denominator:
            if not self._bernoulli_exp(1, 1):
                return False
            numerator -= denominator
        k = 1
        while self._random.randrange(denominator * k) < numerator:
            k += 1
        return k % 2 == 1

    def _laplace(self, scale: Fraction) -> int:
        """Algorithm 2."""
        s, t = scale.denominator, scale.numerator
        while True:
            u = self._random.randrange(t)
            if not self._bernoulli_exp(u, t):
                continue
            v = 0
            while self._bernoulli_exp(1, 1):
                v += 1
            size = (u + t * v) // s
            negative = self._random.getrandbits(1)
            if size or not negative:
                return -size if negative else size

    def _gaussian(self, sigma: Fraction) -> int:
        """Algorithm 3."""
        t = math.floor(sigma) + 1
        square = sigma**2
        while True:
            y = self._laplace(Fraction(t))
            gamma = (abs(y) - square / t) ** 2 / (2 * square)
            if self._bernoulli_exp(gamma.numerator, gamma.denominator):
                return y


def pmf(law: Law, reach: int) -> NDArray[np.float64]:
    """Return P(-reach) .. P(reach), normalised."""
    k = np.arange(-reach, reach + 1, dtype=np.float64)
    scale = float(law.scale)
    if law.mechanism is Mechanism.GAUSSIAN:
        weights = np.exp(-(k**2) / (2 * scale**2))
    else:
        weights = np.exp(-np.abs(k) / scale)
    return weights / weights.sum()


def mass_draw(law: Law, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return many draws by the inverse of the distribution function; above scale 10^4, where the
    lattice is finer than any simulation sees, by rounding continuous draws."""
    scale = float(law.scale)
    if scale > 1e4:
        gaussian = law.mechanism is Mechanism.GAUSSIAN
        draws = rng.normal(0, scale, shape) if gaussian else rng.laplace(0, scale, shape)
        return np.rint(draws).astype(np.int64)
    reach = math.ceil(40 * scale) + 10
    return np.searchsorted(np.cumsum(pmf(law, reach)), rng.random(shape)) - reach
