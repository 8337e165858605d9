"""One SQLite file, opened by the running node and by its owner's commands at the same time.

Every write is one BEGIN IMMEDIATE transaction that is on disk when it returns (WAL,
synchronous=FULL). Nothing read is trusted beyond its transaction. A failed write never counts as
done; after an I/O error the file is not touched again until a restart, since a second fsync may
report success for pages that the first one lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from nodes.migrations import migrate
from sandbox.errors import StateError

BUSY_TIMEOUT_S = 20.0

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
    """The file and its transactions.

    crash_at: called with "ACT: begun", "ACT: written" and "ACT: committed" of every write, so that
    the fault tests can end the process there.
    """

    def __init__(self, file: Path, crash_at: Callable[[str], None] = _nowhere) -> None:
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
            migrate(connection)

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

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        if self._broken:
            raise StateError("SB-6005", reason="stopped")
        try:
            yield
        except DBAPIError as error:
            raise self._state_error(error) from None

    def _state_error(self, error: DBAPIError) -> StateError:
        reason = getattr(error.orig, "sqlite_errorname", type(error.orig).__name__)
        if reason.startswith("SQLITE_BUSY"):
            return StateError("SB-6003", seconds=int(BUSY_TIMEOUT_S))
        if reason.startswith(("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_CANTOPEN")):
            return StateError("SB-6004", reason=reason)
        if reason.startswith("SQLITE_IOERR"):
            self._broken = True
            return StateError("SB-6005", reason=reason)
        return StateError("SB-6002", reason=reason)


def _prepare(connection: sqlite3.Connection, record: Any) -> None:
    # SQLAlchemy says BEGIN, not the driver.
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
