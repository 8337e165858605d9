"""Where a dataset's rows come from, and how DuckDB is given exactly these and nothing else.

A source is a CSV file, Parquet files, a table of a DuckDB file, or a view: the owner's own SQL over
other sources. It travels to a worker as JSON. A session opens the sources, then locks itself: no
other file, no network, no extension, no further setting (DuckDB manual, "Securing DuckDB").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import InputError

if TYPE_CHECKING:
    import duckdb

RELATION = "task._base"
"""What a session calls the declared columns of the source it was opened for: no dataset's name
begins with an underscore, so no view can mean it."""

CSV_BUFFER_BYTES = 1 << 23
"""A quarter of DuckDB's own: a thread holds several, and a worker may have 64 MiB in all."""

LOCKED = {
    "TimeZone": "UTC",
    "preserve_insertion_order": "false",
    "python_enable_replacements": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
}


@dataclass(frozen=True)
class SourceFile:
    """A file as it was when it was registered: absolute path, size in bytes, mtime in ns."""

    path: str
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> SourceFile:
        """Describe the file at `path` as it is now."""
        found = path.stat()
        return cls(str(path.absolute()), found.st_size, found.st_mtime_ns)

    def unchanged(self) -> bool:
        """Tell whether size and modification time are still those that were registered."""
        try:
            return SourceFile.of(Path(self.path)) == self
        except OSError:
            return False


@dataclass(frozen=True)
class CsvSource:
    """A CSV file with a header line; the dialect is fixed at registration, never guessed again."""

    file: SourceFile
    columns: tuple[str, ...]
    delimiter: str
    quote: str
    escape: str


@dataclass(frozen=True)
class ParquetSource:
    """One Parquet file, or all of a folder's, in the order of their names."""

    members: tuple[SourceFile, ...]


@dataclass(frozen=True)
class DuckDBSource:
    """A table of a DuckDB file, attached read-only."""

    file: SourceFile
    table: str


@dataclass(frozen=True)
class ViewSource:
    """The owner's SQL over other datasets, which it names in FROM."""

    sql: str
    inputs: tuple[tuple[str, Source], ...]


Source = CsvSource | ParquetSource | DuckDBSource | ViewSource

KINDS: dict[str, type[CsvSource | ParquetSource | DuckDBSource | ViewSource]] = {
    "csv": CsvSource,
    "parquet": ParquetSource,
    "duckdb": DuckDBSource,
    "view": ViewSource,
}


def to_document(source: Source) -> dict[str, Any]:
    """Return the source as JSON values; `from_document` is its inverse."""
    kind = next(name for name, cls in KINDS.items() if isinstance(source, cls))
    if isinstance(source, ViewSource):
        inputs = {name: to_document(below) for name, below in source.inputs}
        return {"kind": kind, "sql": source.sql, "inputs": inputs}
    return {"kind": kind, **asdict(source)}


def from_document(document: Mapping[str, Any]) -> Source:
    """Rebuild a source from its JSON values; raises KeyError or TypeError if it is none."""
    kind, fields = document["kind"], {k: v for k, v in document.items() if k != "kind"}
    if kind == "view":
        inputs = tuple((name, from_document(below)) for name, below in fields["inputs"].items())
        return ViewSource(fields["sql"], inputs)
    if kind == "parquet":
        return ParquetSource(tuple(SourceFile(**member) for member in fields["members"]))
    fields["file"] = SourceFile(**fields["file"])
    if kind == "csv":
        return CsvSource(**{**fields, "columns": tuple(fields["columns"])})
    return DuckDBSource(**fields)


def files(source: Source) -> Iterator[SourceFile]:
    """Yield every file the source reads, those below a view included."""
    match source:
        case ParquetSource(members):
            yield from members
        case ViewSource(_, inputs):
            for _, below in inputs:
                yield from files(below)
        case _:
            yield source.file


def unchanged(source: Source) -> bool:
    """Tell whether every file is still as it was registered."""
    logs = (write_ahead_log(Path(database)) for database in _databases(source))
    return all(file.unchanged() for file in files(source)) and not any(log.exists() for log in logs)


class SourceChanged(Exception):
    """A file is not the one that was registered."""


def require_unchanged(source: Source) -> None:
    """Raise SourceChanged unless every file is still as it was registered."""
    if not unchanged(source):
        raise SourceChanged


def write_ahead_log(database: Path) -> Path:
    """Return where DuckDB keeps changes that have not reached the file yet."""
    return database.with_name(database.name + ".wal")


def quoted(identifier: str) -> str:
    """Return a DuckDB identifier, quoted."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a DuckDB string literal."""
    return "'" + text.replace("'", "''") + "'"


def _texts(values: Sequence[str]) -> str:
    return "[" + ", ".join(literal(value) for value in values) + "]"


def restrict(connection: duckdb.DuckDBPyConnection) -> None:
    """Set what every session has, whatever its source."""
    for name, value in LOCKED.items():
        connection.execute(f"SET {name} = {literal(str(value))}")


def open_locked(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    columns: Sequence[str] | None,
    settings: Mapping[str, str | int],
) -> None:
    """Give the session the relation RELATION with `columns` and lock everything else.

    columns: None for all. settings: DuckDB options set before the lock, such as memory_limit.
    """
    restrict(connection)
    for name, value in settings.items():
        connection.execute(f"SET {name} = {literal(str(value))}")
    for database in sorted(_databases(source)):
        connection.execute(f"ATTACH {literal(database)} AS {_alias(database)} (READ_ONLY)")
    paths = [file.path for file in files(source)]
    connection.execute(f"SET allowed_paths = {_texts(paths)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("CREATE SCHEMA task")
    _create_inputs(connection, source)
    declared = "*" if columns is None else ", ".join(quoted(name) for name in columns)
    # The line break ends a comment in which an owner's SQL may end.
    connection.execute(f"CREATE VIEW {RELATION} AS SELECT {declared} FROM ({select(source)}\n)")
    connection.execute("SET lock_configuration = true")


def _databases(source: Source) -> set[str]:
    match source:
        case DuckDBSource(file, _):
            return {file.path}
        case ViewSource(_, inputs):
            return {path for _, below in inputs for path in _databases(below)}
        case _:
            return set()


def _alias(path: str) -> str:
    return quoted("file:" + path)


def _create_inputs(connection: duckdb.DuckDBPyConnection, source: Source) -> None:
    if isinstance(source, ViewSource):
        for name, below in source.inputs:
            _create_inputs(connection, below)
            connection.execute(f"CREATE OR REPLACE VIEW {quoted(name)} AS {select(below)}")


def select(source: Source) -> str:
    """Return the SELECT that reads all of a source's columns."""
    match source:
        case CsvSource():
            columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in source.columns)
            return (
                f"SELECT * FROM read_csv({literal(source.file.path)}, auto_detect=false, "
                f"header=true, columns={{{columns}}}, delim={literal(source.delimiter)}, "
                f"quote={literal(source.quote)}, escape={literal(source.escape)}, "
                f"buffer_size={CSV_BUFFER_BYTES})"
            )
        case ParquetSource(members):
            return f"SELECT * FROM read_parquet({_texts([file.path for file in members])})"
        case DuckDBSource(file, table):
            return f"SELECT * FROM {_alias(file.path)}.{quoted(table)}"
        case ViewSource(sql, _):
            return sql


def parquet_files(path: Path) -> tuple[SourceFile, ...]:
    """Return the Parquet files at `path`, a file or a folder with all below it.

    Raises InputError SB-1402 if there are none.
    """
    found = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not found:
        raise InputError("SB-1402", path=str(path))
    return tuple(SourceFile.of(file) for file in found)
