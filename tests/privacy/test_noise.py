"""The laws of noise: what is refused, and that samplers follow them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from sandbox.errors import InputError
from sandbox.privacy.noise import (
    MAX_SCALE,
    Law,
    Mechanism,
    OpenDPSampler,
    float_above,
    tail_bound,
)
from tests.noise import SeededSampler, ZeroNoise, pmf

LAWS = [
    Law(mechanism, Fraction(scale))
    for mechanism in Mechanism
    for scale in ("2", "17/5", "2500", "123456789/1000")
]
named = pytest.mark.parametrize("law", LAWS, ids=lambda x: f"{x.mechanism.name} {x.scale}".lower())


def misfit(law: Law, draws: Sequence[int]) -> float:
    """Return Pearson's chi-square p-value of draws against a law, in up to 60 bins of one chance."""
    reach = math.ceil(45 * law.scale)
    cumulated = np.cumsum(pmf(law, reach))
    edges = np.unique(np.searchsorted(cumulated, np.arange(1, 60) / 60))
    expected = np.diff(np.concatenate(([0.0], cumulated[edges], [1.0]))) * len(draws)
    found = np.bincount(np.searchsorted(edges - reach, np.asarray(draws)), minlength=expected.size)
    statistic = float(((found - expected) ** 2 / expected).sum())
    return float(chi2.sf(statistic, expected.size - 1))


@pytest.mark.statistical
@named
def test_opendp_draws_follow_their_law(law: Law) -> None:
    """Unseeded: fails a right sampler once in 10^6 runs (Pearson's chi-square, alpha = 1e-6)."""
    assert misfit(law, OpenDPSampler().draw(law, 20_000)) > 1e-6


@pytest.mark.statistical
@named
def test_the_seeded_sampler_follows_its_law(law: Law) -> None:
    """Seeded; alpha = 1e-4 under other seeds."""
    assert misfit(law, SeededSampler(11).draw(law, 200_000)) > 1e-4


@pytest.mark.statistical
def test_the_check_of_a_law_finds_noise_that_is_three_percent_too_small() -> None:
    law = Law(Mechanism.GAUSSIAN, Fraction(50))
    thinner = SeededSampler(1).draw(Law(Mechanism.GAUSSIAN, Fraction(97, 2)), 200_000)
    assert misfit(law, thinner) < 1e-6


def test_the_seeded_sampler_repeats_itself_and_no_other() -> None:
    law = LAWS[0]
    assert SeededSampler(5).draw(law, 50) == SeededSampler(5).draw(law, 50)
    assert SeededSampler(5).draw(law, 50) != SeededSampler(6).draw(law, 50)


def test_coins_too_close_for_floats_are_decided_exactly() -> None:
    """A threshold so near exp(-x) that floating point could not tell."""
    sampler = SeededSampler(1)
    from decimal import localcontext

    with localcontext() as context:
        context.prec = 60
        chance = int((-Decimal(1)).exp() * 2**64)
    assert sampler._close(chance - 1, Fraction(1))
    assert not sampler._close(chance + 1, Fraction(1))


def test_only_production_noise_calls_itself_protected() -> None:
    assert OpenDPSampler.protected
    assert not SeededSampler.protected
    assert not ZeroNoise.protected


def test_two_production_samplers_never_draw_alike() -> None:
    law = Law(Mechanism.GAUSSIAN, Fraction(10**6))
    assert OpenDPSampler().draw(law, 20) != OpenDPSampler().draw(law, 20)


@pytest.mark.parametrize("mechanism", list(Mechanism))
@pytest.mark.parametrize(
    "scale", [0, -1, float("nan"), float("inf"), -float("inf"), Fraction(-1, 3), MAX_SCALE + 1]
)
def test_a_scale_that_is_no_scale_is_refused(mechanism: Mechanism, scale: Fraction) -> None:
    with pytest.raises(InputError, match="SB-2200"):
        Law(mechanism, scale)


@given(st.fractions(min_value=Fraction(1, 10**9), max_value=MAX_SCALE))
def test_the_scale_given_to_opendp_is_never_below_the_law(scale: Fraction) -> None:
    above = float_above(scale)
    assert Fraction(above) >= scale
    assert Fraction(math.nextafter(above, 0)) < scale


@pytest.mark.statistical
def test_sums_of_noise_stay_within_the_tail_bound() -> None:
    """At 2^-8 instead of 2^-64: 200,000 sums exceed it 781 times at most in expectation."""
    laws = [LAWS[0], LAWS[1], Law(Mechanism.LAPLACE, Fraction(3))]
    sampler = SeededSampler(2)
    sums = sum((sampler.array(law, (200_000,)) for law in laws), np.zeros(1, dtype=np.int64))
    exceeding = int((np.abs(sums) > tail_bound(laws, 8)).sum())
    assert exceeding < 200_000 / 2**8
    assert tail_bound(laws, 64) > tail_bound(laws, 32) > tail_bound(laws, 8)
