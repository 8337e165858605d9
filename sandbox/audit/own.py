"""A party checks its own log, as its file holds it: read-only, while its process runs or not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sandbox.audit.export import Break, Record, verify_log
from sandbox.audit.log import Entry
from sandbox.crypto.identity import PublicIdentity, Signed, parse
from sandbox.errors import StateError, TrustError


@dataclass(frozen=True)
class OwnLog:
    """How many entries and signed heads a log has, and where it is first broken, if it is."""

    entries: int
    heads: int
    broken: Break | None


def verify_own_log(file: Path, owner: PublicIdentity) -> OwnLog:
    """Check every entry, what it records and every signed head of the log in `file`.

    file: a node's vault.db or the coordinator's coordinator.db. Entries after the newest head are
    checked alone, since nobody has vouched for them yet. Raises StateError SB-6002 where the file
    cannot be read, TrustError for a head that `owner` did not sign.
    """
    try:
        with closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            entries = connection.execute(
                "SELECT sequence, kind, time, nonce, digest, leaf, body FROM entries"
                " ORDER BY sequence"
            ).fetchall()
            heads = connection.execute("SELECT document FROM heads ORDER BY size").fetchall()
    except sqlite3.Error as error:
        raise StateError("SB-6002", file=file.name, reason=type(error).__name__) from None
    records = [_record(*row) for row in entries]
    signed = [Signed.from_document(parse(bytes(document))) for (document,) in heads]
    broken = verify_log(owner, records, signed, unsigned_tail=True)
    return OwnLog(len(records), len(signed), broken)


def _record(
    sequence: int, kind: str, time: int, nonce: object, digest: str, leaf: object, body: object
) -> Record:
    entry = Entry(sequence, str(kind), time, _bytes(nonce), str(digest))
    try:
        return Record(entry, _bytes(leaf), parse(_bytes(body)))
    except TrustError:
        # Not what anybody logged: the check of the body names this entry.
        return Record(entry, _bytes(leaf), {"altered": sequence})


def _bytes(value: object) -> bytes:
    # SQLite lets any type into any column: what was altered need not be bytes.
    return value if isinstance(value, bytes) else b""
