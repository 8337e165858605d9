"""What a researcher's notes say of matchings: which are kept, and what became of the others."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from sandbox.errors import InputError
from sandbox.prepared import PreparedFolder, PreparingExplanation, Standing
from sandbox.published import WIDEST


@pytest.fixture
def notes(tmp_path: Path) -> PreparedFolder:
    return PreparedFolder(tmp_path / "matchings")


def test_name_that_was_never_prepared_is_told_from_one_that_is_misspelt(
    notes: PreparedFolder,
) -> None:
    with pytest.raises(InputError) as none:
        notes.job("shop")
    assert none.value.code == "SB-1119"
    assert "-" not in none.value.sentence
    notes.keep("shops", "ab" * 16)
    with pytest.raises(InputError) as near:
        notes.job("shop")
    assert (near.value.code, near.value.facts["nearest"]) == ("SB-1122", "shops")


def test_notes_tell_what_became_of_a_matching(notes: PreparedFolder) -> None:
    first, second = "ab" * 16, "cd" * 16
    notes.keep("shops", first)
    assert notes.standing("shops", first) is Standing.KEPT
    notes.keep("shops", second)
    assert notes.standing("shops", first) is Standing.REPLACED
    notes.drop("shops")
    assert {notes.standing("shops", job) for job in (first, second)} == {Standing.FORGOTTEN}


def test_price_of_a_preparation_is_written_out() -> None:
    tables, epsilon, delta = ("a.people", "b.buys"), Decimal("0.05"), Decimal("1E-10")
    explained = PreparingExplanation("shops", tables, epsilon, delta, 100, 1, 1.0, ())
    assert "0.0000000001" in explained.cost()
    assert explained.to_document()["delta"] == "0.0000000001"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_missing_epsilon_is_told_alike_for_queries_and_preparations(
    lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_LANG", lang)
    told = WIDEST.unstated("epsilon", "a.people")
    assert told.code == "SB-3130"
    assert "query" not in told.sentence.lower()
    assert "查询" not in told.sentence
