"""Cards: what `inspect` drafts, what is refused with its line, what survives a round trip."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.drafting import draft_card, parse_bounds
from nodes.inspection import check_rows, open_source
from sandbox.cards import OWNER, card_toml, parse_card, read_card
from sandbox.catalog import (
    NORMALISERS,
    Column,
    ColumnType,
    DatasetCard,
    Grade,
    card_fault,
    card_from_document,
    card_to_document,
)
from sandbox.crypto.identity import canonical, parse
from sandbox.errors import InputError
from sandbox.sql import keys

CSV = "id,kwh,phases,since,read_at,solar,kind\n7,1.5,2,2020-01-02,2020-01-02 03:04:05,true,shop\n"


@pytest.fixture
def meters(tmp_path: Path) -> Path:
    (tmp_path / "meters.csv").write_text(CSV * 1)
    return tmp_path / "meters.csv"


def test_draft_says_what_the_format_says_and_nothing_of_the_rows(meters: Path) -> None:
    drafted = draft_card(open_source(meters), "meters", "id", parse_bounds(["kwh=0:500"]))
    card = tomllib.loads(drafted)
    assert [(c["name"], c["type"]) for c in card["columns"]] == [
        ("id", "integer"),
        ("kwh", "decimal"),
        ("phases", "integer"),
        ("since", "date"),
        ("read_at", "timestamp"),
        ("solar", "boolean"),
        ("kind", "text"),
    ]
    assert (card["columns"][1]["lower"], card["columns"][1]["upper"]) == (0, 500)
    assert card["row_bound"] == OWNER
    for value in ("1.5", "2020", "shop", "= 7", "= 1\n"):
        assert value not in drafted.replace("contribution_cap = 1", "")


def test_a_card_that_an_editor_began_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    written = 'name = "m"\nprivacy_unit = "id"\nrow_bound = 9\n'
    written += '[[columns]]\nname = "id"\ntype = "integer"\n'
    (tmp_path / "m.toml").write_text(written, encoding="utf-8-sig")
    assert read_card(tmp_path / "m.toml").name == "m"


def test_bounds_the_wrong_way_round_are_refused(meters: Path) -> None:
    for written in ("kwh=500:0", "since=2021-01-01:2020-01-01"):
        with pytest.raises(InputError, match="SB-1416"):
            draft_card(open_source(meters), "meters", "id", parse_bounds([written]))


def test_no_card_is_drafted_from_lines_of_several_lengths(tmp_path: Path) -> None:
    (tmp_path / "ragged.csv").write_text("id,kwh\n1,2.5\n2\n3,4,5\n")
    with pytest.raises(InputError, match="SB-1408") as refused:
        draft_card(open_source(tmp_path / "ragged.csv"), "ragged", "id")
    assert refused.value.facts["line"] == 3


def test_every_mark_is_refused_with_its_line_until_the_owner_has_filled_it_in(
    meters: Path,
) -> None:
    drafted = draft_card(open_source(meters), "meters")
    answers = {
        "privacy_unit": '"id"',
        "row_bound": "100",
        "lower": "-1000000",
        "upper": "3000000000",
    }
    refused = 0
    while OWNER in re.sub(r"#.*", "", drafted):
        with pytest.raises(InputError) as found:
            parse_card(drafted, "meters.toml")
        assert found.value.code == "SB-1460"
        assert found.value.cure
        line, key = int(found.value.facts["line"]), str(found.value.facts["key"])
        lines = drafted.splitlines()
        assert lines[line - 1] == f'{key} = "{OWNER}"'
        lines[line - 1] = f"{key} = {answers[key]}"
        drafted = "\n".join(lines)
        refused += 1
    assert refused == 2 + 2 * 5
    card = parse_card(drafted, "meters.toml")
    assert check_rows(open_source(meters), card, "meters") == 1
    assert card.units_span_nodes, "the safe answer until the owner knows better"


def test_draft_knows_the_types_of_parquet_and_duckdb(tmp_path: Path, meters: Path) -> None:
    duckdb.sql(f"FROM read_csv('{meters}')").write_parquet(str(tmp_path / "m.parquet"))
    with duckdb.connect(str(tmp_path / "m.duckdb")) as connection:
        connection.execute(f"CREATE TABLE m AS FROM read_csv('{meters}')")
    drafts = {
        draft_card(open_source(tmp_path / name), "meters", "id")
        for name in ("meters.csv", "m.parquet", "m.duckdb")
    }
    assert len(drafts) == 1


def test_bounds_are_written_in_the_type_of_their_column(meters: Path) -> None:
    given = ["since=2000-01-01:2030-12-31", "read_at=2000-01-01T00:00:00:2030-01-01", "kwh=-1:1e2"]
    with pytest.raises(InputError, match="SB-1416"):
        parse_bounds(given)
    bounds = parse_bounds([given[0], given[2]])
    drafted = tomllib.loads(draft_card(open_source(meters), "meters", "id", bounds))
    columns = {column["name"]: column for column in drafted["columns"]}
    assert str(columns["since"]["upper"]) == "2030-12-31"
    assert (columns["kwh"]["lower"], columns["kwh"]["upper"]) == (-1, 100)


@pytest.mark.parametrize("bounds", ["kwh", "kwh=1", "kwh=a:b", "=1:2", "kwh=1..2:3", "since=1:2"])
def test_bounds_that_are_none_are_refused(meters: Path, bounds: str) -> None:
    with pytest.raises(InputError, match="SB-1416"):
        draft_card(open_source(meters), "meters", "id", parse_bounds([bounds]))


@pytest.mark.parametrize(
    ("unit", "bounds", "option"), [("nope", [], "--unit"), ("id", ["nope=1:2"], "--bounds")]
)
def test_draft_for_a_column_that_is_not_there_is_refused(
    meters: Path, unit: str, bounds: list[str], option: str
) -> None:
    with pytest.raises(InputError, match="SB-1409") as refused:
        draft_card(open_source(meters), "meters", unit, parse_bounds(bounds))
    assert f"'nope', which {option} names" in refused.value.sentence
    assert "kwh" in refused.value.cure


GOOD = """name = "meters"
privacy_unit = "id"
row_bound = 100
contribution_cap = 2

