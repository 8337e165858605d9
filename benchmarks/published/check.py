"""Asks a workload's statements of running nodes, and holds answers against those over plain tables."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.published.model import Rows, Statement, Workload
from sandbox.client import Session
from sandbox.errors import SandboxError
from sandbox.result import Result

EPSILON, DELTA = Decimal(1), Decimal("0.000001")


@dataclass(frozen=True)
class Outcome:
    """`mode`: as planned, or the code of the refusal, whose sentence is `refusal`. `known`: whether the
    plain answer is what was published. `within`: of noised numbers, how many intervals hold the plain
    one, and of how many."""

    statement: str
    mode: str
    refusal: str = ""
    expected: Rows | None = None
    found: Rows | None = None
    known: bool | None = None
    within: tuple[int, int] | None = None
    seconds: float = 0.0

    @property
    def equal(self) -> bool | None:
        """Whether the answer is the plain one; None for what is refused or noised."""
        if self.expected is None or self.found is None or self.within is not None:
            return None
        return same(self.found, self.expected)


def union(workload: Workload, files: Mapping[str, Path]) -> duckdb.DuckDBPyConnection:
    """Return all tables in one place, under the names that the published statements use."""
    connection = duckdb.connect()
    for table, file in files.items():
        connection.execute(f"CREATE VIEW {table} AS FROM '{file}'")
    for definition in workload.union:
        connection.execute(definition)
    return connection


def check(
    session: Session,
    workload: Workload,
    statement: Statement,
    plain: duckdb.DuckDBPyConnection,
    known: Rows | None,
    *,
    noised: bool,
) -> Outcome:
    """Ask a statement; what is refused is refused before anything is spent."""
    asked = statement.asked(workload)
    try:
        for text in asked:
            session.sql(text).explain(epsilon=EPSILON, delta=DELTA)
    except SandboxError as refused:
        return Outcome(statement.name, refused.code, str(refused).removeprefix(f"{refused.code} "))
    expected = plain.execute(statement.published(workload)).fetchall()
    began = time.perf_counter()
    results = [session.sql(text).run(epsilon=EPSILON, delta=DELTA) for text in asked]
    seconds = time.perf_counter() - began
    found = together(results)
    modes = [plan.mode.value for plan in (session.sql(t).plan for t in asked) if plan.mode]
    return Outcome(
        statement.name,
        ", ".join(dict.fromkeys(modes)) or "one table",
        expected=expected,
        found=found,
        known=None if known is None else same(rounded(expected, known), known),
        within=_within(results, expected) if noised else None,
        seconds=round(seconds, 2),
    )


def rows_of(result: Result) -> Rows:
    """Return the answer's rows without their intervals."""
    columns = result.columns()
    return list(zip(*(columns[name] for name in result.answer.columns), strict=True))


def together(results: list[Result]) -> Rows:
    """Return the answer of a statement that was asked in parts: the sum of single counts, where one
    of nothing is withheld, or all rows that any part has."""
    rows = [row for result in results for row in rows_of(result)]
    if len(results) > 1 and all(all(result.answer.computed) for result in results):
        return [(sum(round(_number(value)) for (value,) in rows),)]
    return list(dict.fromkeys(rows))


def same(found: Rows, expected: Rows) -> bool:
    """Tell whether two answers have the same rows, in whatever order: labels and counts equal, exact
    sums to the last bit of a double, what is divided within 1e-12."""
    a, b = (sorted(rows, key=_label) for rows in (found, expected))
    return len(a) == len(b) and all(
        len(x) == len(y) and all(map(_equal, x, y)) for x, y in zip(a, b, strict=True)
    )


def rounded(rows: Rows, known: Rows) -> Rows:
    """Return rows with the digits that the published numbers have, those without as they are."""
    digits = [max(map(_digits, column)) for column in zip(*known, strict=True)]
    return [
        tuple(v if d < 0 else round(Decimal(str(v)), d) for v, d in zip(row, digits, strict=True))
        for row in rows
    ]


def _digits(value: object) -> int:
    """Return how many decimal places a number was printed with, -1 for what is no decimal."""
    return -int(value.as_tuple().exponent) if isinstance(value, Decimal) else -1


def _label(row: tuple[object, ...]) -> list[str]:
    """Return what a row is sorted by: its labels, and numbers as far as rounding leaves them alone."""
    return [value if isinstance(value, str) else f"{_number(value):.6e}" for value in row]


def _number(value: object) -> float:
    return math.nan if value is None else float(str(value))


def _equal(found: object, expected: object) -> bool:
    if isinstance(expected, str) or found is None or expected is None:
        return found == expected
    if isinstance(expected, float):
        return math.isclose(_number(found), expected, rel_tol=1e-12)
    return _number(found) == _number(expected)


def _within(results: list[Result], expected: Rows) -> tuple[int, int] | None:
    """Return how many intervals hold the plain numbers, of the groups that both have."""
    if len(results) > 1:
        return (0, 0)
    (result,) = results
    computed = result.answer.computed
    plain = {tuple(v for v, c in zip(row, computed, strict=True) if not c): row for row in expected}
    inside = total = 0
    for row in result.answer.rows:
        wanted = plain.get(tuple(v for v, c in zip(row.values, computed, strict=True) if not c), ())
        for estimate, value in zip(row.estimates, wanted, strict=False):
            if estimate is not None and value is not None:
                total += 1
                inside += estimate.low <= _number(value) <= estimate.high
    return inside, total


def document(outcome: Outcome, workload: Workload) -> dict[str, Any]:
    """Return an outcome as JSON values, with what was asked and why; exact numbers as text."""
    (statement,) = (s for s in workload.statements if s.name == outcome.statement)

    def plain(rows: Rows | None) -> list[list[object]]:
        return [[str(v) if isinstance(v, Decimal) else v for v in row] for row in rows or ()]

    return {
        "statement": outcome.statement,
        "asked": statement.asked(workload),
        "why": " ".join(statement.why.split()),
        "mode": outcome.mode,
        "refusal": outcome.refusal,
        "expected": plain(outcome.expected),
        "found": plain(outcome.found),
        "equal": outcome.equal,
        "known": outcome.known,
        "within": outcome.within,
        "seconds": outcome.seconds,
    }
