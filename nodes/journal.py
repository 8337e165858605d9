"""A node's Merkle log in its vault: entries, signed heads, witnesses, and leave to release.

The tree, its proofs and what they prove are sandbox/audit/log.py; this is where it is kept. A node
that starts may have been restored from an old backup and would then draw noise twice for one job.
So nothing leaves until a witness has shown that it knows no later head of this log, or the owner
has taken that on himself (which is logged).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from nodes.database import Database
from nodes.ledger import check_ledger, ledger_digest
from sandbox.audit.export import Record, write_log
from sandbox.audit.log import NONCE_BYTES, Entry, Head, Tree, check_extends
from sandbox.crypto.identity import (
    Document,
    Identity,
    PublicIdentity,
    Signed,
    canonical,
    document_digest,
    parse,
    verify,
)
from sandbox.errors import ProtocolError, StateError, TrustError

HEAD_KIND = "head"


class EntryKind(StrEnum):
    """What an entry records."""

    JOB = "job"
    REFUSAL = "refusal"
    APPROVAL = "approval"
    ROSTER = "roster"
    RESERVATION = "reservation"
    RELEASE = "release"
    FAILURE = "failure"
    CANCELLATION = "cancellation"
    PIN = "pin"
    POLICY = "policy"
    DATASET = "dataset"
    COLLECTION = "collection"
    START = "start"
    OVERRIDE = "override"


@dataclass(frozen=True)
class LoggedEntry:
    """An entry with the document it records."""

    entry: Entry
    body: Document


class Journal:
    """The log of one node. clock: Unix milliseconds. nonce: 32 fresh random bytes for each leaf."""

    def __init__(
        self,
        database: Database,
        identity: Identity,
        clock: Callable[[], int],
        nonce: Callable[[], bytes] = lambda: os.urandom(NONCE_BYTES),
    ) -> None:
        self._database = database
        self._identity = identity
        self._clock = clock
        self._nonce = nonce
        self._start: int | None = None
        self._tree = Tree()
        self._tree_lock = threading.Lock()

    # Entries

    def append(self, kind: EntryKind, body: Mapping[str, Any], job: str | None = None) -> int:
        """Log an act of its own transaction; returns its sequence number, from 0."""
        with self._database.write("append") as connection:
            return self.write(connection, kind, body, job)

    def write(
        self,
        connection: sa.Connection,
        kind: EntryKind,
        body: Mapping[str, Any],
        job: str | None = None,
    ) -> int:
        """Log an act inside the transaction that performs it; returns its sequence number."""
        sequence = _size(connection)
        named = dict(body) if job is None else {"job": job, **body}
        text = canonical(named)
        digest = document_digest(kind, text)
        entry = Entry(sequence, kind.value, self._clock(), self._nonce(), digest)
        connection.execute(
            sa.text(
                "INSERT INTO entries (sequence, kind, time, nonce, digest, leaf, job, body)"
                " VALUES (:sequence, :kind, :time, :nonce, :digest, :leaf, :job, :body)"
            ),
            {**vars(entry), "leaf": entry.leaf_hash, "job": job, "body": text},
        )
        return sequence

    def entries(self, job: str | None = None) -> list[LoggedEntry]:
        """Return all entries, or those of one job, in order."""
        where = "" if job is None else " WHERE job = :job"
        with self._database.read() as connection:
            rows = connection.execute(
                sa.text(f"SELECT * FROM entries{where} ORDER BY sequence"),
                {"job": job} if job else {},
            ).all()
        return [LoggedEntry(_entry(row), parse(bytes(row.body))) for row in rows]

    # Heads and proofs

    def head(self) -> Signed:
        """Return the signed head of the log as it is now; one head for each size, ever."""
        with self._database.write("head") as connection:
            size = _size(connection)
            known = connection.execute(
                sa.text("SELECT document FROM heads WHERE size = :size"), {"size": size}
            ).scalar()
            if known is not None:
                return _signed(known)
            head = Head(
                self._identity.public.fingerprint,
                size,
                self._grown(connection).root(size),
                ledger_digest(connection),
                self._clock(),
            )
            signed = self._identity.sign(HEAD_KIND, head.to_document())
            connection.execute(
                sa.text("INSERT INTO heads VALUES (:size, :document)"),
                {"size": size, "document": canonical(signed.to_document())},
            )
        return signed

    def inclusion(self, sequence: int, size: int) -> list[bytes]:
        """Return the proof that entry `sequence` is among the first `size`; 0 <= sequence."""
        with self._database.read() as connection:
            return self._sized(connection, size).inclusion_proof(sequence, size)

    def consistency(self, first: int, size: int) -> list[bytes]:
        """Return the proof that the log of `size` entries extends the one of `first`."""
        with self._database.read() as connection:
            return self._sized(connection, size).consistency_proof(first, size)

    def export_log(self, file: Path) -> None:
        """Write all entries and signed heads to `file`, for anyone to verify (audit/export.py)."""
        self.head()
        with self._database.read() as connection, file.open("w", encoding="utf-8") as out:
            records = (
                Record(_entry(row), bytes(row.leaf), parse(bytes(row.body)))
                for row in connection.execute(sa.text("SELECT * FROM entries ORDER BY sequence"))
            )
            heads = (
                _signed(document)
                for document in connection.execute(
                    sa.text("SELECT document FROM heads ORDER BY size")
                ).scalars()
            )
            out.writelines(write_log(self._identity.public, records, heads))

    def check(self) -> None:
        """Check what is stored against itself: the file, every entry, the ledger, every head.

        Raises StateError SB-6002 or SB-6007, naming the first damaged part. Reads everything.
        """
        with self._database.read() as connection:
            if connection.exec_driver_sql("PRAGMA quick_check").scalar() != "ok":
                raise StateError("SB-6002", reason="quick_check")
            tree = _checked_entries(connection)
            chain_at = check_ledger(connection)
            for document in connection.execute(
                sa.text("SELECT document FROM heads ORDER BY size")
            ).scalars():
                head = Head.from_document(
                    verify(_signed(document), self._identity.public, HEAD_KIND)
                )
                if head.size > len(tree) or tree.root(head.size) != head.root:
                    raise StateError("SB-6007", part="head", position=head.size)
                if head.ledger_digest not in chain_at:
                    raise StateError("SB-6007", part="ledger of head", position=head.size)

    # Witnessing others

    def record_peer_head(
        self, signed: Signed, peer: PublicIdentity, proof: Sequence[bytes]
    ) -> Head:
        """Keep a peer's head if it extends the one kept before; only then may it be cosigned.

        Raises TrustError SB-3202 for a log that went back, SB-3203 for another past (both logged).
        """
        head = Head.from_document(verify(signed, peer, HEAD_KIND))
        if head.log != peer.fingerprint:
            raise TrustError("SB-3201", expected=peer.fingerprint, found=head.log)
        broken: TrustError | None = None
        with self._database.write("record_peer_head") as connection:
            known = _peer_head(connection, head.log)
            try:
                if known is not None:
                    check_extends(Head.from_document(parse(known.body)), head, proof)
            except TrustError as error:
                broken = error
                self.write(connection, EntryKind.REFUSAL, {"log": head.log, "head": signed.digest})
            else:
                connection.execute(
                    sa.text(
                        "INSERT INTO peer_heads VALUES (:log, :document)"
                        " ON CONFLICT DO UPDATE SET document = :document"
                    ),
                    {"log": head.log, "document": canonical(signed.to_document())},
                )
        if broken is not None:
            raise broken
        return head

    def peer_head(self, log: str) -> Signed | None:
        """Return the newest head kept of a peer's log, or None."""
        with self._database.read() as connection:
            return _peer_head(connection, log)

    # Being witnessed

    def start(self) -> None:
        """Begin a run of the node: nothing leaves before this run is confirmed.

        An earlier process of the same node, should one still be alive, may release nothing more.
        """
        with self._database.write("start") as connection:
            self._start = connection.execute(
                sa.text("INSERT INTO starts (began) VALUES (:began) RETURNING start"),
                {"began": self._clock()},
            ).scalar_one()
            self.write(connection, EntryKind.START, {"start": self._start})

    def acknowledged(self, witness: str, size: int, document: Signed) -> None:
        """Keep a witness's verified cosignature of this log's head of `size`."""
        with self._database.write("acknowledged") as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO witnesses VALUES (:witness, :size, :document)"
                    " ON CONFLICT DO UPDATE SET size = :size, document = :document"
                    " WHERE size <= :size"
                ),
                {
                    "witness": witness,
                    "size": size,
                    "document": canonical(document.to_document()),
                },
            )

    def own_head_confirmed(self, witness: str, known: Head | None) -> None:
        """Take a witness's verified, fresh answer: the newest head it knows of this log, or none.

        Confirms the present run. Raises StateError SB-6022 when the witness knows a later head or
        another past: this file is an old copy. TrustError SB-6023 when the witness knows less than
        it once acknowledged, and so cannot tell.
        """
        with self._database.write("own_head_confirmed") as connection:
            acknowledged = connection.execute(
                sa.text("SELECT size FROM witnesses WHERE witness = :witness"), {"witness": witness}
            ).scalar()
            size = 0 if known is None else known.size
            if size < (acknowledged or 0):
                raise TrustError("SB-6023", witness=witness, found=size, known=acknowledged or 0)
            mine = _size(connection)
            if known is not None and (
                size > mine or self._grown(connection).root(size) != known.root
            ):
                raise StateError("SB-6022", witness=witness, known=size, found=mine)
            _confirm(connection, witness)

    def override_witness(self, reason: str) -> None:
        """Let the node release without a witness: the owner's word that this is no old copy."""
        with self._database.write("override_witness") as connection:
            self.write(connection, EntryKind.OVERRIDE, {"reason": reason})
            _confirm(connection, "owner")

    def confirmed(self) -> bool:
        """Tell whether the newest run has been confirmed."""
        with self._database.read() as connection:
            row = _newest_start(connection)
            return row is not None and row.confirmed is not None

    def require_confirmed(self, connection: sa.Connection) -> None:
        """Raise StateError SB-6020 unless this run is confirmed, SB-6021 if a later one began."""
        newest = _newest_start(connection)
        if newest is None or newest.start != self._start:
            raise StateError("SB-6021")
        if newest.confirmed is None:
            raise StateError("SB-6020")

    # The tree, grown from the file

    def _sized(self, connection: sa.Connection, size: int) -> Tree:
        tree = self._grown(connection)
        if size > len(tree):
            raise ProtocolError("SB-6015", size=size, found=len(tree))
        return tree

    def _grown(self, connection: sa.Connection) -> Tree:
        """Return the tree over at least the entries that this transaction sees."""
        with self._tree_lock:
            for leaf in connection.execute(
                sa.text("SELECT leaf FROM entries WHERE sequence >= :size ORDER BY sequence"),
                {"size": len(self._tree)},
            ).scalars():
                self._tree.append(bytes(leaf))
            return self._tree


