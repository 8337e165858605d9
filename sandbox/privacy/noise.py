"""Noise: its law, and where it is drawn.

A `Law` is one discrete distribution on the integers. `Sampler` is what a node draws from: production
passes `OpenDPSampler` (the operating system's CSPRNG through OpenDP); tests pass their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Protocol


class Mechanism(Enum):
    """The two families of noise; both are sampled on the integers."""

    GAUSSIAN = "discrete_gaussian"
    LAPLACE = "discrete_laplace"


@dataclass(frozen=True)
class Law:
    """Discrete Gaussian with sigma = `scale`, or discrete Laplace with P(x) ~ exp(-|x|/scale)."""

    mechanism: Mechanism
    scale: Fraction


class Sampler(Protocol):
    """Draws noise. One method, so that a test may pass its own and production passes OpenDP's."""

    protected: bool
    """False only for tests' samplers: receipts then say UNPROTECTED and fail verification."""

    def draw(self, law: Law, count: int) -> Sequence[int]:
        """Return `count` independent draws of `law`."""
        ...
