"""The budget filter: whatever is asked in whatever order, no more is lost than the owner allowed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import permutations

import pytest
from dp_accounting.rdp import rdp_privacy_accountant as rdp
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import InputError, Refusal
from sandbox.privacy.accounting import Charge, loss_limit, rho_of
from sandbox.privacy.budget import (
    BudgetLimits,
    Spent,
    admit,
    current,
    remaining,
    within,
)

START = datetime(2027, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DELTA = Decimal("0.000001")
LIMITS = BudgetLimits(Decimal(4), DELTA, 30 * DAY, Decimal(9))
PURE = BudgetLimits(Decimal(4), Decimal(0), 30 * DAY, Decimal(9))


def gaussian(epsilon: Decimal | str, delta: Decimal = DELTA, length: int = 1) -> Charge:
    return Charge(Decimal(epsilon), delta, rho=rho_of(Decimal(epsilon), delta), length=length)


def laplace(epsilon: Decimal | str) -> Charge:
    return Charge(Decimal(epsilon), Decimal(0), pure=(Fraction(Decimal(epsilon)),))


charges = st.builds(
    lambda make, milli: make(Decimal(milli) / 1000),
    st.sampled_from([gaussian, laplace]),
    st.integers(10, 3000),
)
times = st.integers(-(10**7), 10**8)


def ask(spent: Spent | None, charge: Charge, now: datetime = START) -> Spent | None:
    """Return what is spent after a job that may be refused."""
    try:
        return admit(spent, LIMITS, charge, now, "x")
    except Refusal:
        return spent


@given(st.lists(st.tuples(charges, times), max_size=25))
@settings(max_examples=80, deadline=None)
def test_no_history_goes_beyond_period_or_lifetime(history: list[tuple[Charge, int]]) -> None:
    """A model counts again: every period's jobs, and all jobs, keep (epsilon, delta)."""
    spent: Spent | None = None
    by_period: dict[int, list[Charge]] = {}
    for charge, seconds in history:
        now = START + timedelta(seconds=seconds)
        after = ask(spent, charge, now)
        if after is not spent:
            assert after is not None
            by_period.setdefault(after.opened, []).append(charge)
        spent = after
    if spent is None:
        return
    assert within(spent, LIMITS)
    assert spent.order is not None
    assert spent.lifetime_order is not None
    for jobs in by_period.values():
        lost = sum(loss for c in jobs if (loss := c.loss(spent.order)) is not None)
        assert lost <= loss_limit(LIMITS.epsilon, DELTA, spent.order)
    everything = [c for jobs in by_period.values() for c in jobs]
    lost = sum(loss for c in everything if (loss := c.loss(spent.lifetime_order)) is not None)
    assert lost == spent.lifetime_loss
    assert lost <= loss_limit(LIMITS.lifetime_epsilon, DELTA, spent.lifetime_order)


@pytest.mark.parametrize("each", ["0.05", "0.3", "1.1"])
def test_many_jobs_together_keep_the_epsilon_by_an_independent_accountant(each: str) -> None:
    """All Gaussian jobs that fit, composed by dp-accounting over all orders: at most (4, 1e-6)."""
    spent, jobs = None, 0
    while (after := ask(spent, gaussian(each))) is not spent:
        spent, jobs = after, jobs + 1
    grid = [1 + x / 20 for x in range(1, 2000)]
    rho = float(rho_of(Decimal(each), DELTA)) * jobs
    epsilon, _ = rdp.compute_epsilon(grid, [a * rho for a in grid], float(DELTA))
    assert epsilon <= 4
    assert epsilon > 4 - 2 * float(each), "the filter wastes what it could have given"


@given(st.lists(charges, min_size=2, max_size=4))
@settings(max_examples=40, deadline=None)
def test_the_order_of_jobs_does_not_matter(jobs: list[Charge]) -> None:
    ends = set()
    for order in permutations(jobs):
        spent: Spent | None = None
        try:
            for job in order:
                spent = admit(spent, LIMITS, job, START, "x")
        except Refusal:
            spent = None
        ends.add(spent)
    assert len(ends) == 1


