"""A party's one SQLite file, opened by its process and by its owner's commands at the same time.

Every write is one BEGIN IMMEDIATE transaction that is on disk when it returns (WAL,
synchronous=FULL). Nothing read is trusted beyond its transaction. A failed write never counts as
done; after an I/O error the file is not touched again until a restart, since a second fsync may
report success for pages that the first one lost.

The schema grows by numbered steps; each runs once, all of a start in one transaction. A released
step is never edited: a change is a new step. A file of a newer version is refused, since an older
program would not know what it must keep.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import ref

from sandbox.errors import StateError

BUSY_TIMEOUT_S = 20.0

Row = sqlite3.Row
"""What a statement found, by column: `row["digest"]`."""
Step = tuple[str, ...]
"""The SQL statements of one change of the schema."""

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    # macOS: fsync alone leaves data in the drive's cache.
    "PRAGMA fullfsync = ON",
    "PRAGMA checkpoint_fullfsync = ON",
)


def _nowhere(point: str) -> None:
    """Crash at no point."""


class Found(sqlite3.Cursor):
    """The rows that a statement returns."""

    def scalar(self) -> Any:
        """Return the first value of the first row, or None where there is no row."""
        row = self.fetchone()
        return None if row is None else row[0]

    def scalars(self) -> list[Any]:
        """Return the first value of every row."""
        return [row[0] for row in self]


class Connection(sqlite3.Connection):
    """The file within one transaction."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._found: list[ref[Found]] = []

    def execute(self, statement: str, given: Any = (), /) -> Found:
        """Run one statement; given: values by name (`:name`) or place (`?`)."""
        found = self.cursor(Found).execute(statement, given)
        self._found.append(ref(found))
        return found

    def let_go(self) -> None:
        """Close what has not been read to its end: it would hold the next transaction to a state of the
        file that is no longer so."""
        for found in [each() for each in self._found]:
            if found is not None:
                found.close()
        self._found.clear()


class Database:
    """The file and its transactions. Raises StateError SB-6001 for a file of a newer version.

    steps: the schema. crash_at: called with "ACT: begun", "ACT: written" and "ACT: committed" of
    every write, so that the fault tests can end the process there.
    """

    def __init__(
        self, file: Path, steps: Sequence[Step], crash_at: Callable[[str], None] = _nowhere
    ) -> None:
        self.file = file
        self._crash_at = crash_at
        self._broken = False
        self._free: list[Connection] = []
        """Open connections that no transaction has now: one of a thread may be within another."""
        if not file.exists():
            file.touch(mode=0o600)
        with self.write("migrate") as connection:
            self._migrate(connection, steps)

    def close(self) -> None:
        """Release the file."""
        while self._free:
            self._free.pop().close()

    @contextmanager
    def write(self, act: str) -> Iterator[Connection]:
        """Run one write transaction; raises StateError SB-6002..SB-6005 if it cannot be kept."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            self._crash_at(f"{act}: begun")
            yield connection
            self._crash_at(f"{act}: written")
        self._crash_at(f"{act}: committed")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Run one read transaction: a single state of the file."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        """Run one transaction, undone by whatever is raised within it."""
        if self._broken:
            raise StateError("SB-6005", file=self.file.name, reason="stopped")
        try:
            connection = self._taken()
            try:
                connection.execute(begin)
                yield connection
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
            finally:
                connection.let_go()
                self._free.append(connection)
        except sqlite3.Error as error:
            raise self._state_error(error) from None

    def _taken(self) -> Connection:
        try:
            return self._free.pop()
        except IndexError:
            return _opened(self.file)

    def _migrate(self, connection: Connection, steps: Sequence[Step]) -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
        version = connection.execute("SELECT MAX(version) FROM schema_version").scalar()
        known = version or 0
        if known > len(steps):
            raise StateError("SB-6001", file=self.file.name, found=known, newest=len(steps))
        for number, step in enumerate(steps[known:], start=known + 1):
            for statement in step:
                connection.execute(statement)
            connection.execute("INSERT INTO schema_version VALUES (?)", (number,))

    def _state_error(self, error: sqlite3.Error) -> StateError:
        reason = getattr(error, "sqlite_errorname", type(error).__name__)
        name = self.file.name
        if reason.startswith("SQLITE_BUSY"):
            return StateError("SB-6003", file=name, seconds=int(BUSY_TIMEOUT_S))
        if reason.startswith(("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_CANTOPEN")):
            return StateError("SB-6004", file=name, reason=reason)
        if reason.startswith("SQLITE_IOERR"):
            self._broken = True
            return StateError("SB-6005", file=name, reason=reason)
        return StateError("SB-6002", file=name, reason=reason)


def _opened(file: Path) -> Connection:
    connection = sqlite3.connect(
        file,
        timeout=BUSY_TIMEOUT_S,
        # BEGIN is said here, not by the driver.
        isolation_level=None,
        # Handed from thread to thread, never used by two at once.
        check_same_thread=False,
        factory=Connection,
    )
    connection.row_factory = Row
    for pragma in PRAGMAS:
        connection.execute(pragma)
    return connection