[description]
en = "Meters"

[[columns]]
name = "id"
type = "integer"

[[columns]]
name = "kwh"
type = "decimal"
lower = 0
upper = 500
scale = 2
"""


@pytest.mark.parametrize(
    ("code", "line", "old", "new"),
    [
        ("SB-1201", 2, 'privacy_unit = "id"', "privacy_unit = id"),
        ("SB-1202", 4, "contribution_cap", "contribution_cup"),
        ("SB-1202", 16, "lower", "lowest"),
        ("SB-1203", 1, "row_bound = 100", ""),
        ("SB-1204", 3, "row_bound = 100", "row_bound = 0"),
        ("SB-1204", 3, "row_bound = 100", 'row_bound = "many"'),
        ("SB-1204", 11, '"integer"', '"int"'),
        ("SB-1204", 16, "lower = 0\n", ""),
        ("SB-1204", 17, "upper = 500", "upper = -1"),
        ("SB-1204", 17, "upper = 500", "upper = 500.001"),
        ("SB-1204", 18, "scale = 2", "scale = 10"),
        ("SB-1204", 18, "scale = 2", 'grade = "L5"'),
        ("SB-1204", 14, '"kwh"', '"ID"'),
        ("SB-1204", 4, "contribution_cap = 2", "contribution_cap = 0"),
        ("SB-1205", 2, '"id"', '"meter"'),
    ],
)
def test_wrong_card_is_named_with_line_and_key(code: str, line: int, old: str, new: str) -> None:
    assert parse_card(GOOD, "card.toml").row_bound == 100
    with pytest.raises(InputError) as refused:
        parse_card(GOOD.replace(old, new, 1), "card.toml")
    assert refused.value.code == code
    assert refused.value.facts["line"] == (line if old != "lower = 0\n" else 16)
    assert refused.value.facts["file"] == "card.toml"
    assert refused.value.cure


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("row_bound = 100", 'row_bound = "many"'),
        ("upper = 500", 'upper = "high"'),
        ("scale = 2", "scale = [2]"),
        ("scale = 2", "description = 3"),
        ("scale = 2", "multiplicity = 0"),
        ("scale = 2", 'nullable = "perhaps"'),
        ("scale = 2", 'domain = "a"'),
        ('"kwh"', '""'),
        ('"integer"', '"int"'),
    ],
)
def test_what_a_value_has_to_be_is_said_in_the_readers_language(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    monkeypatch.setenv("SANDBOX_LANG", "zh")
    with pytest.raises(InputError) as refused:
        parse_card(GOOD.replace(old, new, 1), "card.toml")
    rule = str(refused.value.facts["rule"])
    assert refused.value.code == "SB-1204"
    assert not re.search("[A-Za-z]{3,} [A-Za-z]{2,}", rule.replace("true", "").replace("false", ""))
    assert "另一种" not in rule or "upper" in old, "the rule is not told"


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=9
)


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    kind = draw(st.sampled_from(ColumnType))
    scale = draw(st.integers(0, 3)) if kind is ColumnType.DECIMAL else 0
    lower = upper = None
    if kind not in (ColumnType.TEXT, ColumnType.BOOLEAN) and draw(st.booleans()):
        most = 2_000_000 if kind is ColumnType.DATE else 10**9
        low, high = sorted(draw(st.tuples(*[st.integers(-700_000, most)] * 2)))
        lower, upper = Decimal(low).scaleb(-scale), Decimal(high).scaleb(-scale)
    domain: tuple[str, ...] = ()
    if kind is ColumnType.TEXT and draw(st.booleans()):
        domain = tuple(draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)))
    return Column(
        name,
        kind,
        grade=draw(st.sampled_from(Grade)),
        unit=draw(st.sampled_from(["", "kWh", "°C"])),
        lower=lower,
        upper=upper,
        scale=scale,
        domain=domain,
        nullable=draw(st.booleans()),
        magnitude=draw(st.none() | st.decimals(0, 1000, places=2)),
        join_key=draw(st.booleans()),
        multiplicity=draw(st.integers(1, 9)),
        description=draw(st.dictionaries(st.sampled_from(["en", "zh"]), NAMES)),
    )


@st.composite
def cards(draw: st.DrawFn) -> DatasetCard:
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique_by=str.lower))
    return DatasetCard(
        draw(NAMES),
        tuple(draw(columns(name)) for name in names),
        privacy_unit=draw(st.sampled_from(names)),
        row_bound=draw(st.integers(1, 10**9)),
        contribution_cap=draw(st.integers(1, 100)),
        unit_domain=draw(st.sampled_from(["", "people"])),
        units_span_nodes=draw(st.booleans()),
        typical_rows=draw(st.integers(0, 100)),
        grade=draw(st.sampled_from(Grade)),
    )


@given(cards())
def test_card_survives_toml(card: DatasetCard) -> None:
    read = parse_card(card_toml(card), "card.toml")
    for field in fields(DatasetCard):
        assert getattr(read, field.name) == getattr(card, field.name)


@given(cards())
def test_card_survives_its_document(card: DatasetCard) -> None:
    assert card_from_document(parse(canonical(card_to_document(card)))) == card


@pytest.mark.parametrize(
    ("kind", "bound", "written"),
    [
        (ColumnType.DATE, Decimal(18262), "2020-01-01"),
        (ColumnType.TIMESTAMP, Decimal(18262 * 86_400 + 90), "2020-01-01 00:01:30"),
        (ColumnType.DATE, Decimal(-719162), "0001-01-01"),
        (ColumnType.DATE, Decimal(10**9), "1000000000"),
        (ColumnType.INTEGER, Decimal(18262), "18262"),
        (ColumnType.DECIMAL, Decimal("1E+3"), "1000"),
    ],
)
def test_bounds_are_shown_as_people_write_them(
    kind: ColumnType, bound: Decimal, written: str
) -> None:
    assert Column("x", kind).written(bound) == written


def test_a_draft_speaks_its_readers_language(meters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_LANG", "zh")
    drafted = draft_card(open_source(meters), "meters", "id")
    comments = [line for line in drafted.splitlines() if line.startswith("#")]
    assert len(comments) > 10
    assert all(re.search(r"[\u4e00-\u9fff]", line) for line in comments)


def test_a_join_keys_normaliser_and_multiplicity_are_what_providers_can_run() -> None:
    key = Column("k", ColumnType.TEXT, join_key=True)

    def fault(**changes: Any) -> tuple[object, ...] | None:
        card = DatasetCard("t", (replace(key, **changes),), privacy_unit="k", row_bound=10)
        found = card_fault(card)
        return None if found is None else found[0]

    assert [fault(normaliser=name) for name in NORMALISERS] == [None] * len(NORMALISERS)
    assert set(NORMALISERS) == set(keys.NORMALISERS)
    assert fault(normaliser="soundex") == ("columns", 0, "normaliser")
    assert fault(multiplicity=0) == ("columns", 0, "multiplicity")
    assert fault(multiplicity=3) is None
