"""A provider's policy: every rule refuses by name and lets pass what keeps it; the file says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.catalog import Grade
from sandbox.errors import InputError, Refusal
from sandbox.privacy.budget import BudgetLimits
from sandbox.privacy.policy import (
    CLASS_OF,
    Approval,
    Approved,
    Change,
    Decision,
    OperationClass,
    Policy,
    Request,
    check,
    default_policy,
    smallest_change,
)
from sandbox.privacy.policy_file import parse_policy, policy_toml
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


names = st.sampled_from(["kwh", "kind", "id", "illness"])
grades = st.sampled_from(list(Grade))
decimals = st.integers(1, 5000).map(lambda milli: Decimal(milli) / 1000)
requests = st.builds(
    Request,
    researcher=st.sampled_from([ANNA, BEN]),
    purpose=st.sampled_from(["maintenance", "billing"]),
    operations=st.lists(st.sampled_from(list(CLASS_OF)), min_size=1, unique=True).map(tuple),
    columns=st.lists(st.tuples(names, grades), unique_by=lambda c: c[0]).map(tuple),
    epsilon=decimals,
    delta=st.sampled_from([Decimal(0), Decimal("1e-9"), Decimal("1e-5")]),
    dataset_grade=grades,
    cells=st.integers(1, 200),
    statement_digest=st.just(DIGEST),
    now=st.just(NOW),
    join_mode=st.sampled_from([None, "psi", "blind"]),
)
people = st.lists(st.sampled_from([ANNA, BEN, "*"]), unique=True).map(tuple)
policies = st.builds(
    Policy,
    version=st.integers(1, 10**6),
    expires=st.sampled_from([None, date(2027, 5, 19), date(2028, 1, 1)]),
    researchers=people,
    purposes=st.lists(st.sampled_from(["maintenance", "*", 'odd "\\ name']), unique=True).map(
        tuple
    ),
    operations=st.lists(st.sampled_from(list(CLASS_OF)), unique=True).map(tuple),
    join_modes=st.lists(st.sampled_from(["psi", "blind"]), unique=True).map(tuple),
    disclose_ids_to=st.lists(st.sampled_from(["b", "fs1b"]), unique=True).map(tuple),
    require_malicious=st.booleans(),
    require_verify=st.booleans(),
    dataset_grade=grades,
    maximum_grades=st.fixed_dictionaries(dict.fromkeys(OperationClass, grades)),
    allowed_columns=st.lists(st.sampled_from(["kwh", "*"]), unique=True).map(tuple),
    denied_columns=st.lists(names, unique=True, max_size=2).map(tuple),
    minimum_group_size=st.integers(1, 1000),
    maximum_cells=st.integers(1, 200),
    collusion=st.integers(1, 9),
    epsilon_min=st.integers(1, 100).map(lambda milli: Decimal(milli) / 1000),
    epsilon_max=st.integers(100, 5000).map(lambda milli: Decimal(milli) / 1000),
    delta_max=st.sampled_from([Decimal(0), Decimal("1e-9"), Decimal("0.001")]),
    researcher_budget=st.just(
        BudgetLimits(Decimal("0.5"), Decimal(0), timedelta(days=7), Decimal("1.5"))
    ),
    approval=st.sampled_from(list(Approval)),
    approved=st.lists(
        st.builds(
            Approved, st.just(DIGEST), st.sampled_from([ANNA, BEN]), st.just(date(2027, 6, 1))
        ),
        max_size=2,
    ).map(tuple),
)


@given(policies)
@settings(max_examples=150, deadline=None)
def test_a_policy_reads_back_from_its_file_as_it_was(policy: Policy) -> None:
    assert parse_policy(policy_toml(policy), "p.toml") == policy


def changed(policy: Policy, changes: list[Change], request: Request) -> Policy:
    """Apply changes as an owner would, by editing the file key by key."""
    bare = ("maximum_cells", "require_malicious", "require_verify")
    text = policy_toml(policy)
    for change in changes:
        section, _, key = change.rule.rpartition(".")
        after = change.after
        if change.rule == "expires":
            after = after.removeprefix(">= ")
        elif not after.startswith("[") and change.rule not in bare:
            after = f'"{after}"'
        lines, here = [], ""
        for line in text.splitlines():
            if line.startswith("["):
                here = line.strip("[]")
            lines.append(
                f"{key} = {after}" if here == section and line.startswith(f"{key} =") else line
            )
        text = "\n".join(lines)
    return parse_policy(text, "p.toml")


@given(policies, requests)
@settings(max_examples=300, deadline=None)
def test_the_smallest_change_makes_a_refused_request_pass(policy: Policy, request: Request) -> None:
    """Applied to the file, it passes; with any one of the changes left out, it does not."""
    changes = smallest_change(policy, request)
    check(changed(policy, changes, request), request, "x")
    for left_out in changes:
        fewer = [change for change in changes if change is not left_out]
        with pytest.raises(Refusal):
            check(changed(policy, fewer, request), request, "x")


GOOD = policy_toml(OPEN)


@pytest.mark.parametrize(
    ("found", "written", "code", "key", "told"),
    [
        ("purposes =", "purpose =", "SB-2001", "purpose", "purposes"),
        ("epsilon_max =", "epsilon_maximum =", "SB-2001", "job.epsilon_maximum", "epsilon_max"),
        ("minimum_group_size = 10", "minimum_group_size = 0", "SB-2002", "minimum_group_size", ""),
        ('dataset = "L3"', 'dataset = "L9"', "SB-2002", "grades.dataset", "L1"),
        ('approval = "automatic"', 'approval = "auto"', "SB-2002", "approval", "listed"),
        ('period = "P90D"', 'period = "90 days"', "SB-2002", "budget.researcher.period", "P30D"),
        ('delta_max = "0.000001"', "delta_max = 1.5", "SB-2002", "job.delta_max", ""),
        ('epsilon_max = "2"', 'epsilon_max = "nan"', "SB-2002", "job.epsilon_max", ""),
        ('epsilon_max = "2"', 'epsilon_max = "0.001"', "SB-2003", "job.epsilon_max", ""),
        ('\nepsilon = "16"', '\nepsilon = "99"', "SB-2003", "budget.dataset", "lifetime_epsilon"),
        ("version = 1", "version = ", "SB-2000", "", ""),
    ],
)
def test_a_mistake_in_a_policy_is_named_with_file_line_key_and_cure(
    found: str, written: str, code: str, key: str, told: str
) -> None:
    assert found in GOOD
    bad = GOOD.replace(found, written, 1)
    with pytest.raises(InputError, match=code) as error:
        parse_policy(bad, "my.toml")
    facts = error.value.facts
    lines = [n for n, line in enumerate(bad.splitlines(), 1) if written.strip() in line]
    assert facts["file"] == "my.toml"
    assert facts.get("key", "") == key
    assert f"my.toml, line {facts['line']}" in str(error.value)
    assert told in str(error.value)
    if code != "SB-2003":
        assert facts["line"] == lines[0]


@pytest.mark.parametrize(
    "entry",
    [
        'digest = "12"\nresearcher = "x"\nuntil = 2027-01-01',
        f'digest = "{DIGEST}"\nresearcher = "x"\nuntil = "2027-01-01"',
        f'digest = "{DIGEST}"\nresearcher = "x"',
        f'digest = "{DIGEST}"\nresearcher = "x"\nuntil = 2027-01-01\nuntill = 1',
    ],
)
def test_an_approval_that_is_incomplete_or_vague_is_refused(entry: str) -> None:
    with pytest.raises(InputError, match=r"SB-200[12]"):
        parse_policy(f"{GOOD}\n[[approved]]\n{entry}\n", "p.toml")


def test_keys_left_out_keep_their_defaults() -> None:
    assert parse_policy("version = 1", "p.toml") == default_policy()


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
