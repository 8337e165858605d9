"""The owner's look at his own data, before anything is registered.

Finds out what a file is, checks every row against a card in one streaming pass of bounded memory,
and drafts a card. A draft says what the file's format says (names, types) and leaves to the owner
what would leak if it were read off the rows: bounds, domains, how many rows there may be.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
)
from sandbox.catalog import Column, ColumnType, DatasetCard
from sandbox.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

MEMORY_LIMIT = "1GB"
SNIFFED_ROWS = 20_480
OWNER = "# OWNER:"
"""Marks what the owner has to decide in a drafted card."""

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

    Raises InputError SB-1400 (unreadable), SB-1401 (unknown kind), SB-1402, SB-1417 (no such table).
    """
    if not path.exists():
        raise InputError("SB-1400", path=str(path), reason="not found")
    if path.is_dir() or path.suffix == ".parquet":
        return ParquetSource(parquet_files(path))
    if path.suffix in (".csv", ".tsv", ".txt"):
        return _csv_source(path)
    if path.suffix in (".duckdb", ".db", ".ddb"):
        return _duckdb_source(path, table)
    raise InputError("SB-1401", path=str(path))


def _csv_source(path: Path) -> CsvSource:
    with _session() as connection, _reading(path, "CSV"):
        row = connection.execute(
            "SELECT Delimiter, Quote, Escape, Columns FROM sniff_csv(?, header=true, "
            f"all_varchar=true, sample_size={SNIFFED_ROWS})",
            [str(path.absolute())],
        ).fetchone()
    if row is None:
        raise InputError("SB-1419", path=str(path), kind="CSV", reason="empty")
    delimiter, quote, escape, columns = row
    names = tuple(column["name"] for column in columns)
    return CsvSource(SourceFile.of(path), names, delimiter, _mark(quote), _mark(escape))


def _mark(sniffed: str) -> str:
    """DuckDB says (empty) or NUL where a file shows no quote or escape."""
    return sniffed if len(sniffed) == 1 and sniffed != "\0" else '"'


def _duckdb_source(path: Path, table: str | None) -> DuckDBSource:
    with _session() as connection, _reading(path, "DuckDB"):
        connection.execute(f"ATTACH {literal(str(path.absolute()))} AS file (READ_ONLY)")
        found = [
            name
            for (name,) in connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'file'"
                " ORDER BY table_name"
            ).fetchall()
        ]
    chosen = found[0] if table is None and len(found) == 1 else table
    if chosen is None or chosen not in found:
        raise InputError("SB-1417", path=str(path), table=table or "", found=", ".join(found))
    return DuckDBSource(SourceFile.of(path), chosen)


def columns_of(source: Source, name: str) -> dict[str, str]:
    """Return the source's columns and their DuckDB types. name: the dataset's, for errors."""
    with _session() as connection, _reading(where(source, name), _kind(source)):
        open_locked(connection, source, None, _settings())
        described = connection.execute(f"DESCRIBE {RELATION}").fetchall()
    return {column: kind for column, kind, *_ in described}


# Checking rows against a card


@dataclass(frozen=True)
class _Rule:
    """One count that must be zero: rows where `condition` holds. `code`: the error if it is not."""

    code: str
    column: Column
    condition: str


def check_rows(source: Source, card: DatasetCard, name: str) -> int:
    """Check every row of a source against the card of dataset `name`; returns the number of rows.

    Raises InputError SB-1403..SB-1408, SB-1415, SB-1425, SB-1426 with file, line and cure.
    """
    _check_columns(source, card, name)
    rules = _rules(source, card)
    counts = ", ".join(f"count(*) FILTER (WHERE {rule.condition})" for rule in rules)
    place = where(source, name)
    with _session() as connection, _reading(place, _kind(source)):
        open_locked(connection, source, [c.name for c in card.columns], _settings())
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
    present = {column.lower(): kind for column, kind in found.items()}
    for column in card.columns:
        kind = present.get(column.name.lower())
        if kind is None:
            raise InputError(
                "SB-1403",
                path=place,
                column=column.name,
                dataset=name,
                found=", ".join(found),
            )
        if not _castable(kind, CASTS[column.type]):
            raise InputError(
                "SB-1425", path=place, column=column.name, found=kind, type=column.type.value
            )


def _castable(kind: str, target: str) -> bool:
    import duckdb

    with _session() as connection:
        try:
            connection.execute(f"SELECT TRY_CAST(CAST(NULL AS {kind}) AS {target})").fetchone()
        except duckdb.Error:
            return False
    return True


def _rules(source: Source, card: DatasetCard) -> list[_Rule]:
    rules: list[_Rule] = []
    for column in card.columns:
        raw = quoted(column.name)
        empty = f"{raw} IS NULL"
        if isinstance(source, CsvSource) and column.type is not ColumnType.TEXT:
            empty = f"nullif(trim({raw}), '') IS NULL"
        if column.name == card.privacy_unit:
            rules.append(_Rule("SB-1405", column, empty))
        elif not column.nullable:
            rules.append(_Rule("SB-1407", column, empty))
        rules.append(_Rule("SB-1404", column, f"NOT ({empty}) AND {_mistyped(column)}"))
        if column.domain and not column.nullable:
            rules.append(_Rule("SB-1426", column, f"NOT ({empty}) AND {_outside(column)}"))
    return rules


def _mistyped(column: Column) -> str:
    value = f"TRY_CAST({quoted(column.name)} AS {CASTS[column.type]})"
    wrong = f"{value} IS NULL"
    if column.type is ColumnType.INTEGER:
        return f"({wrong} OR NOT isfinite({value}) OR {value} <> floor({value}))"
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
    return _line_of_row(source, row) if isinstance(source, CsvSource) else row


