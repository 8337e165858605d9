"""EXPLAIN: from the card alone, complete in both languages, and true."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import duckdb
import numpy as np
import pytest

from sandbox.catalog import Table
from sandbox.privacy.noise import Law
from sandbox.sql.answer import answer
from sandbox.sql.explain import explain
from sandbox.sql.joinexplained import number
from sandbox.sql.noise import cell_reference, job_noise
from sandbox.sql.plan import plan
from tests.noise import SeededSampler
from tests.sql.inprocess import exact_answer
from tests.sql.plants import CARD, catalogue, meaning, raw_rows, store

EPSILON, DELTA = Decimal(1), Decimal("0.000001")


def tables() -> dict[str, Table]:
    card = replace(CARD, contribution_cap=1, typical_rows=20_000, row_bound=100_000)
    return {name: replace(table, card=card) for name, table in catalogue().items()}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_explanation_shows_all_that_is_promised(lang: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_LANG", lang)
    planned = plan(
        "SELECT kind, AVG(torque) AS mean, SUM(torque / speed) AS load, MEDIAN(speed) AS typical "
        "FROM machines GROUP BY kind",
        tables(),
    )
    explanation = explain(planned, job_noise(planned, EPSILON, DELTA, {}))
    shown = str(explanation)
    for name in ("mean", "load", "typical"):
        assert any(name in line and "±" in line for line in shown.splitlines())
    for promised in (
        "ε = 1", "δ = 0.000001", "machines", "kind", "σ", "KiB", explanation.ring, "0.05", "0.000001",
        "node_runs",
    ):  # fmt: skip
        assert promised in shown, promised
    assert "explain." not in shown
    words = {"en": "A provider that is not there", "zh": "提供方不在线"}
    assert words[lang] in shown
    assert all(sentence in shown for sentence in explanation.who_learns_what().values())
    document = explanation.to_document()
    assert document["node_runs"] == planned.fragment.rows_sql
    assert {q["what"]: (q["step"], q["most"]) for q in document["quantisation"]} == {
        "torque": ("1/10", "1/20"),
        "torque / speed": ("1/1000000", "1/2000000"),
        "MEDIAN(speed)": ("8", "7"),
    }
    assert document["bytes"] > 0
    assert document["seconds"] > 0


def test_explanation_differs_by_what_happens_when_a_provider_is_missing() -> None:
    planned = plan("SELECT COUNT(*) FROM machines", tables())
    noise = job_noise(planned, EPSILON, DELTA, {})
    texts = {str(explain(planned, noise, missing=rule)) for rule in ("fail", "wait", "present")}
    assert len(texts) == 3


def test_planning_and_explaining_read_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no source at all here; and a connection would be noticed."""

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a database was opened")

    monkeypatch.setattr(duckdb, "connect", opened)
    planned = plan("SELECT kind, STDDEV(torque) FROM machines GROUP BY kind", tables())
    explain(planned, job_noise(planned, EPSILON, DELTA, {}))


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("statement", "tolerance"),
    [
        ("SELECT COUNT(*) AS x FROM machines", 0.04),
        ("SELECT SUM(torque) AS x FROM machines", 0.04),
        ("SELECT AVG(torque) AS x FROM machines", 0.04),
        ("SELECT kind, AVG(torque) AS x FROM machines GROUP BY kind", 0.04),
        ("SELECT SUM(torque) / COUNT(*) AS x FROM machines", 0.04),
        ("SELECT VAR_POP(torque) AS x FROM machines", 0.04),
        ("SELECT STDDEV(torque) AS x FROM machines", 0.04),
        ("SELECT COVAR_POP(torque, price) AS x FROM machines", 0.04),
        ("SELECT CORR(torque, price) AS x FROM machines", 0.04),
    ],
)
def test_predicted_error_is_the_error_of_simulated_releases(
    statement: str, tolerance: float
) -> None:
    """The 95% quantile of |estimate - truth| over 6000 seeded releases of the typical cell; its own
    standard error is 1.5%, so 4% plus the prediction's linearisation is a false alarm in under 1%."""
    planned = plan(statement, tables())
    noise = job_noise(planned, EPSILON, DELTA, {})
    members = len(planned.table.members)
    explanation = explain(planned, noise)
    (predicted,) = [o.error for o in explanation.outputs if o.name == "x"]
    sampler = SeededSampler(1)
    laws = [[noise.node_law(j, members, 1)] * members for j in range(len(planned.measures))]
    reference = [round(float(v)) for v in cell_reference(planned).values()]  # type: ignore[arg-type]
    drawn = [_total(law, 6000, sampler) for law in laws]
    exact = _value(planned, reference)
    errors = [
        abs(_value(planned, [r + int(d[i]) for r, d in zip(reference, drawn, strict=True)]) - exact)
        for i in range(6000)
    ]
    assert np.quantile(errors, 0.95) == pytest.approx(predicted, rel=tolerance)


def _total(laws: list[Law], count: int, sampler: SeededSampler) -> np.ndarray:
    return np.sum([sampler.array(law, (count,)) for law in laws], axis=0)


def _value(planned: object, cell: list[int]) -> float:
    """Return output x of the first cell, all cells holding the same measures."""
    vector = [value for value in cell for _ in range(planned.cells)]  # type: ignore[attr-defined]
    found = answer(planned, vector, [()] * len(cell))  # type: ignore[arg-type]
    estimate = found.rows[0].estimates[-1]
    assert estimate is not None
    assert estimate.value is not None
    return float(estimate.value)


@pytest.mark.parametrize("call", ["SUM", "AVG", "STDDEV"])
def test_rounding_costs_no_more_than_explain_says(call: str) -> None:
    """An argument so wide that its squares would not fit is kept in coarser steps."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    rows = raw_rows(4, 1, 100)
    store(connection, "t", rows, typed=False)
    x = "price * speed * torque"
    planned = plan(f"SELECT {call}({x}) AS x, COUNT({x}) AS n FROM a.machines", catalogue())
    (row,) = exact_answer({"a.machines": connection}, planned, {"a.machines": "t"}).rows
    label = f"{call}(price * speed * torque)"
    coarse = [q for q in planned.quantisation if q.what == label]
    assert bool(coarse) == (call == "STDDEV")
    most = coarse[0].most if coarse else Fraction(0)
    values = [
        float(r[5]) * float(r[4]) * float(r[3])  # type: ignore[arg-type]
        for r in map(meaning, rows)
        if r[3] is not None
    ]
    exact = {
        "SUM": math.fsum(values),
        "AVG": math.fsum(values) / len(values),
        "STDDEV": float(np.std(values, ddof=1)),
    }[call]
    found = row.estimates[0]
    assert found is not None
    # A standard deviation moves by at most the largest change of a value, times sqrt(n / (n - 1)).
    assert abs(float(found.value or 0) - exact) <= 1.01 * float(most) + 1e-9 * abs(exact)


def test_every_number_that_nodes_sum_has_a_name_of_its_own() -> None:
    planned = plan(
        "SELECT VARIANCE(torque), CORR(torque, speed), AVG(speed) FROM machines", catalogue()
    )
    labels = [measure.label for measure in planned.measures]
    assert len(set(labels)) == len(labels)
    assert "SUM of squares of VARIANCE(torque)" in labels


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.01234567, "0.01235"),
        (999.96, "1,000"),
        (1000, "1,000"),
        (196_345.0, "196,300"),
        (1e4, "10,000"),
    ],
)
def test_numbers_have_four_digits_and_no_exponent(value: float, shown: str) -> None:
    assert number(value) == shown
