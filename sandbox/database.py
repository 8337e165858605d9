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

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from sandbox.errors import StateError

BUSY_TIMEOUT_S = 20.0

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
        if not file.exists():
            file.touch(mode=0o600)
        self.engine = sa.create_engine(
            f"sqlite+pysqlite:///{file}",
            pool_size=8,
            max_overflow=-1,
            connect_args={"timeout": BUSY_TIMEOUT_S},
        )
        event.listen(self.engine, "connect", _prepare)
        event.listen(self.engine, "begin", _begin)
        with self.write("migrate") as connection:
            self._migrate(connection, steps)

    def close(self) -> None:
        """Release the file."""
        self.engine.dispose()

    @contextmanager
    def write(self, act: str) -> Iterator[sa.Connection]:
        """Run one write transaction; raises StateError SB-6002..SB-6005 if it cannot be kept."""
        with self._guarded(), self.engine.connect() as fresh:
            connection = fresh.execution_options(begin="BEGIN IMMEDIATE")
            with connection.begin():
                self._crash_at(f"{act}: begun")
                yield connection
                self._crash_at(f"{act}: written")
            self._crash_at(f"{act}: committed")

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Run one read transaction: a single state of the file."""
        with self._guarded(), self.engine.connect() as connection, connection.begin():
            yield connection

    def _migrate(self, connection: sa.Connection, steps: Sequence[Step]) -> None:
        connection.exec_driver_sql(
            "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"
        )
        version = connection.exec_driver_sql("SELECT MAX(version) FROM schema_version").scalar()
        known = version or 0
        if known > len(steps):
            raise StateError("SB-6001", file=self.file.name, found=known, newest=len(steps))
        for number, step in enumerate(steps[known:], start=known + 1):
            for statement in step:
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql("INSERT INTO schema_version VALUES (?)", (number,))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        if self._broken:
            raise StateError("SB-6005", file=self.file.name, reason="stopped")
        try:
            yield
        except DBAPIError as error:
            raise self._state_error(error) from None

    def _state_error(self, error: DBAPIError) -> StateError:
        reason = getattr(error.orig, "sqlite_errorname", type(error.orig).__name__)
        name = self.file.name
        if reason.startswith("SQLITE_BUSY"):
            return StateError("SB-6003", file=name, seconds=int(BUSY_TIMEOUT_S))
        if reason.startswith(("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_CANTOPEN")):
            return StateError("SB-6004", file=name, reason=reason)
        if reason.startswith("SQLITE_IOERR"):
            self._broken = True
            return StateError("SB-6005", file=name, reason=reason)
        return StateError("SB-6002", file=name, reason=reason)


def _prepare(connection: sqlite3.Connection, record: Any) -> None:
    # SQLAlchemy says BEGIN, not the driver.
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
