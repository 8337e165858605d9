"""A provider's policy: every rule refuses by name and lets pass what keeps it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from sandbox.catalog import Grade
from sandbox.errors import InputError, Refusal
from sandbox.privacy.policy import (
    Approval,
    Approved,
    Decision,
    OperationClass,
    Policy,
    Request,
    check,
    default_policy,
    smallest_change,
)
from sandbox.privacy.policy_file import parse_policy
from sandbox.sql.answer import DisplayRules, Withheld, answer
from sandbox.sql.plan import plan
from tests.client.tables import TABLES

ANNA, BEN = "a" * 64, "b" * 64
DIGEST = "d" * 64
NOW = datetime(2027, 5, 20, 12, tzinfo=UTC)
OPEN = Policy(researchers=(ANNA,))
PASSES = Request(
    researcher=ANNA,
    purpose="maintenance",
    operations=("count", "avg"),
    columns=(("kwh", Grade.L2), ("kind", Grade.L1)),
    epsilon=Decimal(1),
    delta=Decimal("0.000001"),
    dataset_grade=Grade.L2,
    cells=8,
    statement_digest=DIGEST,
    now=NOW,
)

RULES = {
    "expires": (
        "SB-2010",
        {"expires": date(2027, 5, 19)},
        {},
        {"expires": date(2027, 5, 20)},
    ),
    "researchers": ("SB-2011", {}, {"researcher": BEN}, {"researchers": (ANNA, BEN)}),
    "purposes": (
        "SB-2012",
        {"purposes": ("billing",)},
        {},
        {"purposes": ("billing", "maintenance")},
    ),
    "operations": (
        "SB-2013",
        {"operations": ("count",)},
        {},
        {"operations": ("count", "avg")},
    ),
    "grades.dataset": (
        "SB-2014",
        {},
        {"dataset_grade": Grade.L4},
        {"dataset_grade": Grade.L4},
    ),
    "grades.moments": (
        "SB-2015",
        {"maximum_grades": dict.fromkeys(OperationClass, Grade.L4) | {
            OperationClass.MOMENTS: Grade.L1
        }},
        {},
        {"maximum_grades": dict.fromkeys(OperationClass, Grade.L2)},
    ),
    "columns.denied": ("SB-2016", {"denied_columns": ("kwh",)}, {}, {"denied_columns": ()}),
    "columns.allowed": (
        "SB-2016",
        {"allowed_columns": ("kind",)},
        {},
        {"allowed_columns": ("kind", "kwh")},
    ),
    "join_modes": (
        "SB-2017",
        {"join_modes": ("psi",)},
        {"join_mode": "blind"},
        {"join_modes": ("psi", "blind")},
    ),
    "disclose_ids_to": (
        "SB-2250",
        {"disclose_ids_to": ("c",)},
        {"disclosure": True, "told": ("fs1b", "b")},
        {"disclose_ids_to": ("c", "fs1b")},
    ),
    "require_malicious": (
        "SB-2251",
        {"join_modes": ("psi",), "require_malicious": True},
        {"join_mode": "psi"},
        {"join_modes": ("psi",), "require_malicious": False},
    ),
    "require_verify": (
        "SB-2253",
        {"join_modes": ("blind",), "require_verify": True},
        {"join_mode": "blind"},
        {"join_modes": ("blind",), "require_verify": False},
    ),
    "job.epsilon_max": (
        "SB-2018",
        {"epsilon_max": Decimal("0.5")},
        {},
        {"epsilon_max": Decimal(1)},
    ),
    "job.epsilon_min": ("SB-2019", {"epsilon_min": Decimal(2)}, {}, {"epsilon_min": Decimal(1)}),
    "job.delta_max": (
        "SB-2020",
        {"delta_max": Decimal("1e-9")},
        {},
        {"delta_max": Decimal("0.000001")},
    ),
    "maximum_cells": ("SB-2021", {"maximum_cells": 7}, {}, {"maximum_cells": 8}),
}  # fmt: skip
"""Each rule: its code, a policy and a request that break it, the policy that would let it pass."""


def test_a_request_that_keeps_every_rule_passes() -> None:
    assert check(OPEN, PASSES, "plant a") is Decision.ALLOW
    assert smallest_change(OPEN, PASSES) == []


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_refuses_by_name_and_says_what_would_pass(rule: str) -> None:
    code, policy_changes, request_changes, _ = RULES[rule]
    policy, request = replace(OPEN, **policy_changes), replace(PASSES, **request_changes)
    with pytest.raises(Refusal, match=code) as refused:
        check(policy, request, "plant a")
    facts = refused.value.facts
    assert facts["rule"] == rule
    assert facts["owner"] == "plant a"
    assert facts["passes"]
    said = str(refused.value)
    assert rule in said
    assert "plant a" in said
    assert "{" not in said


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_lets_pass_what_keeps_it(rule: str) -> None:
    _, policy_changes, request_changes, passing = RULES[rule]
    request = replace(PASSES, **request_changes)
    assert check(replace(OPEN, **(policy_changes | passing)), request, "x") is Decision.ALLOW


def test_a_new_dataset_admits_nobody() -> None:
    with pytest.raises(Refusal, match="SB-2011"):
        check(default_policy(), PASSES, "x")


def test_core_data_is_refused_until_its_owner_says_otherwise() -> None:
    for request in (
        replace(PASSES, dataset_grade=Grade.L4),
        replace(PASSES, columns=(("kwh", Grade.L4),)),
    ):
        with pytest.raises(Refusal, match=r"SB-201[45]"):
            check(OPEN, request, "x")


def test_a_star_admits_every_researcher_and_purpose() -> None:
    policy = replace(OPEN, researchers=("*",), purposes=("*",))
    assert check(policy, replace(PASSES, researcher=BEN, purpose="any"), "x") is Decision.ALLOW


@pytest.mark.parametrize("named", ["fs1b", "b"])
def test_ids_are_disclosed_to_who_is_named_and_cost_no_epsilon(named: str) -> None:
    asked = replace(
        PASSES, disclosure=True, told=("fs1b", "b"), epsilon=Decimal(0), delta=Decimal(0)
    )
    assert check(replace(OPEN, disclose_ids_to=(named,)), asked, "x") is Decision.ALLOW


def test_ids_are_disclosed_to_nobody_by_default_nor_to_everybody() -> None:
    asked = replace(PASSES, disclosure=True, told=("fs1b",))
    with pytest.raises(Refusal, match="SB-2250"):
        check(OPEN, asked, "x")
    with pytest.raises(InputError, match="SB-2002"):
        parse_policy('disclose_ids_to = ["*"]', "policy.toml")


def test_column_of_a_disclosure_is_held_to_every_class_of_operations() -> None:
    """An exact answer tells as much of it as all operations together, whatever the job names."""
    policy = replace(
        OPEN,
        disclose_ids_to=("fs1b",),
        maximum_grades=dict.fromkeys(OperationClass, Grade.L4) | {OperationClass.ORDER: Grade.L1},
    )
    asked = replace(PASSES, operations=(), disclosure=True, told=("fs1b",))
    with pytest.raises(Refusal, match="SB-2015"):
        check(policy, asked, "x")


def test_no_join_mode_is_admitted_unless_named() -> None:
    with pytest.raises(Refusal, match=r"SB-2017.*'psi'.*joins of ids"):
        check(OPEN, replace(PASSES, join_mode="psi"), "x")


def test_an_operation_of_no_known_class_is_held_to_the_strictest() -> None:
    grades = {
        OperationClass.COUNTING: Grade.L4,
        OperationClass.MOMENTS: Grade.L4,
        OperationClass.ORDER: Grade.L1,
    }
    policy = replace(OPEN, operations=("*",), maximum_grades=grades)
    with pytest.raises(Refusal, match="SB-2015"):
        check(policy, replace(PASSES, operations=("new",)), "x")
    assert check(policy, replace(PASSES, operations=("avg",)), "x") is Decision.ALLOW


def test_columns_that_only_filter_are_held_to_the_class_of_what_they_feed() -> None:
    grades = dict.fromkeys(OperationClass, Grade.L3) | {OperationClass.COUNTING: Grade.L1}
    request = replace(PASSES, operations=("count",), columns=(("illness", Grade.L3),))
    with pytest.raises(Refusal, match="illness"):
        check(replace(OPEN, maximum_grades=grades), request, "x")


def test_by_hand_means_every_job_waits() -> None:
    policy = replace(OPEN, approval=Approval.MANUAL)
    assert check(policy, PASSES, "x") is Decision.NEEDS_APPROVAL


LISTED = replace(
    OPEN, approval=Approval.LISTED, approved=(Approved(DIGEST, ANNA, date(2027, 5, 20)),)
)


def test_a_statement_once_approved_for_a_person_passes_until_its_last_day() -> None:
    assert check(LISTED, PASSES, "x") is Decision.ALLOW
    last = replace(PASSES, now=datetime(2027, 5, 20, 23, 59, 59, tzinfo=UTC))
    assert check(LISTED, last, "x") is Decision.ALLOW


@pytest.mark.parametrize(
    "changes",
    [
        {"statement_digest": "e" * 64},
        {"researcher": BEN},
        {"now": datetime(2027, 5, 21, tzinfo=UTC)},
    ],
    ids=["another statement", "another person", "a day too late"],
)
def test_anything_else_on_a_listed_policy_waits(changes: dict[str, str]) -> None:
    policy = replace(LISTED, researchers=(ANNA, BEN))
    assert check(policy, replace(PASSES, **changes), "x") is Decision.NEEDS_APPROVAL


def test_a_listed_statement_still_keeps_every_rule() -> None:
    with pytest.raises(Refusal, match="SB-2018"):
        check(LISTED, replace(PASSES, epsilon=Decimal(3)), "x")


COUNTED = plan("SELECT product_type, COUNT(*) AS n FROM machines GROUP BY 1", TABLES)


def test_groups_below_the_minimum_size_are_withheld_and_counted_by_rule() -> None:
    """A display rule on noised counts: below it a group is not shown, and never silently missing."""
    rule = DisplayRules(minimum_group_size=10, owner="plant a")
    shown = answer(COUNTED, [9, 10, 500], [()], rule)
    assert [row.estimates[1].value for row in shown.rows if row.estimates[1]] == [10, 500]
    assert shown.withheld == (Withheld("minimum_group_size", 10, "plant a", groups=1),)


def test_groups_of_the_minimum_size_are_all_shown() -> None:
    shown = answer(
        COUNTED, [10, 10, 500], [()], DisplayRules(minimum_group_size=10, owner="plant a")
    )
    assert len(shown.rows) == 3
    assert not shown.withheld
