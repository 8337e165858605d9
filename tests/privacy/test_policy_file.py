"""A policy's file: it reads back as it was, passes with what a refusal asks for, and names mistakes."""

from __future__ import annotations

from datetime import date, timedelta
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
    OperationClass,
    Policy,
    Request,
    check,
    default_policy,
    smallest_change,
)
from sandbox.privacy.policy_file import parse_policy, policy_toml
from tests.privacy.test_policy import ANNA, BEN, DIGEST, NOW, OPEN

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
