"""From noised sums to rows: what is withheld is counted, what is shown agrees with itself."""

from __future__ import annotations

from fractions import Fraction

import pytest

from sandbox.privacy.noise import Law, Mechanism
from sandbox.sql.algebra import Plan
from sandbox.sql.answer import DisplayRules, Withheld, answer
from sandbox.sql.plan import plan
from tests.sql.plants import catalogue

LAW = Law(Mechanism.GAUSSIAN, Fraction(4))


def planned(statement: str) -> Plan:
    return plan(statement, catalogue())


def shown(
    plan_: Plan, vector: list[int], minimum: int = 0, noisy: bool = False
) -> tuple[list[tuple[object, ...]], tuple[Withheld, ...]]:
    noise = [(LAW,)] * len(plan_.measures) if noisy else [()] * len(plan_.measures)
    found = answer(plan_, vector, noise, DisplayRules(minimum, "a.machines"))
    rows = [
        tuple(v if e is None else e.value for v, e in zip(row.values, row.estimates, strict=True))
        for row in found.rows
    ]
    return rows, found.withheld


BY_KIND = "SELECT kind, COUNT(*) AS n FROM machines GROUP BY kind"


def test_small_groups_are_withheld_and_counted_with_their_rule() -> None:
    rows, withheld = shown(planned(BY_KIND), [3, 40, 9], minimum=10)
    assert rows == [("M", 40)]
    assert withheld == (Withheld("minimum_group_size", 10, "a.machines", groups=2),)


def test_every_group_of_the_domain_is_there_without_a_rule() -> None:
    assert shown(planned(BY_KIND), [3, 0, 9]) == ([("L", 3), ("M", 0), ("H", 9)], ())


def test_groups_that_having_drops_are_not_counted_as_withheld() -> None:
    rows, withheld = shown(planned(f"{BY_KIND} HAVING n > 5"), [3, 40, 9], minimum=10)
    assert rows == [("M", 40)]
    assert [rule.groups for rule in withheld] == [1]


def test_having_agrees_with_what_is_printed() -> None:
    """A noised count below zero is printed as 0, so `n >= 0` keeps it."""
    rows, _ = shown(planned(f"{BY_KIND} HAVING n >= 0"), [-3, 40, 9], noisy=True)
    assert rows[0] == ("L", 0)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("n", ["H", "M", "L"]),
        ("n DESC", ["M", "H", "L"]),
        ("2 DESC", ["M", "H", "L"]),
        ("kind", ["H", "L", "M"]),
        ("kind DESC", ["M", "L", "H"]),
        ("COUNT(*) DESC, kind", ["M", "H", "L"]),
    ],
)
def test_order_by_names_ordinals_and_expressions_with_nulls_last(
    order: str, expected: list[str]
) -> None:
    statement = (
        f"SELECT kind, AVG(speed) AS n, COUNT(*) FROM machines GROUP BY kind ORDER BY {order}"
    )
    # Two measures: the rows, which AVG(speed) shares with COUNT(*), and the centred sum.
    rows, _ = shown(planned(statement), [0, 3, 2, 0, 300, 100])
    assert [row[0] for row in rows] == expected


def test_limit_takes_the_first_rows_after_ordering() -> None:
    rows, _ = shown(planned(f"{BY_KIND} ORDER BY n DESC LIMIT 2"), [3, 40, 9])
    assert rows == [("M", 40), ("H", 9)]


def test_a_statistic_of_no_rows_is_null() -> None:
    plan_ = planned("SELECT AVG(speed), STDDEV(speed), MEDIAN(speed), SUM(speed) FROM machines")
    rows, _ = shown(plan_, [0] * plan_.length)
    assert rows == [(None, None, None, None)]


def test_division_by_zero_is_null() -> None:
    plan_ = planned("SELECT COUNT(*) / COUNT(*) FILTER (WHERE failed) AS x FROM machines")
    assert shown(plan_, [5, 0])[0] == [(None,)]


def test_histogram_counts_every_bucket_of_the_declared_bounds() -> None:
    plan_ = planned("SELECT HISTOGRAM(torque, 8) FROM machines")
    edges = [float(v or 0) for v in plan_.groups[0].values[:-1]]
    assert plan_.groups[0].values[-1] is None
    assert edges == pytest.approx([0, 10.1, 20.2, 30.3, 40.4, 50.5, 60.6, 70.7])
    rows, _ = shown(plan_, list(range(9)))
    assert [row[1] for row in rows] == list(range(9))


@pytest.mark.parametrize("buckets", [1, 3, 7, 20, 100])
def test_a_histogram_never_has_more_buckets_than_asked_for(buckets: int) -> None:
    for column in ("torque", "price", "speed"):
        values = planned(f"SELECT HISTOGRAM({column}, {buckets}) FROM machines").groups[0].values
        assert 0.9 * buckets - 1 <= len([v for v in values if v is not None]) <= buckets


def test_an_expression_grouped_twice_is_one_group() -> None:
    plan_ = planned("SELECT kind, COUNT(*) FROM machines GROUP BY kind, 1, kind")
    assert plan_.cells == 3
