"""What a CSV file's own first lines say: delimiter, quote, escape and header (RFC 4180 and its kin).

The dialect is fixed once, at registration. Files are UTF-8, with or without a byte order mark, and
begin with a header line. An empty field, quoted or not, is NULL; nothing else is: codes such as NA
or null are text, and in a column of numbers they are errors.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from nodes.sources import CsvSource, SourceFile
from sandbox.errors import InputError

if TYPE_CHECKING:
    import duckdb

SNIFFED_ROWS = 20_480
DELIMITERS = ",;\t|"
MOST_HEADER_CHARACTERS = 1 << 20


def csv_source(path: Path, connection: duckdb.DuckDBPyConnection) -> CsvSource:
    """Return the CSV source at `path`; raises InputError SB-1461, SB-1462 or SB-1463."""
    delimiter, columns = _header(path)
    quote, escape = _quoting(path, delimiter, connection)
    return CsvSource(SourceFile.of(path), columns, delimiter, quote, escape)


def _header(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the delimiter that splits the header line most often, and the columns it names."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        beginning = file.read(MOST_HEADER_CHARACTERS)
    found = {delimiter: _first_record(beginning, delimiter) for delimiter in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda each: len(found[each]))
    names = [name.strip() for name in found[delimiter]]
    if "\ufffd" in "".join(names):
        raise InputError("SB-1461", path=str(path), line=1)
    if not any(names):
        raise InputError("SB-1462", path=str(path))
    columns = tuple(name or f"column{place}" for place, name in enumerate(names))
    lowered = [name.lower() for name in columns]
    for place, name in enumerate(columns):
        if lowered.index(name.lower()) != place:
            raise InputError("SB-1463", path=str(path), column=name)
    return delimiter, columns


def _first_record(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error:
        return []


def _quoting(path: Path, delimiter: str, connection: duckdb.DuckDBPyConnection) -> tuple[str, str]:
    """Return quote and escape as the first rows show them, else the double quote for both."""
    import duckdb

    try:
        row = connection.execute(
            "SELECT Quote, Escape FROM sniff_csv(?, delim=?, header=true, all_varchar=true, "
            f"sample_size={SNIFFED_ROWS})",
            [str(path.absolute()), delimiter],
        ).fetchone()
    except duckdb.Error:
        # Rows that break every dialect are named, with their line, when all rows are read.
        row = None
    quote, escape = row or ("", "")
    return _mark(quote), _mark(escape)


def _mark(sniffed: str) -> str:
    """DuckDB says (empty) or NUL where a file shows no quote or escape."""
    return sniffed if len(sniffed) == 1 and sniffed != "\0" else '"'


def line_of_row(source: CsvSource, row: int) -> int:
    """Return the last line of data row `row` (from 1): quoted fields may span lines."""
    with open(source.file.path, newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.reader(file, delimiter=source.delimiter, quotechar=source.quote)
        filled = 0
        for fields in reader:
            filled += bool(fields)
            if filled == row + 1:
                break
        return reader.line_num


def ragged_line(source: CsvSource) -> int:
    """Return the first line whose record has another number of fields than the header."""
    with open(source.file.path, encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=source.delimiter, quotechar=source.quote or '"')
        for record in reader:
            if record and len(record) != len(source.columns):
                return reader.line_num
    return 1
