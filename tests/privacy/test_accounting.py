"""Accounting never under-counts: held against dp-accounting and against the laws themselves."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.rdp import rdp_privacy_accountant as rdp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sandbox.errors import InputError
from sandbox.privacy.accounting import (
    LOSS_UNIT,
    SUM_CORRECTION,
    Charge,
    best_order,
    conversion,
    epsilon_of,
    loss_limit,
    pure_divergence,
    rho_of,
    significant,
    to_loss,
)
from sandbox.privacy.noise import Law, Mechanism
from tests.noise import pmf

EPSILONS = [Decimal(e) for e in ("0.01", "0.1", "0.5", "1", "3", "10", "60")]
DELTAS = [Decimal(d) for d in ("0.001", "0.000001", "1e-10", "1e-20")]
epsilons = st.decimals("0.001", "100", places=3, allow_nan=False, allow_infinity=False).filter(bool)
deltas = st.integers(2, 25).map(lambda n: Decimal(1).scaleb(-n))
orders = st.fractions(Fraction(11, 10), Fraction(500), max_denominator=100)


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_zcdp_of_an_epsilon_is_within_it_by_the_exact_gaussian(
    epsilon: Decimal, delta: Decimal
) -> None:
    """The discrete Gaussian of sensitivity 1, composed by dp-accounting's privacy loss distribution;
    its discretisation, 10^-4 of pessimism, stays below what the conversion gives away."""
    rho = rho_of(epsilon, delta)
    sigma = 1 / math.sqrt(2 * rho)
    if sigma > 40:
        pytest.skip("too wide for a table of probabilities")
    table = pld.from_discrete_gaussian_mechanism(sigma, value_discretization_interval=1e-4)
    assert table.get_epsilon_for_delta(float(delta)) <= float(epsilon)


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_conversion_is_no_looser_than_dp_accounting(epsilon: Decimal, delta: Decimal) -> None:
    rho = rho_of(epsilon, delta)
    grid = np.append(1 + np.logspace(-3, 6, 4000), float(best_order(epsilon, delta)))
    theirs, _ = rdp.compute_epsilon(grid, grid * float(rho), float(delta))
    assert theirs <= float(epsilon) * (1 + 1e-9)
    assert float(epsilon_of(rho, delta)) <= theirs * (1 + 1e-4) + 1e-9


@given(order=orders, delta=deltas)
def test_the_conversion_of_one_order_agrees_with_dp_accounting(
    order: Fraction, delta: Decimal
) -> None:
    ours = float(conversion(order, delta))
    theirs, _ = rdp.compute_epsilon([float(order)], [200.0], float(delta))
    assert ours + 200 == pytest.approx(theirs, rel=1e-9)


@given(epsilon=epsilons, delta=deltas)
@settings(max_examples=60, deadline=None)
def test_there_and_back_never_gains(epsilon: Decimal, delta: Decimal) -> None:
    rho = rho_of(epsilon, delta)
    assert 0 < rho < Fraction(epsilon)
    back = epsilon_of(rho, delta)
    assert Fraction(epsilon) * Fraction(9_999, 10_000) - LOSS_UNIT <= Fraction(back)
    assert Fraction(back) <= Fraction(epsilon) * Fraction(10_001, 10_000)
    order = best_order(epsilon, delta)
    assert to_loss(order * rho) <= loss_limit(epsilon, delta, order)


@given(low=epsilons, high=epsilons, delta=deltas, more=deltas)
@settings(max_examples=60, deadline=None)
def test_conversions_are_monotone(
    low: Decimal, high: Decimal, delta: Decimal, more: Decimal
) -> None:
    low, high, delta, more = min(low, high), max(low, high), min(delta, more), max(delta, more)
    assert rho_of(low, delta) <= rho_of(high, delta)
    assert rho_of(low, delta) <= rho_of(low, more)
    assert epsilon_of(rho_of(low, delta), delta) <= epsilon_of(rho_of(high, delta), delta)
    order = best_order(low, delta)
    assert loss_limit(low, delta, order) <= loss_limit(high, delta, order)
    assert loss_limit(low, delta, order) <= loss_limit(low, more, order)


@given(st.fractions(Fraction(1, 1000), Fraction(20), max_denominator=1000), orders)
@settings(deadline=None)
def test_pure_divergence_is_that_of_randomised_response(epsilon: Fraction, order: Fraction) -> None:
    """Written out once more in floats, and never under: pure DP allows it, no mechanism more."""
    e, a = float(epsilon), float(order)
    yes, no = 1 / (1 + math.exp(-e)), 1 / (1 + math.exp(e))
    moment = math.log(yes) + e * (a - 1) + math.log1p(no / yes * math.exp(-2 * e * (a - 1)))
    ours = pure_divergence(epsilon, order)
    assert float(ours) == pytest.approx(moment / (a - 1), rel=1e-9, abs=1e-12)
    assert ours <= epsilon


@pytest.mark.parametrize("order", [Fraction(3, 2), Fraction(4), Fraction(64)])
@pytest.mark.parametrize("scale", [Fraction(1, 2), Fraction(2), Fraction(30)])
def test_the_discrete_laplace_never_loses_more_than_is_charged(
    scale: Fraction, order: Fraction
) -> None:
    """Rényi divergence between the law and its shift, summed over its probabilities; the continuous
    Laplace's curve, which dp-accounting has, would be below it."""
    law = Law(Mechanism.LAPLACE, scale)
    divergence = renyi(pmf(law, math.ceil(200 * scale) + 60), float(order))
    assert divergence <= float(pure_divergence(1 / scale, order)) + 1e-12


