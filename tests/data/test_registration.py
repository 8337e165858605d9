"""Registration: what does not fit is named with file, line and cure, and nothing is registered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from nodes.datasets import register, remove_dataset, replace_data
from nodes.inspection import check_rows, open_source
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox.catalog import Column, ColumnType, DatasetCard
from sandbox.crypto.identity import Identity, Role
from sandbox.errors import InputError
from tests.data.rows import CARD as METERS
from tests.data.rows import KINDS, make_rows, planned, run_fragment

CARD = DatasetCard(
    "readings",
    (
        Column("id", ColumnType.INTEGER),
        Column(
            "x", ColumnType.DECIMAL, lower=Decimal(0), upper=Decimal(10), scale=1, nullable=True
        ),
        Column("s", ColumnType.TEXT, domain=("a", "b")),
    ),
    privacy_unit="id",
    row_bound=100,
)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    vault = Vault.open(tmp_path, Identity.generate("north", Role.NODE))
    yield Registry(vault)
    vault.close()


def check(path: Path, content: bytes, card: DatasetCard = CARD) -> int:
    path.write_bytes(content)
    return check_rows(open_source(path), card, card.name)


@pytest.mark.parametrize(
    "content",
    [
        b"id,x,s\n1,2.5,a\n2,3,b\n",
        b"id;x;s\n1;2.5;a\n2;3;b\n",
        b"id\tx\ts\n1\t2.5\ta\n2\t3\tb\n",
        b"id|x|s\n1|2.5|a\n2|3|b\n",
        b"\xef\xbb\xbfid,x,s\n1,2.5,a\n2,3,b\n",
        b"id,x,s\r\n1,2.5,a\r\n2,3,b\r\n",
        b'"id","x","s"\n1,"2.5","a"\n"2",3,b\n',
        b"id,x,s\n1,,a\n2,3,b",
        b"s,extra,x,id\na,?,2.5,1\nb,?,3,2\n",
        b"id , x, s\n1, 2.5,a\n2,3,b\n",
        b"ID,X,S\n1,2.5,a\n2,3,b\n",
        b",id,x,s\n0,1,2.5,a\n1,2,3,b\n",
    ],
    ids=[
        "plain",
        "semicolon",
        "tab",
        "pipe",
        "bom",
        "crlf",
        "quoted",
        "empty",
        "order",
        "blanks",
        "case",
        "unnamed",
    ],
)
def test_dialects_of_csv_are_read(tmp_path: Path, content: bytes) -> None:
    assert check(tmp_path / "x.csv", content) == 2


@pytest.mark.parametrize(
    ("code", "line", "content"),
    [
        ("SB-1408", 2, b"id,x,s\n1,2.5\n2,3,b\n"),
        ("SB-1408", 3, b"id,x,s\n1,2.5,a\n2,3,b,4\n"),
        ("SB-1408", 30_002, b"id,x,s\n" + b"1,2,a\n" * 30_000 + b"1,2\n"),
        ("SB-1408", 2, b'id,x,s\n1,2,"a\n2,3,b\n'),
        ("SB-1461", 3, b"id,x,s\n1,2,a\n2,3,\xff\n"),
        ("SB-1461", 30_002, b"id,x,s\n" + b"1,2,a\n" * 30_000 + b"1,2,\xff\n"),
        ("SB-1461", 1, "id,x,s\n1,2,a\n".encode("utf-16")),
        ("SB-1404", 3, b"id,x,s\n1,2,a\n2,many,b\n"),
        ("SB-1404", 2, b"id,x,s\n1.5,2,a\n"),
        ("SB-1404", 2, b"id,x,s\n99999999999999999999,2,a\n"),
        ("SB-1404", 2, b"id,x,s\n1,inf,a\n"),
        ("SB-1404", 2, b"id;x;s\n1;2,5;a\n"),
        ("SB-1404", 5, b'id,x,s\n1,2,"a"\n\n\n2,"?",a\n'),
        ("SB-1405", 3, b"id,x,s\n1,2,a\n ,3,b\n"),
        ("SB-1407", 2, b"id,x,s\n1,2,\n"),
        ("SB-1426", 3, b"id,x,s\n1,2,a\n1,2,c\n"),
    ],
)
def test_bad_line_is_named(tmp_path: Path, code: str, line: int, content: bytes) -> None:
    with pytest.raises(InputError) as refused:
        check(tmp_path / "x.csv", content)
    assert (refused.value.code, refused.value.facts["line"]) == (code, line)
    assert str(tmp_path / "x.csv") in refused.value.sentence
    assert refused.value.cure


@pytest.mark.parametrize("missing", ["NA", "null", "NULL", "-", "n/a"])
def test_only_the_empty_field_is_null(tmp_path: Path, missing: str) -> None:
    """A code for missing values is an error in a column of numbers, and a text in one of texts."""
    with pytest.raises(InputError, match="SB-1404"):
        check(tmp_path / "x.csv", f"id,x,s\n1,{missing},a\n".encode())
    text = replace(CARD, columns=(CARD.columns[0], Column("s", ColumnType.TEXT)))
    assert check(tmp_path / "x.csv", f"id,s\n1,{missing}\n".encode(), text) == 1
    for empty in ("", '""'):
        with pytest.raises(InputError, match="SB-1407"):
            check(tmp_path / "x.csv", f"id,s\n1,{empty}\n".encode(), text)


def test_nan_is_a_missing_number(tmp_path: Path) -> None:
    assert check(tmp_path / "x.csv", b"id,x,s\n1,NaN,a\n") == 1
    strict = replace(CARD.columns[1], nullable=False)
    with pytest.raises(InputError, match="SB-1407"):
        check(
            tmp_path / "x.csv",
            b"id,x,s\n1,NaN,a\n",
            replace(CARD, columns=(CARD.columns[0], strict, CARD.columns[2])),
        )


@pytest.mark.parametrize(
    ("code", "name", "content"),
    [
        ("SB-1403", "x.csv", b"id,s\n1,a\n"),
        ("SB-1463", "x.csv", b"id,x,X,s\n1,2,3,a\n"),
        ("SB-1462", "x.csv", b""),
        ("SB-1462", "x.csv", b"\n\n"),
        ("SB-1418", "x.csv", b"id,x,s\n"),
        ("SB-1406", "x.csv", b"id,x,s\n" + b"1,2,a\n" * 101),
        ("SB-1401", "x.xlsx", b"PK"),
        ("SB-1419", "x.parquet", b"PAR1"),
        ("SB-1419", "x.duckdb", b"nothing"),
        ("SB-1412", "x.sql", b"SELECT * FROM 'x.csv'"),
        ("SB-1411", "x.sql", b"SELEC 1"),
    ],
)
def test_file_that_does_not_fit_registers_nothing(
    registry: Registry, tmp_path: Path, code: str, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        register(registry, "readings", path, CARD)
    assert refused.value.code == code
    assert refused.value.sentence
    assert refused.value.cure
    assert registry.datasets() == []


def test_missing_file_is_said_so(registry: Registry, tmp_path: Path) -> None:
    for name in ("no.csv", "no.parquet", "no.duckdb", "no.sql"):
        with pytest.raises(InputError, match="SB-1400"):
            register(registry, "readings", tmp_path / name, CARD)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="SB-1402"):
        register(registry, "readings", tmp_path / "empty", CARD)


def test_no_value_of_a_row_is_in_an_error(tmp_path: Path) -> None:
    for content in (
        b"id,x,s\n1,marker73,a\n",
        b"id,x,s\n1,2,marker73\n",
        b"id,x,s\nmarker73,2\n",
        b'id,x,s\n1,2,"marker73\n',
        b"id,x,s\n1,marker73,\xff\n",
    ):
        with pytest.raises(InputError) as refused:
            check(tmp_path / "x.csv", content)
        assert "marker73" not in str(refused.value)
        assert refused.value.__context__ is None or refused.value.__suppress_context__


@pytest.mark.parametrize("x", ["[1, 2]", "{'a': 1}", "DATE '2020-01-01'", "'2 kWh'", "BLOB 'a'"])
def test_parquet_column_of_a_type_that_reads_as_no_number_is_named(tmp_path: Path, x: str) -> None:
    duckdb.sql(f"SELECT 1 AS id, {x} AS x, 'a' AS s").write_parquet(str(tmp_path / "x.parquet"))
    with pytest.raises(InputError, match="SB-1404"):
        check_rows(open_source(tmp_path / "x.parquet"), CARD, "readings")


def test_parquet_folder_whose_files_differ_is_refused(tmp_path: Path) -> None:
    duckdb.sql("SELECT 1 AS id, 1.5 AS x, 'a' AS s").write_parquet(str(tmp_path / "1.parquet"))
    duckdb.sql("SELECT 1 AS id, 1.5 AS x").write_parquet(str(tmp_path / "2.parquet"))
    with pytest.raises(InputError, match="SB-1419"):
        check_rows(open_source(tmp_path), CARD, "readings")


def test_duckdb_file_with_several_tables_asks_for_one(tmp_path: Path) -> None:
    source = KINDS["duckdb"](tmp_path, make_rows(10))
    assert check_rows(source, METERS, "meters")
    with pytest.raises(InputError, match="SB-3292") as refused:
        open_source(tmp_path / "plant.duckdb")
    assert refused.value.facts["found"] == "meters, other"
    with pytest.raises(InputError, match="SB-1417"):
        open_source(tmp_path / "plant.duckdb", "metres")


def test_duckdb_file_that_is_being_written_is_refused(tmp_path: Path) -> None:
    KINDS["duckdb"](tmp_path, make_rows(10))
    (tmp_path / "plant.duckdb.wal").write_bytes(b"")
    with pytest.raises(InputError, match="SB-1464"):
        open_source(tmp_path / "plant.duckdb")


# Rows that break what the card says: refused here, and harmless in a fragment


def test_equal_rows_are_rows_and_the_cap_bounds_them(registry: Registry, tmp_path: Path) -> None:
    source = KINDS["csv"](tmp_path, make_rows(3)[:1] * 10)
    assert check_rows(source, METERS, "meters") == 10
    count = planned("SELECT COUNT(*) FROM meters")
    assert run_fragment(source, count) == [METERS.contribution_cap]


def test_rows_without_a_unit_count_as_one_unit(tmp_path: Path) -> None:
    rows = [("", *row[1:]) for row in make_rows(30)]
    source = KINDS["csv"](tmp_path, rows)
    with pytest.raises(InputError, match="SB-1405"):
        check_rows(source, METERS, "meters")
    count = planned("SELECT COUNT(*) FROM meters")
    assert run_fragment(source, count) == [METERS.contribution_cap]


# The life of a registered dataset


def write(path: Path, rows: int, x: str = "1") -> Path:
    path.write_text("id,x,s\n" + "".join(f"{n},{x},a\n" for n in range(rows)))
    return path


def test_replaced_data_keeps_card_and_budget_groups(registry: Registry, tmp_path: Path) -> None:
    first = register(registry, "readings", write(tmp_path / "1.csv", 3), CARD)
    second = replace_data(registry, "readings", write(tmp_path / "2.csv", 5))
    assert (second.groups, second.card) == (first.groups, first.card)
    assert second.version != first.version
    with pytest.raises(InputError, match="SB-1404"):
        replace_data(registry, "readings", write(tmp_path / "3.csv", 5, "bad"))
    assert registry.dataset("readings") == second


def test_dataset_registered_again_after_removal_has_its_old_groups(
    registry: Registry, tmp_path: Path
) -> None:
    card = replace(CARD, unit_domain="people")
    first = register(registry, "readings", write(tmp_path / "1.csv", 3), card)
    remove_dataset(registry, "readings")
    assert registry.datasets() == []
    again = register(registry, "readings", write(tmp_path / "2.csv", 4), CARD)
    assert set(first.groups) <= set(again.groups)


def test_name_that_sql_could_not_say_is_refused(registry: Registry, tmp_path: Path) -> None:
    file = write(tmp_path / "1.csv", 3)
    for name in ("", "Upper", "1st", "a-b", "a.b", "_base", 'a"b', "a" * 64):
        with pytest.raises(InputError, match="SB-1444"):
            register(registry, name, file, CARD)
    register(registry, "base", file, CARD)
    with pytest.raises(InputError, match="SB-1441"):
        register(registry, "base", file, CARD)


def view(folder: Path, sql: str, name: str = "view") -> Path:
    (folder / f"{name}.sql").write_text(sql)
    return folder / f"{name}.sql"


def test_view_reads_replaced_rows_or_nothing_is_replaced(
    registry: Registry, tmp_path: Path
) -> None:
    register(registry, "base", write(tmp_path / "1.csv", 3), CARD)
    few = replace(CARD, row_bound=4)
    register(registry, "clean", view(tmp_path, "SELECT * FROM base"), few)
    register(registry, "cleaner", view(tmp_path, "FROM clean WHERE id::INT < 9"), few)
    before = registry.datasets()
    with pytest.raises(InputError, match="SB-1406"):
        replace_data(registry, "base", write(tmp_path / "2.csv", 5))
    assert registry.datasets() == before
    replace_data(registry, "base", write(tmp_path / "2.csv", 4))
    for name in ("base", "clean", "cleaner"):
        count = duckdb_count(registry, name)
        assert count == 4, name


def duckdb_count(registry: Registry, name: str) -> int:
    dataset = registry.dataset(name)
    return check_rows(dataset.source, dataset.card, name)


def test_view_shares_the_budget_of_all_it_reads(registry: Registry, tmp_path: Path) -> None:
    one = register(registry, "one", write(tmp_path / "1.csv", 3), CARD)
    two = register(registry, "two", write(tmp_path / "2.csv", 4), CARD)
    joined = view(tmp_path, "SELECT one.* FROM one JOIN two USING (id);  ")
    both = register(registry, "both", joined, CARD)
    assert set(both.groups) == {*one.groups, *two.groups}
    assert one.groups != two.groups


def test_dataset_under_a_view_cannot_be_removed(registry: Registry, tmp_path: Path) -> None:
    register(registry, "one", write(tmp_path / "1.csv", 3), CARD)
    register(registry, "clean", view(tmp_path, "SELECT * FROM one"), CARD)
    with pytest.raises(InputError, match="SB-1414"):
        remove_dataset(registry, "one")
    remove_dataset(registry, "clean")
    remove_dataset(registry, "one")


@pytest.mark.parametrize(
    ("code", "sql"),
    [
        ("SB-1411", "SELECT * FROM one; DROP TABLE one"),
        ("SB-1411", "DELETE FROM one"),
        ("SB-1411", "COPY one TO 'x.csv'"),
        ("SB-1412", "SELECT * FROM two"),
        ("SB-1412", "SELECT * FROM main.one"),
        ("SB-1412", "SELECT * FROM itself"),
        ("SB-1412", "SELECT * FROM one WHERE id IN (SELECT id FROM '/etc/passwd')"),
        ("SB-1413", "SELECT * FROM read_csv('x.csv'), one"),
        ("SB-1413", "SELECT * FROM duckdb_settings(), one"),
        ("SB-1413", "SELECT * FROM query_table('one'), one"),
        ("SB-1413", "SELECT id, random() AS x, s FROM one"),
        ("SB-1413", "SELECT * FROM one WHERE now() > TIMESTAMP '2020-01-01'"),
        ("SB-1413", "SELECT * FROM one WHERE current_date > DATE '2020-01-01'"),
        ("SB-1413", "SELECT * FROM one USING SAMPLE 2"),
        ("SB-1443", "SELECT 1 AS id, 2 AS x, 'a' AS s"),
        ("SB-1403", "SELECT id, x FROM one"),
        ("SB-1419", "SELECT nothing FROM one"),
    ],
)
def test_view_that_is_more_than_a_view_is_refused(
    registry: Registry, tmp_path: Path, code: str, sql: str
) -> None:
    register(registry, "one", write(tmp_path / "1.csv", 3), CARD)
    with pytest.raises(InputError) as refused:
        register(registry, "itself", view(tmp_path, sql), CARD)
    assert refused.value.code == code
    assert [dataset.name for dataset in registry.datasets()] == ["one"]


@pytest.mark.parametrize(
    ("sql", "near"),
    [
        ("SELECT * FROM one WHERE x > 40", "x > 40"),
        ("SELECT id, x + 1 AS x, s\nFROM one", "+"),
        ("SELECT id, s,\n  sum(x) AS x FROM one GROUP BY ALL", "sum(x)"),
        ("WITH t AS (FROM one) SELECT * FROM t WHERE x BETWEEN 1 AND 2", "BETWEEN 1 AND 2"),
    ],
)
def test_view_that_takes_a_csv_column_for_a_number_is_told_which_and_the_cure(
    registry: Registry, tmp_path: Path, sql: str, near: str
) -> None:
    register(registry, "one", write(tmp_path / "1.csv", 3), CARD)
    with pytest.raises(InputError) as refused:
        register(registry, "cast", view(tmp_path, sql), CARD)
    facts = refused.value.facts
    assert refused.value.code == "SB-3293", refused.value
    assert (facts["dataset"], facts["column"]) == ("cast", "x")
    assert near in str(facts["near"])
    assert "VARCHAR" in str(facts["reason"])
    assert "TRY_CAST(x AS DOUBLE)" in refused.value.cure


def test_view_that_names_no_column_is_told_what_duckdb_says_of_it(
    registry: Registry, tmp_path: Path
) -> None:
    register(registry, "one", write(tmp_path / "1.csv", 3), CARD)
    with pytest.raises(InputError) as refused:
        register(registry, "wrong", view(tmp_path, "SELECT nothing FROM one"), CARD)
    assert refused.value.code == "SB-1419"
    assert '"nothing" not found' in str(refused.value.facts["reason"])


def test_error_over_a_views_rows_quotes_no_value(registry: Registry, tmp_path: Path) -> None:
    register(registry, "one", write(tmp_path / "1.csv", 3), CARD)
    sql = "SELECT id, x, ('marker' || 73 || s)::DATE AS s FROM one"
    with pytest.raises(InputError) as refused:
        register(registry, "wrong", view(tmp_path, sql), CARD)
    assert "marker73" not in f"{refused.value} {refused.value.facts}"


def test_view_may_use_common_table_expressions_named_like_anything(
    registry: Registry, tmp_path: Path
) -> None:
    register(registry, "one", write(tmp_path / "1.csv", 3), CARD)
    sql = "WITH two AS (SELECT * FROM ONE), three AS (FROM two) SELECT * FROM three -- done"
    assert duckdb_count(registry, register(registry, "view", view(tmp_path, sql), CARD).name) == 3