@given(st.lists(charges, max_size=6), st.sampled_from([DELTA, Decimal(0), Decimal("1e-9")]))
@settings(max_examples=60, deadline=None)
def test_what_remains_is_admitted_and_a_step_more_is_not(
    history: list[Charge], delta: Decimal
) -> None:
    spent: Spent | None = None
    for charge in history:
        spent = ask(spent, charge)
    left = remaining(spent, LIMITS, delta, START, length=1).epsilon
    make = (lambda e: gaussian(e, delta)) if delta else laplace
    if left:
        admit(spent, LIMITS, make(left), START, "x")
    step = Decimal(1).scaleb(max(left.adjusted(), -6) - 3) if left else Decimal("1e-6")
    with pytest.raises(Refusal):
        admit(spent, LIMITS, make(left + step), START, "x")


def test_a_refusal_says_what_was_asked_what_is_left_and_when_it_renews() -> None:
    spent = admit(None, LIMITS, gaussian("3.5"), START, "dataset 'plants'")
    with pytest.raises(Refusal, match="SB-2100") as refused:
        admit(spent, LIMITS, gaussian("3"), START + DAY, "dataset 'plants'")
    facts = refused.value.facts
    left = Decimal(str(facts["remaining"]))
    assert facts["requested"] == "3"
    assert 0 < left < 3
    assert Decimal(str(facts["difference"])) == 3 - left
    assert facts["renews"] == (START + 30 * DAY).isoformat(timespec="minutes")
    assert "dataset 'plants'" in refused.value.sentence
    admit(spent, LIMITS, gaussian(left), START + DAY, "dataset 'plants'")


def test_a_refused_job_costs_nothing() -> None:
    spent = admit(None, LIMITS, gaussian("3.9"), START, "x")
    assert ask(spent, gaussian("2")) is spent


def test_a_period_renews_only_when_it_has_ended() -> None:
    spent = admit(None, LIMITS, gaussian("3.9"), START, "x")
    with pytest.raises(Refusal):
        admit(spent, LIMITS, gaussian("2"), START + 30 * DAY - timedelta(seconds=1), "x")
    renewed = admit(spent, LIMITS, gaussian("2"), START + 30 * DAY, "x")
    assert renewed.opened == int((START + 30 * DAY).timestamp())
    assert renewed.lifetime_loss > spent.lifetime_loss


def test_periods_that_nobody_used_do_not_add_up() -> None:
    spent = admit(None, LIMITS, gaussian("1"), START, "x")
    later = admit(spent, LIMITS, gaussian("3.9"), START + 300 * DAY, "x")
    with pytest.raises(Refusal, match="SB-2100"):
        admit(later, LIMITS, gaussian("1"), START + 301 * DAY, "x")


def test_a_clock_that_runs_backwards_renews_nothing() -> None:
    spent = admit(None, LIMITS, gaussian("3.9"), START, "x")
    for back in (timedelta(seconds=1), 30 * DAY, 5000 * DAY):
        assert current(spent, LIMITS, START - back) == spent
        with pytest.raises(Refusal):
            admit(spent, LIMITS, gaussian("2"), START - back, "x")


def test_a_clock_that_jumps_ahead_and_back_renews_once_at_most() -> None:
    spent = admit(None, LIMITS, gaussian("3"), START, "x")
    ahead = admit(spent, LIMITS, gaussian("3"), START + 45 * DAY, "x")
    with pytest.raises(Refusal):
        admit(ahead, LIMITS, gaussian("3"), START + DAY, "x")