def renyi(p: NDArray[np.float64], order: float) -> float:
    """Return the divergence of `order` of a law on the integers from its shift by one."""
    seen = np.flatnonzero((p > 1e-250) & (np.roll(p, 1) > 1e-250))[1:-1]
    terms = order * np.log(p[seen]) + (1 - order) * np.log(p[seen - 1])
    return float(np.log(np.exp(terms - terms.max()).sum()) + terms.max()) / (order - 1)


@pytest.mark.parametrize("order", [Fraction(3, 2), Fraction(8), Fraction(40)])
@pytest.mark.parametrize("nodes", [2, 3, 5])
@pytest.mark.parametrize("sigma", [Fraction(2), Fraction(11, 5), Fraction(6)])
def test_a_sum_of_discrete_gaussians_loses_no_more_than_its_corrected_curve(
    sigma: Fraction, nodes: int, order: Fraction
) -> None:
    """The sum's own probabilities by convolution against rho = 1/(2 n sigma^2) plus tau d / 4."""
    one = pmf(Law(Mechanism.GAUSSIAN, sigma), math.ceil(24 * sigma))
    p = one
    for _ in range(nodes - 1):
        p = np.convolve(p, one)
    charge = Charge(Decimal(1), Decimal("1e-6"), rho=1 / (2 * nodes * sigma**2), length=1)
    loss = charge.loss(order)
    assert loss is not None
    assert renyi(p, float(order)) <= loss * float(LOSS_UNIT) + 1e-9


def test_the_bound_on_the_correction_holds_for_every_number_of_nodes() -> None:
    """tau = 10 sum_{k<n} exp(-2 pi^2 sigma^2 k/(k+1)) at sigma = 2: the first terms dominate, the
    others are below exp(-6 pi^2) each."""
    first = 10 * sum(math.exp(-8 * math.pi**2 * k / (k + 1)) for k in range(1, 1000))
    rest = 10 * 1e10 * math.exp(-8 * math.pi**2 * 1000 / 1001)
    assert first + rest < float(SUM_CORRECTION)


def test_losses_are_rounded_up_and_limits_down() -> None:
    assert to_loss(Fraction(1, 3)) == 333_333_333_334
    assert loss_limit(Decimal("0.0000000000019"), Decimal(0), None) == 1
    assert loss_limit(Decimal(1000), Decimal(0), Fraction(2)) <= 0


@given(st.fractions(Fraction(1, 10**12), Fraction(10**12)), st.integers(1, 12))
def test_significant_digits_round_one_way_only(value: Fraction, digits: int) -> None:
    down, up = (
        significant(value, digits, "ROUND_FLOOR"),
        significant(value, digits, "ROUND_CEILING"),
    )
    assert down <= value <= up
    assert value - down <= value / 10 ** (digits - 1)
    assert up - value <= value / 10 ** (digits - 1)


@pytest.mark.parametrize("epsilon", ["0", "-1", "NaN", "Infinity", "1000.1"])
def test_an_epsilon_out_of_range_is_refused(epsilon: str) -> None:
    with pytest.raises(InputError, match="SB-2201"):
        best_order(Decimal(epsilon), Decimal("1e-6"))


@pytest.mark.parametrize("delta", ["0", "1", "-0.1", "NaN", "1e-31"])
def test_a_delta_out_of_range_is_refused(delta: str) -> None:
    with pytest.raises(InputError, match="SB-2202"):
        best_order(Decimal(1), Decimal(delta))


def test_a_gaussian_has_no_loss_at_order_infinity() -> None:
    assert Charge(Decimal(1), Decimal("1e-6"), rho=Fraction(1, 10)).loss(None) is None
    pure = Charge(Decimal(1), Decimal(0), pure=(Fraction(1, 3), Fraction(1, 3)))
    assert pure.loss(None) == to_loss(Fraction(2, 3))
