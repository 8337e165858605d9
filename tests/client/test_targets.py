"""Epsilon from wanted errors, and what a pilot adds."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from sandbox.errors import InputError, Refusal
from sandbox.privacy.allocate import shares, solve_epsilon
from sandbox.privacy.noise import Mechanism
from sandbox.sql.noise import workload
from sandbox.sql.plan import plan
from sandbox.targets import release_of, typical_cell, typical_sizes, wanted_errors
from tests.client.tables import MACHINES_TABLE, TABLES

DELTA = Decimal("0.000001")
LEAST, MOST = Decimal("0.01"), Decimal(2)
BY_TYPE = plan(
    "SELECT product_type, COUNT(*) AS n, AVG(torque_nm) AS torque FROM machines GROUP BY 1", TABLES
)


def epsilon(written: str, seen: tuple[int, ...] | None = None) -> Decimal:
    release = release_of(BY_TYPE, DELTA, {}, 1)
    return solve_epsilon(release, wanted_errors(BY_TYPE, written, {}), LEAST, MOST)


def test_one_error_for_all_outputs_is_relative_to_each_ones_magnitude() -> None:
    assert wanted_errors(BY_TYPE, "2%", {}) == [pytest.approx(60.0), pytest.approx(0.8)]


def test_errors_by_output_may_be_absolute_or_relative() -> None:
    assert wanted_errors(BY_TYPE, "torque=0.5, n=3%", {}) == [pytest.approx(90.0), 0.5]


def test_an_output_without_a_target_does_not_count() -> None:
    assert wanted_errors(BY_TYPE, "n=10", {}) == [10.0, None]


def test_a_stated_magnitude_goes_before_the_cards() -> None:
    assert wanted_errors(BY_TYPE, "n=1%", {"n": Fraction(500)}) == [5.0, None]


@pytest.mark.parametrize("written", ["", "%", "x", "-1", "0", "n=", "n=1/0", "1%%"])
def test_what_is_no_target_is_refused(written: str) -> None:
    with pytest.raises(InputError, match="SB-3131"):
        wanted_errors(BY_TYPE, written, {})


def test_an_unknown_output_is_named_with_its_nearest() -> None:
    with pytest.raises(InputError, match="SB-3132") as caught:
        wanted_errors(BY_TYPE, "torqe=1", {})
    assert "torque" in str(caught.value.facts["nearest"])


def test_a_relative_error_without_a_magnitude_is_refused() -> None:
    spread = plan("SELECT VARIANCE(torque_nm) AS v FROM machines", TABLES)
    with pytest.raises(InputError, match="SB-3133"):
        wanted_errors(spread, "1%", {})
    assert wanted_errors(spread, "1%", {"v": Fraction(100)}) == [1.0]


def test_the_solved_epsilon_meets_the_error_and_less_would_not() -> None:
    release = release_of(BY_TYPE, DELTA, {}, 1)
    wanted = wanted_errors(BY_TYPE, "n=20, torque=0.3", {})
    found = solve_epsilon(release, wanted, LEAST, MOST)
    assert all(e <= w for e, w in zip(release.errors(found), wanted, strict=True) if w)
    less = release.errors(found * Decimal("0.98"))
    assert any(e > w for e, w in zip(less, wanted, strict=True) if w)


def test_an_error_that_the_policy_cannot_pay_is_refused() -> None:
    with pytest.raises(Refusal, match="SB-2213"):
        epsilon("n=0.1")


def test_a_pilot_moves_the_prediction_to_what_it_saw() -> None:
    cells = BY_TYPE.cells
    # 300 rows in each group instead of the 3,000 that the card calls typical: AVG needs more.
    noised = tuple([300] * cells + [0] * cells)
    assert typical_cell(BY_TYPE, noised)[0] == 300
    from sandbox.targets import Pilot

    wanted = wanted_errors(BY_TYPE, "torque=2", {})
    declared = solve_epsilon(release_of(BY_TYPE, DELTA, {}, 1), wanted, LEAST, MOST)
    pilot = Pilot(noised, {})
    seen = solve_epsilon(release_of(BY_TYPE, DELTA, {}, 1, pilot), wanted, LEAST, MOST)
    assert seen > 3 * declared


def test_typical_sizes_are_medians_of_what_is_not_zero() -> None:
    sizes = typical_sizes(["a", "b"], [[-1, 3, 0, 5], [None, 0]])
    assert sizes == {"a": Fraction(3)}


def test_without_a_declared_magnitude_there_is_nothing_to_be_relative_to() -> None:
    columns = tuple(
        replace(column, magnitude=None) if column.name == "torque_nm" else column
        for column in MACHINES_TABLE.card.columns
    )
    bare = replace(MACHINES_TABLE, card=replace(MACHINES_TABLE.card, columns=columns))
    mean = plan("SELECT AVG(torque_nm) AS torque FROM machines", {"machines": bare})
    with pytest.raises(InputError, match="SB-3133"):
        wanted_errors(mean, "1%", {})


def test_the_count_behind_a_mean_gets_its_part_where_no_magnitude_is_declared() -> None:
    """Real rows are seldom centred: a count starved of budget makes a mean far worse than told."""
    columns = tuple(
        replace(column, magnitude=None) if column.name == "torque_nm" else column
        for column in MACHINES_TABLE.card.columns
    )
    bare = replace(MACHINES_TABLE, card=replace(MACHINES_TABLE.card, columns=columns))
    mean = plan("SELECT AVG(torque_nm) AS torque FROM machines", {"machines": bare})
    parts = shares(workload(mean, {}), Mechanism.GAUSSIAN)
    assert min(parts) > Fraction(1, 5)
