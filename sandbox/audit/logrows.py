"""A log as it stands in a party's file; every function runs inside a transaction of the journal."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from sandbox.audit.export import Record
from sandbox.audit.log import Entry, Tree
from sandbox.crypto.identity import Document, PublicIdentity, Signed, parse
from sandbox.database import Connection, Row
from sandbox.errors import StateError, TrustError

LOG_TABLES = (
    """CREATE TABLE entries (
        sequence INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        time INTEGER NOT NULL,
        nonce BLOB NOT NULL,
        digest TEXT NOT NULL,
        leaf BLOB NOT NULL,
        job TEXT,
        body BLOB NOT NULL)""",
    "CREATE INDEX entries_by_job ON entries(job)",
    "CREATE TABLE heads (size INTEGER PRIMARY KEY, document BLOB NOT NULL)",
    # The newest head of each log that this party witnesses.
    "CREATE TABLE peer_heads (log TEXT PRIMARY KEY, document BLOB NOT NULL)",
    # What each witness has acknowledged of this log.
    """CREATE TABLE witnesses (
        witness TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        document BLOB NOT NULL)""",
    """CREATE TABLE starts (
        start INTEGER PRIMARY KEY,
        began INTEGER NOT NULL,
        confirmed TEXT)""",
)
"""What a schema needs for a log, in its first step."""


class EntryKind(StrEnum):
    """What an entry records."""

    JOB = "job"
    REFUSAL = "refusal"
    APPROVAL = "approval"
    ROSTER = "roster"
    RESERVATION = "reservation"
    RELEASE = "release"
    SUM = "sum"
    DONE = "done"
    FAILURE = "failure"
    CANCELLATION = "cancellation"
    PIN = "pin"
    POLICY = "policy"
    DATASET = "dataset"
    COLLECTION = "collection"
    START = "start"
    OVERRIDE = "override"
    OWNER = "owner"


def checked_tree(connection: Connection) -> Tree:
    """Return the tree over all entries; raises StateError SB-6007 at the first altered one."""
    tree = Tree()
    for row in connection.execute("SELECT * FROM entries ORDER BY sequence"):
        entry = _entry(row)
        sound = (
            entry.sequence == len(tree)
            and entry.leaf_hash == row["leaf"]
            and entry.records(_bytes(row["body"]))
        )
        if not sound:
            raise StateError("SB-6007", part="entry", position=len(tree))
        tree.append(entry.leaf_hash)
    return tree


def records(connection: Connection, job: str | None = None) -> Iterator[Record]:
    """Return all entries, or those of one job, in order."""
    where = "" if job is None else " WHERE job = :job"
    rows = connection.execute(
        f"SELECT * FROM entries{where} ORDER BY sequence", {"job": job} if job else {}
    )
    for row in rows:
        yield Record(_entry(row), _bytes(row["leaf"]), _body(_bytes(row["body"])))


def _bytes(value: object) -> bytes:
    # SQLite lets any type into any column: what was altered need not be bytes.
    return value if isinstance(value, bytes) else b""


def _body(text: bytes) -> Document:
    try:
        return parse(text)
    except TrustError:
        # An altered entry: whoever verifies the log finds that this is not what was recorded.
        return {"altered": text.hex()}


def heads(connection: Connection) -> Iterator[Signed]:
    """Return every signed head, smallest first."""
    for (document,) in connection.execute("SELECT document FROM heads ORDER BY size"):
        yield signed(document)


def size_of(connection: Connection) -> int:
    """Return how many entries there are."""
    last = connection.execute("SELECT MAX(sequence) FROM entries").scalar()
    return 0 if last is None else int(last) + 1


def _entry(row: Row) -> Entry:
    return Entry(row["sequence"], row["kind"], row["time"], _bytes(row["nonce"]), row["digest"])


def signed(document: bytes) -> Signed:
    """Return a stored document; it is not verified."""
    return Signed.from_document(parse(bytes(document)))


def peer_head(connection: Connection, log: str) -> Signed | None:
    """Return the newest head kept of another party's log, or None."""
    known = connection.execute(
        "SELECT document FROM peer_heads WHERE log = :log", {"log": log}
    ).scalar()
    return None if known is None else signed(known)


def acknowledged(connection: Connection, witness: PublicIdentity) -> int:
    """Return the largest size of this log that `witness` has cosigned, 0 if none."""
    size = connection.execute(
        "SELECT size FROM witnesses WHERE witness = :witness",
        {"witness": witness.fingerprint},
    ).scalar()
    return int(size or 0)


def newest_start(connection: Connection) -> Row | None:
    """Return the newest run, or None before the first."""
    row: Row | None = connection.execute(
        "SELECT * FROM starts ORDER BY start DESC LIMIT 1"
    ).fetchone()
    return row


def confirm(connection: Connection, by: str) -> None:
    """Note who confirmed the newest run, unless somebody has already."""
    connection.execute(
        "UPDATE starts SET confirmed = COALESCE(confirmed, :by)"
        " WHERE start = (SELECT MAX(start) FROM starts)",
        {"by": by},
    )
