"""How declared columns are read, whatever the source holds."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.cards import card_toml, parse_card
from sandbox.catalog import WIDEST_COLUMN, Column, ColumnType
from sandbox.errors import InputError
from sandbox.sql.columns import reading, units
from tests.sql.plants import CARD

SESSION = duckdb.connect()
SESSION.execute("SET TimeZone = 'UTC'")


def read(column: Column, value: str | float | None, kind: str = "VARCHAR") -> object:
    text = reading(replace(column, name="x"))
    (found,) = (
        SESSION.execute(f"SELECT {text} FROM (SELECT ?::{kind} AS x)", [value]).fetchone() or ()
    )
    return found


TORQUE = Column("x", ColumnType.DECIMAL, lower=Decimal(-5), upper=Decimal("80.5"), scale=1)


@pytest.mark.parametrize(
    ("text", "tenths"),
    [
        ("0.05", 1), ("-0.05", -1), ("0.0499", 0), ("80.5", 805), ("80.54", 805), ("1e9", 805),
        ("-1e400", -50), ("inf", 805), ("nan", None), ("", None), ("abc", None), ("0x10", None),
        ("1_0", 100), (" 7 ", 70), ("+7", 70), ("7.", 70), (None, None),
    ],
)  # fmt: skip
def test_decimals_are_clamped_and_rounded_half_away_from_zero(
    text: str | None, tenths: int | None
) -> None:
    assert read(TORQUE, text) == tenths


@settings(max_examples=300, deadline=None)
@given(st.floats())
def test_any_double_reads_within_the_bounds(value: float) -> None:
    found = read(TORQUE, value, "DOUBLE")
    assert found is None or -50 <= int(str(found)) <= 805
    assert (found is None) == math.isnan(value)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CARD.columns), st.text(max_size=12) | st.floats().map(str))
def test_any_text_reads_as_a_declared_value_or_null(column: Column, text: str) -> None:
    found = read(column, text)
    if found is None or column.type in (ColumnType.TEXT, ColumnType.BOOLEAN):
        assert found is None or not column.domain or found in column.domain
    else:
        low, high = units(column)
        assert low <= int(str(found)) <= high


@pytest.mark.parametrize("scale", [0, 3, 9])
def test_the_widest_bounds_are_read_exactly(scale: int) -> None:
    widest = Decimal(WIDEST_COLUMN).scaleb(-scale)
    column = Column("x", ColumnType.DECIMAL, lower=-widest, upper=widest, scale=scale)
    for value in (WIDEST_COLUMN, WIDEST_COLUMN - 1, 1 - WIDEST_COLUMN):
        assert read(column, f"{Decimal(value).scaleb(-scale):f}") == value
    assert read(column, f"{widest * 3:f}") == WIDEST_COLUMN


def test_a_card_with_wider_bounds_is_refused() -> None:
    """Its values would overflow the decimals they are read by, and read as NULL."""
    wide = replace(CARD.columns[3], upper=Decimal(WIDEST_COLUMN))
    written = card_toml(replace(CARD, columns=(*CARD.columns[:3], wide, *CARD.columns[4:])))
    with pytest.raises(InputError) as caught:
        parse_card(written, "card.toml")
    assert caught.value.code == "SB-1204"
    assert Fraction(WIDEST_COLUMN, 10) == Fraction(str(caught.value.facts["rule"]).split("<= ")[1])
