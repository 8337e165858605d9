"""The owner's look at his own data, before anything is registered.

Finds out what a file is and checks every row against a card in one streaming pass of bounded
memory. What it finds is said to the owner alone.
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodes import dialect
from nodes.sources import (
    RELATION,
    CsvSource,
    DuckDBSource,
    ParquetSource,
    Source,
    SourceFile,
    ViewSource,
    literal,
    open_locked,
    parquet_files,
    quoted,
    write_ahead_log,
)
from nodes.views import misfit
from sandbox.catalog import Column, ColumnType, DatasetCard
from sandbox.errors import InputError
from sandbox.files import fault_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

MEMORY_LIMIT = "1GB"
THREADS = 4
"""Each holds buffers, so that their number must not grow with the machine."""
TELL_S = 0.2

Progress = Callable[[float], None]
"""Told the share of the rows that was read, from 0 to 1, a few times a second."""

CASTS = {
    ColumnType.INTEGER: "DOUBLE",
    ColumnType.DECIMAL: "DOUBLE",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.DATE: "DATE",
    ColumnType.TIMESTAMP: "TIMESTAMP",
    ColumnType.TEXT: "VARCHAR",
}


def open_source(path: Path, table: str | None = None) -> Source:
    """Return the CSV, Parquet or DuckDB source at `path` as it is now.

    Raises InputError SB-1400 (unreadable), SB-1401 (unknown kind), SB-1402, SB-1417 (no such
    table), SB-3292 (which table?), SB-1461..SB-1464.
    """
    kind = path.suffix.lower()
    try:
        if path.is_dir() or kind == ".parquet":
            return ParquetSource(parquet_files(path))
        if kind in (".csv", ".tsv", ".txt"):
            with _session() as connection:
                return dialect.csv_source(path, connection)
        if kind in (".duckdb", ".db", ".ddb"):
            SourceFile.of(path)
            return _duckdb_source(path, table)
    except OSError as error:
        raise InputError("SB-1400", path=str(path), reason=fault_of(error)) from None
    raise InputError("SB-1401", path=str(path))


def _duckdb_source(path: Path, table: str | None) -> DuckDBSource:
    if write_ahead_log(path).exists():
        raise InputError("SB-1464", path=str(path))
    with _session() as connection, _reading(path, "DuckDB"):
        connection.execute(f"ATTACH {literal(str(path.absolute()))} AS file (READ_ONLY)")
        found = [
            name
            for (name,) in connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'file'"
                " AND table_schema = 'main' ORDER BY table_name"
            ).fetchall()
        ]
    chosen = found[0] if table is None and len(found) == 1 else table
    if chosen is None:
        raise InputError("SB-3292", path=str(path), found=", ".join(found))
    if chosen not in found:
        raise InputError("SB-1417", path=str(path), table=chosen, found=", ".join(found))
    return DuckDBSource(SourceFile.of(path), chosen)


def columns_of(source: Source, name: str) -> dict[str, str]:
    """Return the source's columns and their DuckDB types. name: the dataset's, for errors."""
    with _opened(source, name, None) as connection:
        described = connection.execute(f"DESCRIBE {RELATION}").fetchall()
    return {column: kind for column, kind, *_ in described}


def sniffed_columns(source: CsvSource) -> dict[str, str]:
    """Return the columns of a CSV file and the DuckDB types that its first rows read as.

    Raises InputError SB-1408 where these are not all as long as the header.
    """
    with _session() as connection, _reading(source.file.path, "CSV"):
        row = connection.execute(
            "SELECT Columns FROM sniff_csv(?, delim=?, quote=?, escape=?, header=true, "
            f"sample_size={dialect.SNIFFED_ROWS})",
            [source.file.path, source.delimiter, source.quote, source.escape],
        ).fetchone()
    kinds = [column["type"] for column in (row[0] if row else [])]
    if len(kinds) != len(source.columns):
        raise InputError("SB-1408", path=source.file.path, line=dialect.ragged_line(source))
    return dict(zip(source.columns, kinds, strict=True))


# Checking rows against a card


@dataclass(frozen=True)
class _Rule:
    """One count that must be zero: rows where `condition` holds. `code`: the error if it is not."""

    code: str
    column: Column
    condition: str


def check_rows(
    source: Source,
    card: DatasetCard,
    name: str,
    temp: Path | None = None,
    progress: Progress | None = None,
) -> int:
    """Check every row of a source against the card of dataset `name`; returns the number of rows.

    temp: where a view may spill; the system's place for temporary files if absent.
    Raises InputError SB-1403..SB-1408, SB-1415, SB-1418, SB-1426, SB-1461 with file, line
    and cure.
    """
    _check_columns(source, card, name)
    rules = _rules(source, card)
    counts = ", ".join(f"count(*) FILTER (WHERE {rule.condition})" for rule in rules)
    place = where(source, name)
    with _opened(source, name, [c.name for c in card.columns], temp) as connection:
        with _told(connection, progress):
            found = connection.execute(f"SELECT count(*), {counts} FROM {RELATION}").fetchone()
        rows, *violations = found or (0,)
        for rule, count in zip(rules, violations, strict=True):
            if count:
                line = _first_line(connection, source, rule)
                raise InputError(
                    rule.code,
                    path=str(place),
                    line=line,
                    column=rule.column.name,
                    type=rule.column.type.value,
                    count=int(count),
                    dataset=name,
                )
    if not rows:
        raise InputError("SB-1418", path=str(place), dataset=name)
    if rows > card.row_bound:
        raise InputError(
            "SB-1406", path=str(place), found=int(rows), row_bound=card.row_bound, dataset=name
        )
    return int(rows)


def _check_columns(source: Source, card: DatasetCard, name: str) -> None:
    place = str(where(source, name))
    if card.privacy_unit not in {column.name for column in card.columns}:
        raise InputError("SB-1415", column=card.privacy_unit)
    found = columns_of(source, name)
    present = {column.lower() for column in found}
    for column in card.columns:
        if column.name.lower() not in present:
            there = ", ".join(found)
            raise InputError("SB-1403", path=place, column=column.name, dataset=name, found=there)


def _rules(source: Source, card: DatasetCard) -> list[_Rule]:
    rules: list[_Rule] = []
    for column in card.columns:
        is_unit = column.name == card.privacy_unit
        empty = _empty(source, column)
        if is_unit:
            rules.append(_Rule("SB-1405", column, empty))
        elif not column.nullable:
            rules.append(_Rule("SB-1407", column, empty))
        rules.append(_Rule("SB-1404", column, f"NOT ({empty}) AND {_mistyped(column, is_unit)}"))
        if column.domain and not column.nullable:
            rules.append(_Rule("SB-1426", column, f"NOT ({empty}) AND {_outside(column)}"))
    return rules


def _empty(source: Source, column: Column) -> str:
    """Return the condition that a value is missing; NaN is how many programs write that."""
    raw = quoted(column.name)
    if isinstance(source, CsvSource) and column.type is not ColumnType.TEXT:
        raw = f"nullif(trim({raw}), '')"
    if column.type in (ColumnType.INTEGER, ColumnType.DECIMAL):
        return f"({raw} IS NULL OR coalesce(isnan(TRY_CAST({raw} AS DOUBLE)), false))"
    return f"{raw} IS NULL"


def _mistyped(column: Column, is_unit: bool) -> str:
    value = f"TRY_CAST({quoted(column.name)} AS {CASTS[column.type]})"
    wrong = f"{value} IS NULL"
    if column.type is ColumnType.INTEGER:
        wrong += f" OR NOT isfinite({value}) OR {value} <> floor({value})"
        if is_unit:
            # Units are told apart as 64-bit integers (sandbox/sql/plan.py).
            wrong += f" OR TRY_CAST({quoted(column.name)} AS BIGINT) IS NULL"
    elif column.type is ColumnType.DECIMAL:
        wrong += f" OR NOT isfinite({value})"
    return f"({wrong})"


def _outside(column: Column) -> str:
    value = f"TRY_CAST({quoted(column.name)} AS {CASTS[column.type]})"
    if column.type is ColumnType.TEXT:
        domain = ", ".join(literal(str(item)) for item in column.domain)
    else:
        domain = ", ".join(str(item) for item in column.domain)
    return f"({value} NOT IN ({domain}))"


def _first_line(connection: duckdb.DuckDBPyConnection, source: Source, rule: _Rule) -> int:
    """Return the line in the CSV file, or the row's number, of the first violation."""
    found = connection.execute(
        f"SELECT min(n) FROM (SELECT *, row_number() OVER () AS n FROM {RELATION})"
        f" WHERE {rule.condition}"
    ).fetchone()
    row = int(found[0]) if found else 0
    return dialect.line_of_row(source, row) if isinstance(source, CsvSource) else row


