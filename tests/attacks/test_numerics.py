"""Attacks on numbers: what the last bits of a released value tell, and sums that would wrap."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from nodes import sharing
from sandbox.privacy.noise import Law, Mechanism
from sandbox.sql.noise import capacity, job_noise
from tests.attacks.test_releases import BACKGROUND, CARD, STATEMENTS, exact, planned
from tests.noise import SeededSampler


@pytest.mark.statistical
@pytest.mark.parametrize("mechanism", list(Mechanism), ids=lambda m: m.name.lower())
def test_attack_31_no_release_gives_its_input_away_by_the_values_it_can_take(
    mechanism: Mechanism,
) -> None:
    """Mironov 2012: noise in floating point reaches other doubles from one input than from its
    neighbour, so that single outputs tell them apart. Released values here are integers, and every
    integer near is reached from both (20,000 draws each; a value of probability 1% is missed with
    probability below 1e-80)."""
    plan = planned(STATEMENTS["count"])
    delta = Decimal("0.000001") if mechanism is Mechanism.GAUSSIAN else Decimal(0)
    law = job_noise(plan, Decimal(8), delta, {}).node_law(0, 1, 0)
    released = []
    for seed, count in ((1, 57), (2, 58)):
        drawn = sharing.draw(SeededSampler(seed), [law], plan_of_draws := _many(plan, 20_000))
        assert plan_of_draws.cells == 20_000
        values = [count + noise for noise in drawn]
        assert all(type(value) is int for value in values)
        released.append(np.bincount(np.array(values) + 1000, minlength=2200))
    common = [counts > 200 for counts in released]
    assert common[0].any()
    assert (released[1][common[0]] > 0).all()
    assert (released[0][common[1]] > 0).all()


def _many(plan, cells):  # type: ignore[no-untyped-def]
    """Return a plan of one measure in so many cells."""
    from types import SimpleNamespace

    return SimpleNamespace(measures=plan.measures[:1], cells=cells)


def test_attack_31_scales_and_shares_are_exact_numbers() -> None:
    """Floats decide nothing that a node draws: scales are fractions of integers and one power of
    ten, the same on every platform."""
    plan = planned(STATEMENTS["moments"])
    noise = job_noise(plan, Decimal("0.7"), Decimal("0.000001"), {})
    for index in range(len(plan.measures)):
        law = noise.node_law(index, 3, 1)
        assert isinstance(law.scale, Fraction)
        assert 10**24 % law.scale.denominator == 0


@pytest.mark.parametrize("rows", [10**5, 2**62])
@pytest.mark.parametrize("sign", [1, -1])
def test_attack_36_more_rows_than_declared_saturate_and_never_wrap(rows: int, sign: int) -> None:
    """A provider with more rows than his card says, or a sum beyond 64 bits: the share keeps the
    bound from which the ring was chosen."""
    plan = planned(STATEMENTS["moments"])
    sums = [sign * rows * max(abs(m.lower), abs(m.upper)) for m in plan.measures for _ in range(3)]
    saturated = sharing.saturate(sums, plan)
    noise = job_noise(plan, Decimal(1), Decimal("0.000001"), {})
    places = [m for m in plan.measures for _ in range(plan.cells * m.width)]
    for value, measure in zip(saturated, places, strict=True):
        low, high = min(0, measure.lower), max(0, measure.upper)
        assert CARD.row_bound * low <= value <= CARD.row_bound * high
    assert 3 * max(map(abs, saturated)) <= capacity(plan, noise)


def test_attack_36_values_beyond_their_bounds_count_as_the_bound() -> None:
    plan = planned("SELECT SUM(x * x * x), COVAR_POP(x, y) FROM readings")
    extreme = exact(plan, [*BACKGROUND, (7, "H", 2**62, -(2**62)), (8, "L", -(2**62), 2**62)])
    clamped = exact(plan, [*BACKGROUND, (7, "H", 100, 0), (8, "L", 0, 40)])
    assert extreme == clamped


def test_attack_36_noise_itself_never_leaves_64_bits() -> None:
    widest = Law(Mechanism.LAPLACE, Fraction(2**54))
    with pytest.raises(Exception, match="SB-2200"):
        Law(Mechanism.LAPLACE, widest.scale + 1)