def _line_of_row(source: CsvSource, row: int) -> int:
    """Return the last line of data row `row` (from 1): quoted fields may span lines."""
    with open(source.file.path, newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.reader(file, delimiter=source.delimiter, quotechar=source.quote)
        filled = 0
        for fields in reader:
            filled += bool(fields)
            if filled == row + 1:
                break
        return reader.line_num


# Drafting a card


def draft_card(
    source: Source,
    name: str,
    unit: str | None = None,
    bounds: Mapping[str, tuple[Decimal, Decimal]] | None = None,
) -> str:
    """Return a draft of a card (TOML): what the format tells, and OWNER lines for the rest.

    unit: the privacy unit. bounds: lower and upper by column, as the owner gave them. Raises
    InputError SB-1403 where these name a column that is not there.
    """
    bounds = bounds or {}
    found = _typed_columns(source, name)
    for column in (*bounds, *([unit] if unit else [])):
        if column not in found:
            raise InputError(
                "SB-1403",
                path=str(where(source, name)),
                column=column,
                dataset=name,
                found=", ".join(found),
            )
    lines = [
        f"name = {_toml(name)}",
        f"privacy_unit = {_toml(unit)}"
        if unit
        else f'privacy_unit = ""  {OWNER} the column that names whom a row is about',
        f"row_bound = 0  {OWNER} the most rows this dataset may ever have",
        f"contribution_cap = 1  {OWNER} the most rows of one {unit or 'privacy unit'} that count",
        f'unit_domain = ""  {OWNER} the same word in every dataset about the same units',
        'grade = "L2"',
        "",
        "[description]",
        'en = ""',
        'zh = ""',
    ]
    for column, kind in found.items():
        lines += ["", *_draft_column(column, kind, column == unit, bounds.get(column))]
    return "\n".join(lines) + "\n"


def _draft_column(
    name: str, kind: ColumnType, is_unit: bool, bounds: tuple[Decimal, Decimal] | None
) -> Sequence[str]:
    lines = [
        "[[columns]]",
        f"name = {_toml(name)}",
        f'type = "{kind.value}"',
        'grade = "L2"',
        f"nullable = {'false' if is_unit else 'true'}",
    ]
    if bounds is not None:
        lower, upper = (_bound(value, kind) for value in bounds)
        lines += [f"lower = {lower}", f"upper = {upper}"]
    elif kind in (ColumnType.INTEGER, ColumnType.DECIMAL) and not is_unit:
        lines.append(f"{OWNER} lower = and upper =, from what the value means, not from the rows")
    elif kind in (ColumnType.DATE, ColumnType.TIMESTAMP):
        lines.append(f"{OWNER} lower = and upper =, the first and last day that count")
    if kind is ColumnType.DECIMAL:
        lines.append(f"scale = 2  {OWNER} decimal digits that matter")
    if kind is ColumnType.TEXT and not is_unit:
        lines.append(f'{OWNER} domain = ["...", "..."], if it is to be grouped by')
    if kind in (ColumnType.INTEGER, ColumnType.DECIMAL) and not is_unit:
        lines.append('unit = ""')
    return lines


def _bound(value: Decimal, kind: ColumnType) -> str:
    return f"{value:f}" if kind in (ColumnType.INTEGER, ColumnType.DECIMAL) else _toml(str(value))


def parse_bounds(given: Sequence[str]) -> dict[str, tuple[Decimal, Decimal]]:
    """Read `column=lower:upper` options; raises InputError SB-1416."""
    bounds: dict[str, tuple[Decimal, Decimal]] = {}
    for text in given:
        match = re.fullmatch(r"(.+)=(-?[0-9.]+):(-?[0-9.]+)", text)
        try:
            column, lower, upper = match.groups() if match else ("", "", "")
            bounds[column] = Decimal(lower), Decimal(upper)
        except ArithmeticError:
            raise InputError("SB-1416", bounds=text) from None
        if bounds[column][0] > bounds[column][1]:
            raise InputError("SB-1416", bounds=text)
    return bounds


def _typed_columns(source: Source, name: str) -> dict[str, ColumnType]:
    """Return declared types; a CSV's are those that its first rows read as."""
    if not isinstance(source, CsvSource):
        return {column: _declared(kind) for column, kind in columns_of(source, name).items()}
    with _session() as connection, _reading(where(source, name), "CSV"):
        row = connection.execute(
            f"SELECT Columns FROM sniff_csv(?, header=true, sample_size={SNIFFED_ROWS})",
            [source.file.path],
        ).fetchone()
    sniffed = row[0] if row else []
    return {column["name"]: _declared(column["type"]) for column in sniffed}


def _declared(kind: str) -> ColumnType:
    if kind.endswith("INT") or kind in ("INTEGER", "UINTEGER"):
        return ColumnType.INTEGER
    if kind.startswith("DECIMAL") or kind in ("DOUBLE", "FLOAT", "REAL"):
        return ColumnType.DECIMAL
    if kind.startswith("TIMESTAMP"):
        return ColumnType.TIMESTAMP
    return {"BOOLEAN": ColumnType.BOOLEAN, "DATE": ColumnType.DATE}.get(kind, ColumnType.TEXT)


def _toml(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# Sessions


def _settings() -> dict[str, str | int]:
    return {"memory_limit": MEMORY_LIMIT, "preserve_insertion_order": "true"}


@contextmanager
def _session() -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    with duckdb.connect(":memory:") as connection:
        yield connection


@contextmanager
def _reading(place: Path | str, kind: str) -> Iterator[None]:
    """Turn DuckDB's errors, which print values, into InputError SB-1408 or SB-1419."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        line = re.search(r"CSV Error on Line: (\d+)", str(error))
        if line:
            raise InputError("SB-1408", path=str(place), line=int(line[1])) from None
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
