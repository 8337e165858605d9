"""Exported logs, and a party's own file: whoever alters one is told which entry gives him away."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sandbox.audit.export import read_log, verify_log
from sandbox.audit.journal import Journal
from sandbox.audit.logrows import EntryKind
from sandbox.errors import InputError, StateError, TrustError
from tests.audit.evidence import A, B, journal


@pytest.fixture
def log(tmp_path: Path) -> Journal:
    """Six entries under heads of 1, 4 and 6."""
    written = journal(tmp_path, A)
    written.head()
    for number in range(1, 6):
        written.append(EntryKind.JOB, {"digest": str(number)}, f"job {number}")
        if number == 3:
            written.head()
    return written


Lines = list[dict[str, object]]


@pytest.fixture
def lines(log: Journal, tmp_path: Path) -> Lines:
    log.export_log(tmp_path / "log.jsonl")
    return [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]


def broken(lines: Lines) -> tuple[int, int, str] | None:
    found = verify_log(*read_log(json.dumps(line) for line in lines))
    return None if found is None else (found.first, found.last, found.code)


def test_exported_log_holds(lines: Lines) -> None:
    assert broken(lines) is None


def edit_entry(lines: Lines) -> None:
    lines[4]["entry"]["digest"] = "00" * 32  # type: ignore[index]


def edit_body(lines: Lines) -> None:
    lines[4]["body"]["digest"] = "other"  # type: ignore[index]


def delete(lines: Lines) -> None:
    del lines[4]


def swap(lines: Lines) -> None:
    lines[4], lines[5] = lines[5], lines[4]


def truncate(lines: Lines) -> None:
    del lines[5:7]


def cut_with_heads(lines: Lines) -> None:
    del lines[5:7], lines[-1]


def add(lines: Lines) -> None:
    more = json.loads(json.dumps(lines[6]))
    more["entry"]["sequence"] = 6
    lines.insert(7, more)


@pytest.mark.parametrize(
    ("alter", "found"),
    [
        (edit_entry, (3, 3, "SB-3206")),
        (edit_body, (3, 3, "SB-3207")),
        (delete, (3, 3, "SB-3205")),
        (swap, (3, 3, "SB-3205")),
        (truncate, (4, 5, "SB-3209")),
        (add, (6, 6, "SB-3206")),
    ],
)
def test_altered_export_names_the_first_broken_entry(
    lines: Lines, alter: Callable[[Lines], None], found: tuple[int, int, str]
) -> None:
    alter(lines)
    assert broken(lines) == found


def test_entry_rewritten_with_its_hash_is_still_between_two_signed_heads(lines: Lines) -> None:
    from sandbox.audit.log import Entry

    del lines[4]["body"]
    lines[4]["entry"]["digest"] = "00" * 32  # type: ignore[index]
    lines[4]["leaf"] = Entry.from_document(lines[4]["entry"]).leaf_hash.hex()  # type: ignore[arg-type]
    assert broken(lines) == (1, 3, "SB-3208")


def test_log_cut_with_its_newest_head_holds_alone_but_no_witness_would_take_it(
    lines: Lines,
) -> None:
    cut_with_heads(lines)
    assert broken(lines) is None


def test_head_signed_by_another_is_refused(lines: Lines) -> None:
    forged = B.sign("head", json.loads(lines[-1]["head"]["body"]))  # type: ignore[index]
    lines[-1] = {"head": forged.to_document()}
    with pytest.raises(TrustError, match="SB-3011"):
        broken(lines)


@pytest.mark.parametrize("line", ["", "[]", '{"entry": {}}', "nonsense"])
def test_line_that_is_none_is_named(lines: Lines, line: str) -> None:
    texts = [json.dumps(one) for one in lines]
    texts[3] = line
    with pytest.raises(InputError) as raised:
        read_log(texts)
    assert (raised.value.code, raised.value.facts["line"]) == ("SB-3204", 4)


def test_party_checks_its_own_file_with_entries_that_no_head_covers_yet(log: Journal) -> None:
    log.append(EntryKind.PIN, {"fingerprint": "x"})
    log.check()


@pytest.mark.parametrize(
    ("statement", "first"),
    [
        ('UPDATE entries SET body = \'{"digest":"9","job":"job 2"}\' WHERE sequence = 2', 2),
        ("UPDATE entries SET body = 'nonsense' WHERE sequence = 2", 2),
        ("UPDATE entries SET time = time + 1 WHERE sequence = 3", 3),
        ("UPDATE entries SET nonce = x'00' WHERE sequence = 3", 3),
        ("DELETE FROM entries WHERE sequence = 2", 2),
        ("DELETE FROM entries WHERE sequence >= 2", 4),
        ("UPDATE entries SET sequence = sequence + 1 WHERE sequence = 5", 5),
    ],
)
def test_own_file_that_was_altered_names_the_first_broken_entry(
    log: Journal, tmp_path: Path, statement: str, first: int
) -> None:
    log.head()
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute(statement)
    with pytest.raises(StateError) as raised:
        log.check()
    assert (raised.value.code, raised.value.facts["position"]) == ("SB-6007", first)


def test_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"nonsense" * 100)
    with pytest.raises(StateError, match="SB-6002"):
        journal(tmp_path, A)