def test_cure_of_an_exhausted_budget_proposes_nothing_that_cannot_be_asked() -> None:
    limits = replace(LIMITS, lifetime_epsilon=LIMITS.epsilon)
    spent = None
    for part in ("2", "1", "0.5", "0.1", "0.01"):
        while (after := ask(spent, gaussian(part))) is not spent:
            spent = after
    for within_limits in (LIMITS, limits):
        with pytest.raises(Refusal) as refused:
            admit(spent, within_limits, gaussian("3"), START, "x")
        assert "or less" not in refused.value.cure
        assert "renew" in refused.value.cure


def test_the_lifetime_never_renews() -> None:
    spent, admitted = None, 0
    for period in range(40):
        after = ask(spent, gaussian("3.9"), START + 31 * DAY * period)
        admitted += after is not spent
        spent = after
    assert 2 <= admitted <= 6
    with pytest.raises(Refusal, match="SB-2101") as refused:
        admit(spent, LIMITS, gaussian("3.9"), START + 31 * DAY * 40, "x")
    assert "does not renew" in refused.value.cure


def test_a_gaussian_job_never_fits_a_pure_budget() -> None:
    with pytest.raises(Refusal, match="SB-2102"):
        admit(None, PURE, gaussian("0.01"), START, "x")
    assert remaining(None, PURE, DELTA, START).epsilon == 0


def test_pure_jobs_add_up_exactly() -> None:
    spent = None
    for _ in range(4):
        spent = admit(spent, PURE, laplace("1"), START, "x")
    with pytest.raises(Refusal):
        admit(spent, PURE, laplace("0.000001"), START, "x")


def test_a_pure_budget_that_is_given_a_delta_keeps_its_losses() -> None:
    spent = admit(None, PURE, laplace("1"), START, "x")
    after = admit(spent, LIMITS, gaussian("0.1"), START, "x")
    assert after.order is not None
    assert after.loss > spent.loss
    with pytest.raises(Refusal):
        admit(spent, LIMITS, gaussian("3.9"), START, "x")


def test_a_budget_whose_delta_is_taken_away_admits_nothing_more() -> None:
    """What is out keeps no pure epsilon, so the owner's new limit cannot be kept with one more."""
    spent = admit(None, LIMITS, gaussian("0.1"), START, "x")
    with pytest.raises(Refusal):
        admit(spent, PURE, laplace("0.1"), START, "x")
    assert remaining(spent, PURE, Decimal(0), START).epsilon == 0


def test_additive_delta_has_its_own_limit() -> None:
    limits = replace(LIMITS, extra_delta=Decimal("0.0000005"))
    charge = replace(gaussian("0.1"), extra_delta=Fraction(3, 10**7))
    spent = admit(None, limits, charge, START, "x")
    with pytest.raises(Refusal):
        admit(spent, limits, charge, START, "x")
    with pytest.raises(Refusal):
        admit(None, LIMITS, charge, START, "x")
    later = admit(spent, limits, gaussian("0.1"), START + 31 * DAY, "x")
    with pytest.raises(Refusal):  # the lifetime's delta does not renew
        admit(later, limits, charge, START + 31 * DAY, "x")


@given(st.lists(charges, max_size=8))
@settings(max_examples=40, deadline=None)
def test_what_is_stored_reads_back_to_the_last_bit(jobs: list[Charge]) -> None:
    spent: Spent | None = None
    for job in jobs:
        spent = ask(spent, replace(job, extra_delta=Fraction(0)))
    if spent is not None:
        assert Spent.from_values(spent.values()) == spent


@pytest.mark.parametrize(
    "changes",
    [
        {"epsilon": Decimal(0)},
        {"epsilon": Decimal("NaN")},
        {"epsilon": Decimal(10)},
        {"lifetime_epsilon": Decimal("Infinity")},
        {"delta": Decimal(1)},
        {"delta": Decimal("-1e-9")},
        {"extra_delta": Decimal(1)},
        {"period": timedelta(minutes=1)},
    ],
    ids=str,
)
def test_limits_that_contradict_each_other_are_refused(changes: dict[str, Decimal]) -> None:
    with pytest.raises(InputError, match="SB-2103"):
        replace(LIMITS, **changes)
