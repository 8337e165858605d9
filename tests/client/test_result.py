"""A result as columns, tables and HTML: error bars beside each estimate, text escaped."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from sandbox.jobs import JobSpec
from sandbox.privacy.intervals import Estimate
from sandbox.result import Result
from sandbox.sql.answer import Answer, Row, Withheld


def result(*rows: Row, withheld: tuple[Withheld, ...] = (), verify: bool = False) -> Result:
    facts = {"job": "ab" * 16, "epsilon_value": "1", "delta_value": "0.000001", "verify": verify}
    spec = cast(JobSpec, SimpleNamespace(**facts))
    answer = Answer(("kind", "n"), (False, True), rows, withheld)
    return Result(spec, answer, Path("receipt.json"), (), (1, 2))


def row(kind: str | None, value: int | None) -> Row:
    return Row((kind, None), (None, Estimate(value, 1.0, 9.0, 0.95)))


def test_verified_join_says_so_beside_its_rows() -> None:
    plain, verified = (result(row("a", 5), verify=verify).remarks() for verify in (False, True))
    assert len(verified) == len(plain) + 1
    assert any("--verify" in remark for remark in verified)


def test_each_estimate_has_its_error_bars_beside_it() -> None:
    found = result(row("a", 5), row(None, None)).to_arrow().to_pydict()
    assert found == {
        "kind": ["a", None],
        "n": [5, None],
        "n_low": [1.0, 1.0],
        "n_high": [9.0, 9.0],
    }


def test_pandas_sees_the_same_columns() -> None:
    pytest.importorskip("pandas")
    frame = result(row("a", 5)).to_pandas()
    assert list(frame.columns) == ["kind", "n", "n_low", "n_high"]


def test_a_prompt_shows_what_was_spent_and_where_the_receipt_is_and_no_keys() -> None:
    shown = repr(result(row("a", 5)))
    assert shown == (
        f"Result(job='{'ab' * 16}', rows=1, epsilon=1, delta=0.000001, receipt='receipt.json')"
    )


def test_an_answer_without_rows_keeps_its_columns() -> None:
    assert result().to_arrow().column_names == ["kind", "n", "n_low", "n_high"]


def test_html_escapes_what_comes_from_a_card() -> None:
    shown = result(row("<script>", 5))._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_notebook_shows_what_is_withheld_and_whose_rule_it_is() -> None:
    rule = Withheld("minimum_group_size", 10, "north", groups=2)
    shown = result(row("a", 50), withheld=(rule,))._repr_html_()
    assert "2" in shown
    assert "north: minimum_group_size = 10" in shown
