"""Studies: statements from a file, epsilon split over them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import cast

import pytest

from sandbox.client import Session
from sandbox.errors import InputError, Refusal
from sandbox.messages import text
from sandbox.sql.algebra import Plan
from sandbox.sql.plan import plan
from sandbox.study import Left, Study, plan_study, read_study
from tests.client.tables import TABLES

DELTA = Decimal("0.000001")
COUNT = plan("SELECT COUNT(*) AS n FROM machines", TABLES)
MEAN = plan("SELECT AVG(torque_nm) AS torque FROM machines", TABLES)


def test_a_study_is_split_at_semicolons_outside_of_texts_and_comments() -> None:
    found = read_study("-- error: 2%\nSELECT 1;\n-- a; comment\nSELECT ';' ;\n\n-- the end\n")
    assert [(s.sql, s.error, s.line) for s in found] == [
        ("SELECT 1", "2%", 2),
        ("-- a; comment\nSELECT ';'", None, 3),
    ]


def test_an_error_in_a_study_tells_its_line_in_the_study() -> None:
    class Asked:
        def __init__(self, statement: str) -> None:
            self.statement = statement

        @property
        def plan(self) -> Plan:
            return plan(self.statement, TABLES)

    written = "SELECT COUNT(*) FROM machines;\n\n-- error: 2%\nSELECT COUNT(*)\nFROM nowhere;\n"
    with pytest.raises(InputError, match="SB-1004") as refused:
        Study(cast(Session, SimpleNamespace(sql=Asked)), read_study(written)).explain(1, DELTA)
    assert refused.value.facts["line"] == 5


@pytest.mark.parametrize(("left", "short"), [("2", False), ("0.5", True)])
def test_a_study_says_which_budget_is_not_enough_for_it(left: str, short: bool) -> None:
    budget = [Left("a", "machines", Decimal(left), Decimal(0), "2027-01-01")]
    study = plan_study([(MEAN, None)], Decimal(1), DELTA, Decimal("0.01"), 1, budget)
    assert (text("study.short") in str(study)) is short


@pytest.mark.parametrize("written", ["", " ; ;\n", "-- nothing", "SELECT 'unclosed"])
def test_a_study_without_statements_is_refused(written: str) -> None:
    with pytest.raises(InputError, match="SB-3134"):
        read_study(written)


def test_a_wanted_error_is_paid_first_and_the_rest_is_shared() -> None:
    study = plan_study(
        [(COUNT, "n=30"), (MEAN, None), (MEAN, None)], Decimal(2), DELTA, Decimal("0.01"), 1, []
    )
    first, second, third = study.explanations
    assert first.outputs[0].error <= 30
    assert second.epsilon == third.epsilon > first.epsilon
    assert study.needed <= 2


def test_errors_that_need_more_than_the_study_has_are_refused() -> None:
    with pytest.raises(Refusal, match=r"SB-2213|SB-2215"):
        plan_study([(COUNT, "n=5"), (COUNT, "n=5")], Decimal(1), DELTA, Decimal("0.01"), 1, [])


@pytest.mark.parametrize(
    ("statements", "rest"),
    [([(MEAN, None), (MEAN, None)], ""), ([(MEAN, None)] * 3, "0.001"), ([(COUNT, "n=30")], "0.")],
)
def test_a_study_says_what_it_leaves_unused_only_where_it_does(
    statements: list[tuple[Plan, str | None]], rest: str
) -> None:
    study = plan_study(statements, Decimal("1.0"), DELTA, Decimal("0.01"), 1, [])
    unused = [line for line in str(study).splitlines() if line.startswith("Not used")]
    assert [line.removeprefix("Not used: ε = ")[: len(rest)] for line in unused] == [rest][
        : bool(rest)
    ]


def test_a_study_is_a_document_and_a_text() -> None:
    study = plan_study([(COUNT, "n=30"), (MEAN, None)], Decimal(1), DELTA, Decimal("0.01"), 1, [])
    document = study.to_document()
    assert Decimal(document["needed"]) + Decimal(document["remaining"]) == 1
    assert [s["statement"] for s in document["statements"]] == [COUNT.statement, MEAN.statement]
    assert COUNT.statement in str(study)


def test_a_study_names_who_did_not_say_what_is_left() -> None:
    study = replace(
        plan_study([(MEAN, None)], Decimal(1), DELTA, Decimal("0.01"), 1), unanswered=("b",)
    )
    assert text("study.unanswered", provider="b") in str(study).splitlines()
    assert study.to_document()["unanswered"] == ["b"]