def _checked_entries(connection: sa.Connection) -> Tree:
    tree = Tree()
    for row in connection.execute(sa.text("SELECT * FROM entries ORDER BY sequence")):
        entry = _entry(row)
        sound = (
            entry.sequence == len(tree)
            and entry.leaf_hash == bytes(row.leaf)
            and entry.records(bytes(row.body))
        )
        if not sound:
            raise StateError("SB-6007", part="entry", position=len(tree))
        tree.append(entry.leaf_hash)
    return tree


def _size(connection: sa.Connection) -> int:
    last = connection.execute(sa.text("SELECT MAX(sequence) FROM entries")).scalar()
    return 0 if last is None else int(last) + 1


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(row.sequence, row.kind, row.time, bytes(row.nonce), row.digest)


def _signed(document: bytes) -> Signed:
    return Signed.from_document(parse(bytes(document)))


def _peer_head(connection: sa.Connection, log: str) -> Signed | None:
    known = connection.execute(
        sa.text("SELECT document FROM peer_heads WHERE log = :log"), {"log": log}
    ).scalar()
    return None if known is None else _signed(known)


def _newest_start(connection: sa.Connection) -> sa.Row[Any] | None:
    return connection.execute(
        sa.text("SELECT * FROM starts ORDER BY start DESC LIMIT 1")
    ).one_or_none()


def _confirm(connection: sa.Connection, by: str) -> None:
    connection.execute(
        sa.text(
            "UPDATE starts SET confirmed = COALESCE(confirmed, :by)"
            " WHERE start = (SELECT MAX(start) FROM starts)"
        ),
        {"by": by},
    )
