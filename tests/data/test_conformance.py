"""What every kind of source must do: the same rows give the same fragments, from CSV to views."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes import sources
from nodes.inspection import check_rows, columns_of, open_source
from nodes.sources import Source, from_document, to_document
from tests.data.rows import (
    CARD,
    KINDS,
    STATEMENTS,
    Row,
    make_rows,
    planned,
    run_fragment,
    write_csv,
)

ROWS = make_rows()


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Source:
    return KINDS[request.param](tmp_path_factory.mktemp("source"), ROWS)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return KINDS["parquet"](tmp_path_factory.mktemp("reference"), ROWS)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_same_rows_give_the_same_fragment(
    source: Source, reference: Source, statement: str
) -> None:
    fragment = planned(statement)
    found = run_fragment(source, fragment)
    assert found == run_fragment(reference, fragment)
    assert any(found)


def test_bounded_count_is_what_plain_counting_says(source: Source) -> None:
    units: dict[str, int] = {}
    for row in ROWS:
        units[row[0]] = units.get(row[0], 0) + 1
    expected = sum(min(count, CARD.contribution_cap) for count in units.values())
    assert run_fragment(source, planned("SELECT COUNT(*) FROM meters")) == [expected]


def test_rows_pass_the_check_and_are_counted(source: Source) -> None:
    assert check_rows(source, CARD, "meters") == len(ROWS)


def test_columns_are_the_declared_ones_in_order(source: Source) -> None:
    assert list(columns_of(source, "meters")) == [column.name for column in CARD.columns]


def test_source_survives_its_journey_to_the_worker(source: Source) -> None:
    assert from_document(json.loads(json.dumps(to_document(source)))) == source


@pytest.mark.parametrize("threads", [1, 3])
def test_fragment_is_the_same_on_any_number_of_threads(source: Source, threads: int) -> None:
    fragment = planned(STATEMENTS[1])
    assert run_fragment(source, fragment, threads=threads) == run_fragment(source, fragment)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{secret}', header=false)",
        "SELECT * FROM '{secret}'",
        "COPY (SELECT 1) TO '{secret}.out'",
        "ATTACH '{secret}.db' AS other",
        "SET memory_limit='20GB'",
        "SET enable_external_access=true",
        "RESET lock_configuration",
        "INSTALL httpfs",
        "SELECT * FROM glob('{folder}/*')",
    ],
)
def test_session_reaches_nothing_but_its_source(
    source: Source, tmp_path: Path, statement: str
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("1\n")
    with duckdb.connect(":memory:") as connection:
        sources.open_locked(connection, source, None, {})
        with pytest.raises(duckdb.Error):
            connection.execute(statement.format(secret=secret, folder=tmp_path)).fetchall()
    assert [file.name for file in tmp_path.iterdir()] == ["secret.csv"]


def test_undeclared_columns_are_not_in_the_session(source: Source) -> None:
    with duckdb.connect(":memory:") as connection:
        sources.open_locked(connection, source, ["id", "kwh"], {})
        with pytest.raises(duckdb.BinderException):
            connection.execute(f"SELECT phases FROM {sources.RELATION}")


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_a_change_of_any_file_is_noticed(
    make: Callable[[Path, list[Row]], Source], tmp_path: Path
) -> None:
    source = make(tmp_path, ROWS[:30])
    for file in sources.files(source):
        path = Path(file.path)
        content = path.read_bytes()
        assert sources.unchanged(source)
        path.write_bytes(content + b"\n")
        assert not sources.unchanged(source)
        path.unlink()
        assert not sources.unchanged(source)
        path.write_bytes(content)
        _restore_time(file)
    assert sources.unchanged(source)


def test_changes_waiting_beside_a_duckdb_file_are_noticed(tmp_path: Path) -> None:
    source = KINDS["duckdb"](tmp_path, ROWS[:30])
    with duckdb.connect(str(tmp_path / "plant.duckdb")) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute("DELETE FROM meters")
    assert not sources.unchanged(source)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(TEXTS, min_size=1, max_size=8), odd=st.sampled_from([0, 1]))
def test_any_text_survives_csv_as_it_survives_parquet(
    tmp_path: Path, texts: list[str], odd: int
) -> None:
    """Line breaks, quotes, delimiters, byte order marks: a group by such values finds them."""
    rows = [(str(n), *ROWS[0][1:]) for n in range(len(texts))]
    for n, text in enumerate(texts):
        rows[n] = (rows[n][0], text if n % 2 == odd else text * 2, *rows[n][2:])
    for delimiter in ",;\t":
        file = write_csv(tmp_path / "x.csv", rows, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        with duckdb.connect(":memory:") as connection:
            sources.open_locked(connection, open_source(file), ["kind"], {})
            found = connection.execute(f"SELECT kind FROM {sources.RELATION}").fetchall()
        assert sorted(kind for (kind,) in found) == sorted(row[1] for row in rows)


def _restore_time(file: sources.SourceFile) -> None:
    os.utime(file.path, ns=(file.mtime_ns, file.mtime_ns))
