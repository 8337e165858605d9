"""Text keys as the source has them: where all are plain, the rows are those of the canonical form."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nodes import join_worker
from nodes.join_worker import _all_columns
from nodes.prepared_worker import ORDERED
from sandbox.catalog import Column, ColumnType, DatasetCard, Member, Table
from sandbox.crypto.join.keys import plain
from sandbox.sql.keys import key_sql, register
from sandbox.sql.matched import (
    columns_on,
    matched_plan,
    matched_sql,
    matched_statement,
    plain_matched_sql,
)
from sandbox.sql.perkey import plain_row_sql, row_sql
from sandbox.sql.plan import plan

ID = Column("id", ColumnType.TEXT, join_key=True)
MAIL = Column("mail", ColumnType.TEXT, join_key=True, normaliser="email")
DAY = Column("day", ColumnType.DATE, join_key=True)
VALUE = Column("value", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(9))
CARD = DatasetCard(
    name="t", columns=(ID, MAIL, DAY, VALUE), privacy_unit="id", row_bound=9, typical_rows=9
)
TABLES = {name: Table(name, CARD, (Member(name[0], "t"),)) for name in ("a.t", "b.t")}
JOIN = "SELECT COUNT(*) AS n, SUM(r.value) AS total FROM a.t l JOIN b.t r ON l.{0} = r.{0}"
PLAIN = ["SN01", "a b", None, "\t", "~"]
OTHERS = ["", " a", "a ", "é", "ﬁ", "\u3000a", "a\u00a0"]


@pytest.fixture
def session() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        register(connection)
        yield connection


@given(st.lists(st.none() | st.text("ab \t~\x7fé\u00a0\u3000ﬁ", max_size=12), max_size=5))
@example([*PLAIN])
def test_plain_text_is_in_canonical_form(texts: list[str | None]) -> None:
    column = pa.array(texts, pa.string())
    with duckdb.connect() as connection:
        register(connection)
        rows = pa.table({"id": column, "n": range(len(texts))})
        found = connection.from_arrow(rows).query("r", f"SELECT {key_sql(ID)} FROM r ORDER BY n")
        canonical = [row[0] for row in found.fetchall()]
    assert not plain([column]) or canonical == texts
    assert plain([column.cast(pa.large_string())]) == plain([column])


@pytest.mark.parametrize("text", OTHERS)
def test_text_that_may_have_another_form_is_not_plain(text: str) -> None:
    assert plain([pa.array(PLAIN), pa.array([1, None])])
    assert not plain([pa.array(PLAIN), pa.array([text])])
    assert plain([pa.array(["a", text, "b"]).slice(2)])


def sides() -> list[tuple[str, str]]:
    """A side's SQL of its rows, and the one that reads keys as they are."""
    ids = matched_plan(matched_statement("a.t", "b.t", columns_on("id")), TABLES)
    join = plan(JOIN.format("id"), TABLES)
    assert ids.semi is not None
    matched = [ids.sides[0], ids.semi]
    return [(matched_sql(side, "rows"), plain_matched_sql(side, "rows")) for side in matched] + [
        (row_sql(join, side, "rows"), plain_row_sql(join, side, "rows")) for side in join.sides
    ]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("ids", [PLAIN, [*PLAIN * 30_000, " Ann "], OTHERS])
def test_worker_reads_the_same_keys_either_way(
    session: duckdb.DuckDBPyConnection, number: int, ids: list[str | None]
) -> None:
    session.execute("CREATE TABLE rows AS SELECT unnest(?::VARCHAR[]) AS id, 20 AS value", [ids])
    canonical, as_it_is = sides()[number]
    assert "nfkc" in canonical
    assert "nfkc" not in as_it_is
    request = {"row_sql": canonical, "plain_sql": as_it_is, "keys": 1}
    read = _all_columns(session, request)
    expected = _all_columns(session, {**request, "plain_sql": ""})
    if ids is PLAIN and number == 0:
        # What is kept beside a key says that it is as the key is.
        assert expected.pop().null_count == len(PLAIN)
    rows, others = (
        sorted(zip(*(c.to_pylist() for c in each), strict=True), key=str)
        for each in (read, expected)
    )
    assert rows == others


def test_rows_come_as_the_source_has_them_where_slots_go_by_their_number(
    session: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Over a prepared matching the values of a row would else be another's."""
    file, count = tmp_path / "rows.parquet", 300_000
    source = f"SELECT 'SN' || i AS id FROM range({count}) t(i)"
    session.execute(f"COPY ({source}) TO '{file}' (ROW_GROUP_SIZE 20_000)")
    session.execute("SET threads = 4")
    for name, value in ORDERED.items():
        session.execute(f"SET {name} = {value}")
    session.execute(f"CREATE VIEW rows AS SELECT * FROM read_parquet('{file}')")
    canonical, as_it_is = sides()[1]
    assert as_it_is
    for plain_sql in (as_it_is, ""):
        request = {"row_sql": canonical, "plain_sql": plain_sql, "keys": 1}
        (ids,) = _all_columns(session, request)
        assert ids.to_pylist() == [f"SN{i}" for i in range(count)]


class Noted:
    """A reader whose last batch is not plain; `batches`: what became of all."""

    schema = pa.schema({"key0": pa.string()})

    def __init__(self) -> None:
        self.batches: list[weakref.ref[pa.RecordBatch]] = []

    def __enter__(self) -> Noted:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for text in ("a", "b", " c"):
            batch = pa.record_batch([[text]], self.schema)
            self.batches.append(weakref.ref(batch))
            yield batch


def test_rows_that_were_read_in_vain_are_gone_before_they_are_read_again(
    session: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker has memory for its rows once."""
    reader, left = Noted(), list[int]()

    def again(_: duckdb.DuckDBPyConnection, sql: str) -> list[pa.ChunkedArray]:
        left.append(sum(batch() is not None for batch in reader.batches))
        return []

    monkeypatch.setattr(join_worker, "streamed", lambda *_: reader)
    monkeypatch.setattr(join_worker, "fetched", again)
    _all_columns(session, {"row_sql": "canonical", "plain_sql": "as it is", "keys": 1})
    assert (len(reader.batches), left) == (3, [0])


def test_keys_that_are_always_brought_to_a_form_are_read_in_one_way() -> None:
    join = plan(JOIN.format("mail"), TABLES)
    assert not plain_row_sql(join, join.sides[0], "rows")
    for on in ("mail", "id,mail", "id,day"):
        ids = matched_plan(matched_statement("a.t", "b.t", columns_on(on)), TABLES)
        assert not plain_matched_sql(ids.sides[0], "rows")


def test_failure_has_its_own_name_either_way(session: duckdb.DuckDBPyConnection) -> None:
    failing = "SELECT error('too much')::VARCHAR AS key0"
    for as_it_is in ("", failing):
        with pytest.raises(duckdb.InvalidInputException):
            _all_columns(session, {"row_sql": failing, "plain_sql": as_it_is, "keys": 1})