# Sessions


@contextmanager
def _session() -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    with duckdb.connect(":memory:") as connection:
        yield connection


@contextmanager
def _opened(
    source: Source, name: str, columns: list[str] | None, temp: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a locked session over a source; only a view's joins and sorts ever spill."""
    with (
        tempfile.TemporaryDirectory(prefix="fedsandbox-", dir=temp) as spill,
        _session() as connection,
        _reading(where(source, name), _kind(source)),
    ):
        settings: dict[str, str | int] = {
            "memory_limit": MEMORY_LIMIT,
            "preserve_insertion_order": "true",
            "threads": THREADS,
            "temp_directory": spill,
            "enable_progress_bar": "true",
            "enable_progress_bar_print": "false",
        }
        with _bound(source, name):
            open_locked(connection, source, columns, settings)
        yield connection


@contextmanager
def _bound(source: Source, name: str) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.BinderException as error:
        if not isinstance(source, ViewSource):
            raise
        raise misfit(error, source, name) from None


@contextmanager
def _told(connection: duckdb.DuckDBPyConnection, progress: Progress | None) -> Iterator[None]:
    if progress is None:
        yield
        return
    done = threading.Event()

    def tell() -> None:
        while not done.wait(TELL_S):
            progress(max(0.0, connection.query_progress()) / 100)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


@contextmanager
def _reading(place: Path | str, kind: str) -> Iterator[None]:
    """Turn DuckDB's errors, which print values, into InputError SB-1408, SB-1419 or SB-1461."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        line = re.search(r"CSV Error on Line: (\d+)", str(error))
        if line:
            code = "SB-1461" if "Invalid unicode" in str(error) else "SB-1408"
            raise InputError(code, path=str(place), line=int(line[1])) from None
        reason = type(error).__name__
        raise InputError("SB-1419", path=str(place), kind=kind, reason=reason) from None


def where(source: Source, name: str) -> str:
    """Return what to call a source in an error: its path, or the dataset's name for a view."""
    match source:
        case ViewSource():
            return name
        case ParquetSource(members):
            first = Path(members[0].path)
            return str(first if len(members) == 1 else first.parent)
        case _:
            return source.file.path


def _kind(source: Source) -> str:
    names: dict[type[Any], str] = {
        CsvSource: "CSV",
        ParquetSource: "Parquet",
        DuckDBSource: "DuckDB",
        ViewSource: "view",
    }
    return names[type(source)]
