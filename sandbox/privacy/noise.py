"""Noise: its law, and where it is drawn.

A `Law` is one discrete distribution on the integers. `Sampler` is what a node draws from:
production passes `OpenDPSampler` (the operating system's CSPRNG through OpenDP); tests pass their
own. The laws and their samplers: Canonne, Kamath, Steinke 2020, "The Discrete Gaussian for
Differential Privacy".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Protocol

from sandbox.errors import InputError

MAX_SCALE = 2**54
"""Largest scale: 64-bit saturation is then more than 500 scales away."""
_LN2_ABOVE = Fraction(693148, 10**6)


class Mechanism(Enum):
    """The two families of noise; both are sampled on the integers."""

    GAUSSIAN = "discrete_gaussian"
    LAPLACE = "discrete_laplace"


@dataclass(frozen=True)
class Law:
    """Discrete Gaussian with sigma = `scale`, or discrete Laplace with P(x) ~ exp(-|x|/scale).

    Raises InputError SB-2200 unless 0 < scale <= 2^54 (OpenDP itself takes 0, whose loss is
    infinite).
    """

    mechanism: Mechanism
    scale: Fraction

    def __post_init__(self) -> None:
        finite = isinstance(self.scale, int | Fraction) or math.isfinite(self.scale)
        if not finite or not 0 < self.scale <= MAX_SCALE:
            raise InputError("SB-2200", scale=str(self.scale), limit="2^54")
        object.__setattr__(self, "scale", Fraction(self.scale))

    @property
    def variance(self) -> float:
        """Variance of one draw; the discrete Gaussian's differs from sigma^2 by < 10^-14 for
        sigma >= 1.5 (Canonne, Kamath, Steinke 2020, section 2.2)."""
        scale = float(self.scale)
        if self.mechanism is Mechanism.GAUSSIAN:
            return scale * scale
        return 0.5 / math.sinh(0.5 / scale) ** 2


class Sampler(Protocol):
    """Draws noise. One method, so that a test may pass its own and production passes OpenDP's."""

    protected: bool
    """False only for tests' samplers: receipts then say UNPROTECTED and fail verification."""

    def draw(self, law: Law, count: int) -> Sequence[int]:
        """Return `count` independent draws of `law`."""
        ...


class OpenDPSampler:
    """Draws from the operating system's CSPRNG through OpenDP's integer mechanisms."""

    protected = True

    def draw(self, law: Law, count: int) -> Sequence[int]:
        """Return `count` independent draws of `law`; about 20 microseconds each.

        The scale given to OpenDP is the least double that is not below `law.scale`.
        """
        if count == 0:
            return []
        # OpenDP's import takes 0.7 s, which only a process that draws should pay.
        import opendp.prelude as dp

        dp.enable_features("contrib")
        zeros = dp.vector_domain(dp.atom_domain(T="i64"), size=count)
        scale = float_above(law.scale)
        if law.mechanism is Mechanism.GAUSSIAN:
            mechanism = dp.m.make_gaussian(zeros, dp.l2_distance(T="i64"), scale)
        else:
            mechanism = dp.m.make_laplace(zeros, dp.l1_distance(T="i64"), scale)
        draws: list[int] = mechanism([0] * count)
        return draws


def float_above(value: Fraction) -> float:
    """Return the least double >= value."""
    nearest = float(value)
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)


def tail_bound(laws: Sequence[Law], log2_probability: int = 64) -> int:
    """Return t with P(|sum of one draw of each law| > t) < 2^-log2_probability.

    Discrete Gaussians are subgaussian with parameter sigma, so their variances add (Canonne,
    Kamath, Steinke 2020, corollary 17); discrete Laplace tails are 2 exp(-t/scale) and their bounds
    add, each at its share of the probability.
    """
    exponent = log2_probability + 1 + len(laws).bit_length()
    nats = _LN2_ABOVE * exponent
    gaussian = sum((x.scale**2 for x in laws if x.mechanism is Mechanism.GAUSSIAN), Fraction(0))
    laplace = sum((x.scale for x in laws if x.mechanism is Mechanism.LAPLACE), Fraction(0))
    bound = math.ceil(laplace * nats)
    if gaussian:
        bound += math.isqrt(math.ceil(2 * gaussian * nats)) + 1
    return bound
