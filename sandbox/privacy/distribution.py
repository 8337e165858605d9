"""Distribution of summed noise: exact on its lattice where that shows, normal-like where not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sandbox.privacy.noise import Law, Mechanism

Laws = tuple[Law, ...]
"""The laws that the nodes drew one integer's noise from; the noises are independent."""
TERMS = 1 << 17
"""Longest table of probabilities; beyond it the lattice is finer than 1/1000 of sigma."""
REACH = 12
"""Standard deviations a table reaches (Laplace: P < 2^-24 outside, folded back)."""
COARSE = 100
_LAPLACE_KURTOSIS = 3.0


def variance(laws: Laws) -> float:
    """Return the variance of one draw of each law, summed."""
    return math.fsum(law.variance for law in laws)


def kurtosis(laws: Laws) -> float:
    """Return the excess kurtosis of the sum: 0 for Gaussians, 3 for one Laplace."""
    total = variance(laws)
    if not total:
        return 0.0
    fourth = (law.variance**2 for law in laws if law.mechanism is Mechanism.LAPLACE)
    return _LAPLACE_KURTOSIS * math.fsum(fourth) / total**2


def radius(level: float, excess: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return c with P(|X| <= c sd) = level for a sum X of this excess kurtosis.

    Exact for a Gaussian and for one Laplace, linear between: within 0.02 for sums of Laplaces.
    """
    gaussian = NormalDist().inv_cdf((1 + level) / 2)
    laplace = -math.log(1 - level) / math.sqrt(2)
    return gaussian + np.asarray(excess) / _LAPLACE_KURTOSIS * (laplace - gaussian)


def tail(distance: NDArray[np.float64], excess: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return P(X > distance sd) for a sum X of this excess kurtosis, between the same two."""
    far = np.clip(distance, 0, 30)
    gaussian = 0.5 * np.vectorize(math.erfc)(far / math.sqrt(2))
    laplace = 0.5 * np.exp(-math.sqrt(2) * far)
    return np.asarray(gaussian + excess / _LAPLACE_KURTOSIS * (laplace - gaussian))


@lru_cache(maxsize=1024)
def half_width(terms: tuple[tuple[int, Laws], ...], level: float) -> tuple[float, float]:
    """Return (w, true level) with P(|sum coefficient * noise| <= w) = true level >= level, w least.

    `terms`: integer coefficients with the laws of independent noises. From the exact lattice
    distribution where it fits a table, else from the limit, whose level is then the one asked.
    """
    spread = math.sqrt(math.fsum(c * c * variance(laws) for c, laws in terms))
    if spread == 0:
        return 0.0, 1.0
    size = 1 << math.ceil(math.log2(2 * REACH * spread + 64))
    if size > TERMS:
        fourth = math.fsum(c**4 * variance(x) ** 2 * kurtosis(x) for c, x in terms)
        return float(radius(level, fourth / spread**4)) * spread, level
    probabilities = _pmf(terms, size)
    within = np.cumsum(np.concatenate(([probabilities[0]], 2 * probabilities[1 : size // 2])))
    w = int(np.searchsorted(within, level - 1e-12))
    return float(w), float(within[w])


def chances(laws: Laws) -> tuple[float, ...] | None:
    """Return P(sum = k) for k = 0 .. 12 standard deviations; None where there are over 100 of them
    to an integer and the lattice no longer shows."""
    spread = math.sqrt(variance(laws))
    if not 0 < spread <= COARSE:
        return None
    reach = math.ceil(REACH * spread)
    size = 1 << math.ceil(math.log2(2 * REACH * spread + 64))
    return tuple(_pmf(((1, laws),), size)[: reach + 1].tolist())


def _pmf(terms: Sequence[tuple[int, Laws]], size: int) -> NDArray[np.float64]:
    """Return P(sum = k mod size) for k = 0 .. size-1, by the discrete Fourier transform."""
    transform = np.ones(size // 2 + 1)
    for coefficient, laws in terms:
        for law in laws:
            table = np.zeros(size)
            reach = math.ceil(REACH * float(law.scale)) + 16
            k = np.arange(-reach, reach + 1)
            np.add.at(table, (k * coefficient) % size, _weights(law, k))
            transform = transform * np.fft.rfft(table / table.sum()).real  # symmetric: real
    return np.clip(np.fft.irfft(transform, size), 0, None)


def _weights(law: Law, k: NDArray[np.int64]) -> NDArray[np.float64]:
    scale = float(law.scale)
    if law.mechanism is Mechanism.GAUSSIAN:
        return np.exp(-(k**2) / (2 * scale * scale))
    return np.exp(-np.abs(k) / scale)
