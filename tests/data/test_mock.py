"""Made-up rows: from the card alone, always fit for it, and as good as real ones to plan against."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings

from nodes.drafting import draft_card, parse_bounds
from nodes.inspection import check_rows, open_source
from sandbox.catalog import Column, ColumnType, DatasetCard
from sandbox.cli.mock import mock_table, write_mock
from sandbox.errors import InputError
from tests.data.rows import CARD, STATEMENTS, planned, run_fragment
from tests.data.test_cards import cards


@pytest.mark.parametrize("name", ["mock.csv", "mock.parquet"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(card=cards())
def test_made_up_rows_pass_the_check_of_their_card(
    tmp_path: Path, name: str, card: DatasetCard
) -> None:
    card = renamed(card)
    made = write_mock(card, tmp_path / name, 50)
    assert made == min(50, card.row_bound)
    assert check_rows(open_source(tmp_path / name), card, "mock") == made


def renamed(card: DatasetCard) -> DatasetCard:
    """Return the card with names that any header can say: outer blanks are lost in CSV."""
    names = {column.name: f"c{place}" for place, column in enumerate(card.columns)}
    columns = tuple(replace(column, name=names[column.name]) for column in card.columns)
    return replace(card, columns=columns, privacy_unit=names[card.privacy_unit])


def test_values_stay_within_bounds_domains_and_nulls() -> None:
    rows = mock_table(CARD, 2000).to_pylist()
    for column in CARD.columns:
        values = [row[column.name] for row in rows]
        assert (None in values) == column.nullable, column.name
        if column.domain:
            assert set(values) <= {*column.domain, None}
            assert set(column.domain) <= set(values)
    numbers = [row["kwh"] for row in rows if row["kwh"] is not None]
    assert 0 <= min(numbers) < 10
    assert 490 < max(numbers) <= 500
    assert all(round(number, 2) == number for number in numbers)


def test_each_unit_has_as_many_rows_as_count() -> None:
    units = mock_table(CARD, 100)["id"].to_pylist()
    assert {units.count(unit) for unit in units} == {CARD.contribution_cap}


def test_equal_cards_give_equal_rows() -> None:
    assert mock_table(CARD, 100).equals(mock_table(replace(CARD, name="other"), 100))


@pytest.mark.parametrize("name", ["mock.csv", "mock.parquet"])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_statement_runs_on_made_up_rows_as_it_will_on_real_ones(
    tmp_path: Path, name: str, statement: str
) -> None:
    write_mock(CARD, tmp_path / name, 600)
    assert any(run_fragment(open_source(tmp_path / name), planned(statement)))


def test_draft_of_made_up_rows_finds_the_types_of_their_card(tmp_path: Path) -> None:
    write_mock(CARD, tmp_path / "mock.parquet", 100)
    drafted = draft_card(open_source(tmp_path / "mock.parquet"), "meters", "id", parse_bounds([]))
    for column in CARD.columns:
        assert f'name = "{column.name}"\ntype = "{column.type.value}"' in drafted


def test_bounds_beyond_what_files_can_say_are_no_obstacle(tmp_path: Path) -> None:
    wide = Column("x", ColumnType.DECIMAL, lower=Decimal(-(10**30)), upper=Decimal(10**30), scale=9)
    far = Column("d", ColumnType.DATE, lower=Decimal(-(10**9)), upper=Decimal(10**9))
    card = replace(CARD, columns=(CARD.columns[0], wide, far))
    assert write_mock(card, tmp_path / "mock.parquet", 10) == 10
    assert pyarrow.parquet.read_table(tmp_path / "mock.parquet").num_rows == 10


def test_other_kind_of_file_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="SB-1362"):
        write_mock(CARD, tmp_path / "mock.xlsx", 10)
    assert not list(tmp_path.iterdir())
