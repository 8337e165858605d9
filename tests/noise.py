"""Samplers for tests: exact and seeded, and none at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sandbox.privacy.noise import Law, Mechanism

Integers = NDArray[np.int64]
WIDEST = 2**57
"""Largest numerator of a scale: (u + t v) then fits 64 bits for v up to 60, P(v > 60) < 2^-86."""


class ZeroNoise:
    """Draws zeros: receipts of such a node say UNPROTECTED."""

    protected = False

    def draw(self, law: Law, count: int) -> Sequence[int]:
        """Return `count` zeros."""
        return [0] * count


class SeededSampler:
    """Exact draws from a seeded generator (Canonne, Kamath, Steinke 2020, algorithms 1-3).

    Many at once: a coin of probability exp(-x) compares a 64-bit uniform with exp(-x) in floating
    point, and where the two are too close for that (once in 10^10 coins), goes on with further
    random bits in decimal arithmetic. No draw depends on a rounding.
    """

    protected = False

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def draw(self, law: Law, count: int) -> Sequence[int]:
        """Return `count` exact draws."""
        drawn: list[int] = self.array(law, (count,)).tolist()
        return drawn

    def array(self, law: Law, shape: tuple[int, ...]) -> Integers:
        """Return an array of exact draws; about a microsecond each."""
        one = self._gaussian if law.mechanism is Mechanism.GAUSSIAN else self._laplace
        return one(law.scale, math.prod(shape)).reshape(shape)

    def _coins(self, numerator: Integers, denominator: int) -> NDArray[np.bool_]:
        """Return coins of probability exp(-numerator / denominator)."""
        return self._compare(
            numerator / denominator, lambda i: Fraction(int(numerator[i]), denominator)
        )

    def _compare(self, x: NDArray[np.float64], exact) -> NDArray[np.bool_]:  # type: ignore[no-untyped-def]
        uniform = self._rng.integers(0, 2**64, size=x.shape, dtype=np.uint64)
        gap = uniform / 2.0**64 - np.exp(-x)
        heads: NDArray[np.bool_] = gap < 0
        for i in np.flatnonzero(np.abs(gap) < 1e-10 * (1 + x)):
            heads[i] = self._close(int(uniform[i]), exact(i))
        return heads

    def _close(self, uniform: int, x: Fraction) -> bool:
        """Tell whether the uniform, drawn on to 256 bits, is below exp(-x)."""
        bits = (uniform << 192) | int.from_bytes(self._rng.bytes(24))
        with localcontext(Context(prec=90)):
            chance = (-Decimal(x.numerator) / Decimal(x.denominator)).exp()
            return Decimal(bits) < chance * 2**256

    def _laplace(self, scale: Fraction, count: int) -> Integers:
        """Algorithm 2."""
        s, t = scale.denominator, scale.numerator
        assert t <= WIDEST
        found = np.empty(0, dtype=np.int64)
        while found.size < count:
            u = self._rng.integers(0, t, size=2 * (count - found.size) + 16)
            u = u[self._coins(u, t)]
            v = np.zeros(u.size, dtype=np.int64)
            going = np.arange(u.size)
            while going.size:
                going = going[self._coins(np.ones(going.size, dtype=np.int64), 1)]
                v[going] += 1
            size = (u + t * v) // s
            negative = self._rng.integers(0, 2, size=u.size).astype(bool)
            kept = ~(negative & (size == 0))
            found = np.concatenate((found, np.where(negative, -size, size)[kept]))
        return found[:count]

    def _gaussian(self, sigma: Fraction, count: int) -> Integers:
        """Algorithm 3."""
        t, square = math.floor(sigma) + 1, sigma**2
        found = np.empty(0, dtype=np.int64)
        while found.size < count:
            y = self._laplace(Fraction(t), 2 * (count - found.size) + 16)

            def exact(i: int, y: Integers = y) -> Fraction:
                return (abs(int(y[i])) - square / t) ** 2 / (2 * square)

            gamma = (np.abs(y) - float(square / t)) ** 2 / float(2 * square)
            found = np.concatenate((found, y[self._compare(gamma, exact)]))
        return found[:count]


def pmf(law: Law, reach: int) -> NDArray[np.float64]:
    """Return P(-reach) .. P(reach), normalised."""
    k = np.arange(-reach, reach + 1, dtype=np.float64)
    scale = float(law.scale)
    if law.mechanism is Mechanism.GAUSSIAN:
        weights = np.exp(-(k**2) / (2 * scale**2))
    else:
        weights = np.exp(-np.abs(k) / scale)
    return weights / weights.sum()
