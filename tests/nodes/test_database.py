"""A party's file: schema steps run once, a failed write is never taken for done."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from sandbox.database import Database, Step
from sandbox.errors import StateError
from tests.nodes.vaults import open_vault, rostered

FIRST: Step = ("CREATE TABLE t (n INTEGER NOT NULL)",)
SECOND: Step = ("ALTER TABLE t ADD COLUMN m INTEGER", "INSERT INTO t VALUES (1, 2)")


def put(database: Database, number: int, act: str = "put") -> None:
    with database.write(act) as connection:
        connection.execute("INSERT INTO t (n) VALUES (?)", (number,))


def numbers(database: Database) -> list[int]:
    with database.read() as connection:
        return connection.execute("SELECT n FROM t ORDER BY n").scalars()


def test_each_step_runs_once_and_a_later_start_runs_only_what_is_new(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    put(Database(file, [FIRST]), 7)
    assert numbers(Database(file, [FIRST])) == [7]
    for _ in range(2):
        assert numbers(Database(file, [FIRST, SECOND])) == [1, 7]


def test_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    put(Database(file, [FIRST]), 7)
    with pytest.raises(StateError, match="SB-6002"):
        Database(file, [FIRST, (*SECOND, "CREATE TABLE t (again INTEGER)")])
    assert numbers(Database(file, [FIRST])) == [7]


def test_file_of_a_newer_program_is_refused_untouched(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    Database(file, [FIRST, SECOND])
    with pytest.raises(StateError) as raised:
        Database(file, [FIRST])
    assert raised.value.facts == {"file": "x.db", "found": 2, "newest": 1}
    assert (raised.value.code, numbers(Database(file, [FIRST, SECOND]))) == ("SB-6001", [1])


def test_file_is_private_durable_and_keeps_no_deleted_text(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    database = Database(file, [FIRST])
    assert file.stat().st_mode & 0o077 == 0
    with database.read() as connection:
        asked = ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        found = [connection.execute(f"PRAGMA {name}").scalar() for name in asked]
    assert found == ["wal", 2, 1, 1]


def fill(database: Database) -> None:
    with database.write("fill") as connection:
        pages = connection.execute("PRAGMA page_count").scalar()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        for number in range(10_000):
            connection.execute("INSERT INTO t VALUES (?)", (number,))


def test_full_disk_changes_nothing_and_says_so(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.db", [FIRST])
    put(database, 1)
    with pytest.raises(StateError, match="SB-6004"):
        fill(database)
    assert numbers(database) == [1]


def test_file_locked_by_another_is_named_after_a_bounded_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.database.BUSY_TIMEOUT_S", 0.1)
    database = Database(tmp_path / "x.db", [FIRST])
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="SB-6003"):
            put(database, 1)
        assert numbers(database) == []
        other.execute("ROLLBACK")
    put(database, 1)
    assert numbers(database) == [1]


def failing(name: str) -> Callable[[str], None]:
    """Fail as SQLite would with error `name`, where a write of the act "bad" is about to be kept."""

    def at(point: str) -> None:
        if point == "bad: written":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = name
            raise error

    return at


def test_after_an_io_error_nothing_is_done_until_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    database = Database(file, [FIRST], failing("SQLITE_IOERR_FSYNC"))
    put(database, 1)
    with pytest.raises(StateError, match="SB-6005"):
        put(database, 2, "bad")
    # A second fsync may report success for pages that the first one lost.
    for again in (lambda: put(database, 3), lambda: numbers(database)):
        with pytest.raises(StateError, match="SB-6005"):
            again()
    assert numbers(Database(file, [FIRST])) == [1]


def put_and_stop(database: Database) -> None:
    with database.write("put") as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        raise ValueError("stop")


def test_error_inside_a_write_undoes_it(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.db", [FIRST])
    with pytest.raises(ValueError, match="stop"):
        put_and_stop(database)
    assert numbers(database) == []


def test_every_transaction_sees_what_others_have_kept_before_it_began(tmp_path: Path) -> None:
    ours, theirs = (Database(tmp_path / "x.db", [FIRST]) for _ in range(2))
    for number in (1, 2):
        put(theirs, number)
        assert numbers(ours)[-1] == number
    with ours.read():
        # A transaction of its own, within another of the same thread.
        put(theirs, 3)
        assert numbers(ours) == [1, 2, 3]


def test_rows_left_unread_hold_no_later_transaction_to_what_was(tmp_path: Path) -> None:
    """A pin that was revoked since would still count."""
    ours, theirs = (Database(tmp_path / "x.db", [FIRST]) for _ in range(2))
    for number in (1, 2, 3):
        put(theirs, number)
    with ours.read() as connection:
        unread = connection.execute("SELECT n FROM t ORDER BY n")
        assert unread.fetchone()["n"] == 1
    put(theirs, 4)
    assert numbers(ours) == [1, 2, 3, 4]
    put(ours, 5)
    with pytest.raises(sqlite3.ProgrammingError):
        unread.fetchone()


def test_threads_share_the_file(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.db", [FIRST])
    with ThreadPoolExecutor(8) as threads:
        assert [*threads.map(partial(put, database), range(64))] == [None] * 64
    assert numbers(database) == [*range(64)]


def test_bit_flip_in_the_file_is_found_at_the_start(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    rostered(vault)
    vault.close()
    with closing(sqlite3.connect(tmp_path / "vault.db")) as connection, connection:
        (body,) = connection.execute("SELECT body FROM entries WHERE sequence = 1").fetchone()
        flipped = bytes([body[5] ^ 1]).join((body[:5], body[6:]))
        connection.execute("UPDATE entries SET body = ? WHERE sequence = 1", (flipped,))
    with pytest.raises(StateError, match="SB-6007"):
        open_vault(tmp_path, begun=False).log.check()
