"""Sharing a job's budget: least predicted relative error, the same numbers everywhere, no rows."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import InputError, Refusal
from sandbox.privacy.accounting import LOSS_UNIT, best_order, loss_limit, rho_of
from sandbox.privacy.allocate import (
    LEAST_SIGMA,
    NoisePlan,
    Release,
    Sensitivity,
    Target,
    Workload,
    noise_plan,
    shares,
    solve_epsilon,
    split_study,
)
from sandbox.privacy.derivatives import gradient, reference_value
from sandbox.privacy.noise import Mechanism
from sandbox.privacy.statistics import Avg, Axis, Count, Formula, Sum, Var

DELTA = Decimal("0.000001")
X = Axis(Fraction(50), Fraction(1), Fraction(0), Fraction(100))
FORMULAS: tuple[Formula, ...] = (Count(0), Sum(0, 1, X), Avg(0, 1, X), Var(0, 1, 2, X, False, True))
mechanisms = st.sampled_from(list(Mechanism))


def workload(
    formulas: tuple[Formula, ...] = FORMULAS, rows: int = 1000, half: int = 50
) -> Workload:
    measures = tuple(
        Sensitivity(Fraction(half**power), Fraction(half ** (2 * power)), 8) for power in range(3)
    )
    reference = {0: float(rows), 1: 8.0 * rows, 2: 300.0 * rows}
    return Workload(measures, tuple(Target(f) for f in formulas), reference)


def delta_of(mechanism: Mechanism) -> Decimal:
    return DELTA if mechanism is Mechanism.GAUSSIAN else Decimal(0)


workloads = st.builds(
    workload,
    st.lists(st.sampled_from(FORMULAS), min_size=1, max_size=4, unique=True).map(tuple),
    st.integers(10, 10**6),
    st.integers(1, 500),
)


def relative_error(work: Workload, parts: list[float], mechanism: Mechanism) -> float:
    """Return the sum of squared predicted relative errors if measures got these shares."""
    total = 0.0
    for target in work.targets:
        size = abs(reference_value(target.formula, work.reference) or 1.0)
        for j, slope in gradient(target.formula, work.reference).items():
            m = work.measures[j]
            if mechanism is Mechanism.GAUSSIAN:
                noise = float(m.l2_squared) / (2 * parts[j])
            else:
                noise = 2 * (float(m.l1) / parts[j]) ** 2
            total += (slope / size) ** 2 * noise
    return total


@given(workloads, mechanisms, st.lists(st.integers(1, 1000), min_size=3, max_size=3))
@settings(max_examples=150, deadline=None)
def test_no_other_split_predicts_a_smaller_relative_error(
    work: Workload, mechanism: Mechanism, weights: list[int]
) -> None:
    """Among splits that give each measure a share of the floor at least; 1% for three digits."""
    floor = 1 / 60
    ours = [float(part) for part in shares(work, mechanism)]
    other = [max(w / sum(weights), floor) for w in weights]
    other = [part / sum(other) for part in other]
    best = relative_error(work, ours, mechanism)
    # The floor costs those who need more: at most what it gives to the two others.
    assert best <= relative_error(work, other, mechanism) * (1.01 * (1 + 3 * floor) ** 2)


@given(workloads, mechanisms)
@settings(deadline=None)
def test_shares_are_positive_and_never_more_than_all(work: Workload, mechanism: Mechanism) -> None:
    parts = shares(work, mechanism)
    assert sum(parts) <= 1
    assert sum(parts) > Fraction(97, 100)
    assert all(part >= Fraction(15, 1000) for part in parts)


@given(workloads, mechanisms, st.integers(1, 2000))
@settings(max_examples=100, deadline=None)
def test_the_noise_of_a_job_keeps_its_epsilon(
    work: Workload, mechanism: Mechanism, milli: int
) -> None:
    """What the noise itself loses, from sensitivities and scales alone, and what is charged."""
    epsilon = Decimal(milli) / 100
    plan = noise_plan(work, epsilon, delta_of(mechanism), mechanism)
    pairs = list(zip(work.measures, plan.scales, strict=True))
    if mechanism is Mechanism.LAPLACE:
        assert sum(plan.charge.pure) <= Fraction(epsilon)
        lost = [float(m.l1) / math.sqrt(square) for m, square in pairs]
        assert sum(lost) <= float(epsilon) * (1 + 1e-12)
        return
    rho = sum(m.l2_squared / (2 * square) for m, square in pairs)
    assert rho <= plan.charge.rho
    assert plan.charge.rho + plan.charge.correction <= rho_of(epsilon, DELTA)
    order = best_order(epsilon, DELTA)
    loss = plan.charge.loss(order)
    assert loss is not None
    assert rho * order <= loss * LOSS_UNIT
    assert loss <= loss_limit(epsilon, DELTA, order)


@given(workloads, st.integers(1, 400), st.integers(1, 12), st.integers(0, 12))
@settings(max_examples=150, deadline=None)
def test_honest_nodes_alone_add_the_whole_variance(
    work: Workload, milli: int, nodes: int, h: int
) -> None:
    plan = noise_plan(work, Decimal(milli) / 100, DELTA, Mechanism.GAUSSIAN)
    for j, square in enumerate(plan.scales):
        law = plan.node_law(j, nodes, h)
        assert law.scale >= LEAST_SIGMA
        honest = max(1, nodes - h)
        assert honest * law.scale**2 >= square
        # Not needlessly more either.
        assert law.scale**2 <= max(square / honest, Fraction(4)) * (1 + Fraction(1, 10**9))


@given(workloads, st.integers(1, 400), st.integers(1, 12), st.integers(0, 12))
@settings(max_examples=50, deadline=None)
def test_laplace_noise_is_never_split(work: Workload, milli: int, nodes: int, h: int) -> None:
    plan = noise_plan(work, Decimal(milli) / 100, Decimal(0), Mechanism.LAPLACE)
    for j in range(len(plan.scales)):
        law = plan.node_law(j, nodes, h)
        assert law == plan.node_law(j, 1, 0)
        assert law.scale**2 >= plan.scales[j]


@pytest.mark.parametrize(("pinned", "h"), [(0, 0), (-1, 0), (3, -1)])
def test_noise_is_not_shared_among_nobody(pinned: int, h: int) -> None:
    plan = noise_plan(workload(), Decimal(1), DELTA, Mechanism.GAUSSIAN)
    with pytest.raises(InputError, match="SB-2212"):
        plan.node_law(0, pinned, h)


def test_a_job_without_a_positive_sensitivity_is_refused() -> None:
    work = workload()
    for broken in (
        replace(work, measures=()),
        replace(work, measures=(replace(work.measures[0], l1=Fraction(0)), *work.measures[1:])),
        replace(
            work, measures=(replace(work.measures[0], l2_squared=Fraction(-1)), *work.measures[1:])
        ),
    ):
        with pytest.raises(InputError, match="SB-2211"):
            noise_plan(broken, Decimal(1), DELTA, Mechanism.GAUSSIAN)


@pytest.mark.parametrize("mechanism", list(Mechanism))
def test_a_mechanism_and_a_delta_that_do_not_go_together_are_refused(mechanism: Mechanism) -> None:
    other = Decimal(0) if mechanism is Mechanism.GAUSSIAN else DELTA
    with pytest.raises(InputError, match="SB-2210"):
        noise_plan(workload(), Decimal(1), other, mechanism)


def test_an_epsilon_that_the_sum_alone_uses_up_is_refused() -> None:
    work = replace(workload(), measures=(Sensitivity(Fraction(1), Fraction(1), 262_144),))
    with pytest.raises(InputError, match="SB-2230"):
        noise_plan(
            replace(work, targets=()), Decimal("0.00001"), Decimal("1e-30"), Mechanism.GAUSSIAN
        )


def release(mechanism: Mechanism = Mechanism.GAUSSIAN, rows: int = 1000) -> Release:
    return Release(workload(rows=rows), delta_of(mechanism), mechanism, nodes=3, h=1)


@given(
    mechanisms,
    st.lists(st.floats(0.01, 100), min_size=4, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
)
@settings(max_examples=25, deadline=None)
def test_the_epsilon_solved_for_meets_every_wanted_error_and_hardly_less_would(
    mechanism: Mechanism, factors: list[float], matters: list[bool]
) -> None:
    sought = release(mechanism)
    at_one = sought.errors(Decimal(1))
    wanted = [e * f if m else None for e, f, m in zip(at_one, factors, matters, strict=True)]
    least, most = Decimal("0.01"), Decimal(20)
    reached = sought.errors(most)
    if any(w is not None and e > w for e, w in zip(reached, wanted, strict=True)):
        with pytest.raises(Refusal, match="SB-2213"):
            solve_epsilon(sought, wanted, least, most)
        return
    epsilon = solve_epsilon(sought, wanted, least, most)
    assert least <= epsilon <= most
    reached = sought.errors(epsilon)
    assert all(w is None or e <= w for e, w in zip(reached, wanted, strict=True))
    if epsilon > least:
        cheaper = sought.errors(max(least, epsilon * Decimal("0.99")))
        assert any(w is not None and e > w * 0.999 for e, w in zip(cheaper, wanted, strict=True))


@pytest.mark.parametrize("wanted", [0.0, -1.0, math.nan, math.inf])
def test_a_wanted_error_that_is_none_is_refused(wanted: float) -> None:
    with pytest.raises(InputError, match="SB-2214"):
        solve_epsilon(release(), [wanted, None, None, None], Decimal("0.01"), Decimal(2))


def test_a_study_meets_each_wanted_error_within_its_epsilon() -> None:
    statements = [release(), release(rows=50_000), release()]
    errors = statements[1].errors(Decimal("0.2"))
    none = [None] * 4
    split = split_study(statements, [none, errors, none], Decimal(2), Decimal("0.01"))
    assert sum(split) <= 2
    assert sum(split) > Decimal("1.98")
    assert all(e <= w for e, w in zip(statements[1].errors(split[1]), errors, strict=True))
    assert split[1] <= Decimal("0.201")
    assert split[0] == split[2]


def test_a_study_that_cannot_meet_its_errors_says_what_they_need() -> None:
    errors = release().errors(Decimal("0.9"))
    with pytest.raises(Refusal, match="SB-2215") as refused:
        split_study([release()] * 3, [errors] * 3, Decimal(2), Decimal("0.01"))
    assert float(str(refused.value.facts["needed"])) > 2


def told(plan: NoisePlan) -> str:
    return repr([str(s) for s in plan.scales]) + repr(plan.charge)


def test_every_process_derives_the_same_noise() -> None:
    """Another interpreter with another hash seed; digits, not floats, are compared."""
    program = (
        "from tests.privacy.test_allocate import *\n"
        "for m in Mechanism:\n"
        "    print(told(noise_plan(workload(), Decimal('0.7'), delta_of(m), m)))\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
        ).stdout
        for seed in ("1", "2")
    }
    here = "".join(
        told(noise_plan(workload(), Decimal("0.7"), delta_of(m), m)) + "\n" for m in Mechanism
    )
    assert found == {here}
