"""What the published statements' table says is what planning says now, and a wrong answer is told."""

from __future__ import annotations

from decimal import Decimal

import pytest

from benchmarks import report
from benchmarks.published import scql, smcql, tpch
from benchmarks.published.check import rounded, same
from benchmarks.published.model import Rows, Workload
from sandbox.errors import SandboxError
from sandbox.sql.plan import plan
from sandbox.sql.runnable import require_protocol

WORKLOADS = (tpch.workload(Decimal("0.01")), smcql.WORKLOAD, scql.WORKLOAD)


def planned(workload: Workload, statement: str) -> str:
    """Return how a statement runs, or the code of its refusal."""
    tables = workload.catalogue({owner: owner for owner in workload.owners})
    try:
        found = plan(statement, tables)
        require_protocol(found)
    except SandboxError as refused:
        return refused.code
    return found.mode.value if found.mode else "one table"


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_the_table_says_how_each_statement_runs(workload: Workload) -> None:
    measured = report.read("published")["measured"][workload.name]
    assert [each["statement"] for each in measured] == [s.name for s in workload.statements]
    for statement, each in zip(workload.statements, measured, strict=True):
        asked = statement.asked(workload)
        assert each["asked"] == list(asked)
        modes = {planned(workload, text) for text in asked}
        assert (
            (each["mode"] in modes)
            if each["refusal"]
            else set(each["mode"].split(", ")) == (modes - {"one table"} or modes)
        )
        assert each["refusal"] or (each["equal"], each["known"]) in ((True, True), (True, None))


WANTED: Rows = [("a", 3, Decimal("1.10"), 0.1), ("b", 4, None, 2.0)]


@pytest.mark.parametrize(
    ("found", "equal"),
    [
        ([("b", 4, None, 2.0), ("a", 3, 1.1, 0.1 + 1e-17)], True),
        ([("a", 3, 1.1, 0.1)], False),
        ([("a", 3, 1.1, 0.1), ("b", 4, None, 2.0), ("c", 0, None, None)], False),
        ([("a", 3, 1.1000000000000003, 0.1), ("b", 4, None, 2.0)], False),
        ([("a", 3, 1.1, 0.1), ("b", 4, 0.0, 2.0)], False),
        ([("a", 3, 1.1, 0.1), ("b", 5, None, 2.0)], False),
        ([("a", 3, 1.1, 0.1), ("b", 4, None, 2.00000001)], False),
        ([("b", 3, 1.1, 0.1), ("a", 4, None, 2.0)], False),
    ],
)
def test_answers_are_the_same_only_if_every_row_is(found: Rows, equal: bool) -> None:
    assert same(found, WANTED) is equal


def test_known_answers_are_compared_as_far_as_they_were_printed() -> None:
    known: Rows = [("x", Decimal("7743.4667")), ("y", Decimal("5499.425"))]
    assert same(rounded([("x", 7743.466666666666), ("y", 5499.425)], known), known)
    assert not same(rounded([("x", 7743.46661), ("y", 5499.425)], known), known)
