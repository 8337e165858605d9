"""A party's Merkle log in its file: entries, signed heads, witnesses, and leave to act.

The tree, its proofs and what they prove are sandbox/audit/log.py; this is where it is kept, by a
node in its vault, by the coordinator in its store. A party that starts may have been restored from
an old backup: a node would then draw noise twice for one job, a coordinator show two histories. So
nothing leaves until a witness has shown that it knows no later head of this log, or the owner has
taken that on himself (which is logged).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.audit import logrows
from sandbox.audit.evidence import LogEvidence, LoggedEntry
from sandbox.audit.export import Record, write_log
from sandbox.audit.log import NONCE_BYTES, Entry, Head, Tree, check_extends
from sandbox.audit.logrows import EntryKind
from sandbox.audit.statements import HEAD, LastHead, Witness
from sandbox.crypto.identity import (
    Identity,
    PublicIdentity,
    Signed,
    canonical,
    document_digest,
    parse,
    verify,
)
from sandbox.database import Connection, Database
from sandbox.errors import ProtocolError, StateError, TrustError

RUN_NONCE_BYTES = 16


@dataclass(frozen=True)
class Ledger:
    """What heads commit to beside the entries: `digest` of the ledger now, hex; `check` returns
    every digest it ever had, and raises StateError SB-6007 where it was altered."""

    digest: Callable[[Connection], str]
    check: Callable[[Connection], set[str]]


_NOTHING = bytes(32).hex()
NO_LEDGER = Ledger(lambda _: _NOTHING, lambda _: {_NOTHING})
"""The coordinator spends nothing."""


class Journal:
    """The log of one party. clock: Unix milliseconds. random: fresh random bytes, so many.

    nonce: over it, witnesses must answer before this run may act; drawn anew by `start`.
    """

    def __init__(
        self,
        database: Database,
        identity: Identity,
        clock: Callable[[], int],
        ledger: Ledger = NO_LEDGER,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._identity = identity
        self._clock = clock
        self._ledger = ledger
        self._random = random
        self.nonce = b""
        self._start: int | None = None
        self._tree = Tree()
        self._tree_lock = threading.Lock()

    @property
    def owner(self) -> PublicIdentity:
        """Whose log it is."""
        return self._identity.public

    # Entries

    def append(self, kind: EntryKind, body: Mapping[str, Any], job: str | None = None) -> int:
        """Log an act of its own transaction; returns its sequence number, from 0."""
        with self._database.write("append") as connection:
            return self.write(connection, kind, body, job)

    def write(
        self,
        connection: Connection,
        kind: EntryKind,
        body: Mapping[str, Any],
        job: str | None = None,
    ) -> int:
        """Log an act inside the transaction that performs it; returns its sequence number."""
        sequence = logrows.size_of(connection)
        named = dict(body) if job is None else {"job": job, **body}
        text = canonical(named)
        digest = document_digest(kind, text)
        entry = Entry(sequence, kind.value, self._clock(), self._random(NONCE_BYTES), digest)
        connection.execute(
            "INSERT INTO entries (sequence, kind, time, nonce, digest, leaf, job, body)"
            " VALUES (:sequence, :kind, :time, :nonce, :digest, :leaf, :job, :body)",
            {**vars(entry), "leaf": entry.leaf_hash, "job": job, "body": text},
        )
        return sequence

    def entries(self, job: str | None = None) -> list[Record]:
        """Return all entries, or those of one job, in order."""
        with self._database.read() as connection:
            return list(logrows.records(connection, job))

    # Heads and proofs

    def head(self) -> Signed:
        """Return the signed head of the log as it is now; one head for each size, ever."""
        with self._database.write("head") as connection:
            size = logrows.size_of(connection)
            known = connection.execute(
                "SELECT document FROM heads WHERE size = :size", {"size": size}
            ).scalar()
            if known is not None:
                return logrows.signed(known)
            head = Head(
                self.owner.fingerprint,
                size,
                self._grown(connection).root(size),
                self._ledger.digest(connection),
                self._clock(),
            )
            signed = self._identity.sign(HEAD, head.to_document())
            connection.execute(
                "INSERT INTO heads VALUES (:size, :document)",
                {"size": size, "document": canonical(signed.to_document())},
            )
        return signed

    def evidence(self, job: str) -> LogEvidence:
        """Return a job's entries, each proved against the newest head; without witnesses."""
        signed = self.head()
        size = Head.from_document(parse(signed.body)).size
        with self._database.read() as connection:
            tree = self._sized(connection, size)
            entries = tuple(
                LoggedEntry(
                    record.entry,
                    record.body or {},
                    tuple(tree.inclusion_proof(record.entry.sequence, size)),
                )
                for record in logrows.records(connection, job)
                if record.entry.sequence < size
            )
        return LogEvidence(entries, signed)

    def consistency(self, first: int, size: int) -> list[bytes]:
        """Return the proof that the log of `size` entries extends the one of `first`."""
        with self._database.read() as connection:
            return self._sized(connection, size).consistency_proof(first, size)

    def export_log(self, file: Path) -> None:
        """Write all entries and signed heads to `file`, for anyone to verify (audit/export.py)."""
        self.head()
        with self._database.read() as connection, file.open("w", encoding="utf-8") as out:
            records, heads = logrows.records(connection), logrows.heads(connection)
            out.writelines(write_log(self.owner, records, heads))

    def check(self) -> None:
        """Check what is stored against itself: the file, every entry, the ledger, every head.

        Raises StateError SB-6002 or SB-6007, naming the first damaged part. Reads everything.
        """
        with self._database.read() as connection:
            if connection.execute("PRAGMA quick_check").scalar() != "ok":
                raise StateError("SB-6002", file=self._database.file.name, reason="quick_check")
            tree = logrows.checked_tree(connection)
            chain_at = self._ledger.check(connection)
            for signed in logrows.heads(connection):
                head = Head.from_document(verify(signed, self.owner, HEAD))
                if head.size > len(tree) or tree.root(head.size) != head.root:
                    raise StateError("SB-6007", part="head", position=head.size)
                if head.ledger_digest not in chain_at:
                    raise StateError("SB-6007", part="ledger of head", position=head.size)

    # Witnessing others

    def record_peer_head(
        self, signed: Signed, peer: PublicIdentity, proof: Sequence[bytes]
    ) -> Head:
        """Keep a peer's head if it extends the one kept before; only then may it be cosigned.

        Raises TrustError SB-3202 for a log that went back, SB-3203 for another past,
        SB-6034 for another ledger under the same entries (all logged).
        """
        head = Head.from_document(verify(signed, peer, HEAD))
        if head.log != peer.fingerprint:
            raise TrustError("SB-3201", expected=peer.fingerprint, found=head.log)
        broken: TrustError | None = None
        with self._database.write("record_peer_head") as connection:
            known = logrows.peer_head(connection, head.log)
            try:
                if known is not None:
                    check_extends(Head.from_document(parse(known.body)), head, proof)
            except TrustError as error:
                broken = error
                self.write(connection, EntryKind.REFUSAL, {"log": head.log, "head": signed.digest})
            else:
                connection.execute(
                    "INSERT INTO peer_heads VALUES (:log, :document)"
                    " ON CONFLICT DO UPDATE SET document = :document",
                    {"log": head.log, "document": canonical(signed.to_document())},
                )
        if broken is not None:
            raise broken
        return head

    def peer_head(self, log: str) -> Signed | None:
        """Return the newest head kept of a peer's log, or None."""
        with self._database.read() as connection:
            return logrows.peer_head(connection, log)

    # Being witnessed

    def start(self) -> None:
        """Begin a run of the party: nothing leaves before this run is confirmed.

        An earlier process of the same party, should one still be alive, may let nothing more out.
        """
        self.nonce = self._random(RUN_NONCE_BYTES)
        with self._database.write("start") as connection:
            self._start = connection.execute(
                "INSERT INTO starts (began) VALUES (:began) RETURNING start",
                {"began": self._clock()},
            ).scalar()
            self.write(connection, EntryKind.START, {"start": self._start})

    def acknowledge(self, signed: Signed, witness: PublicIdentity) -> None:
        """Keep a witness's cosignature of a head of this log; one of another log is left alone."""
        statement = Witness.read(signed, witness)
        if statement.log != self.owner.fingerprint:
            return
        with self._database.write("acknowledge") as connection:
            connection.execute(
                "INSERT INTO witnesses VALUES (:witness, :size, :document)"
                " ON CONFLICT DO UPDATE SET size = :size, document = :document"
                " WHERE size <= :size",
                {
                    "witness": witness.fingerprint,
                    "size": statement.size,
                    "document": canonical(signed.to_document()),
                },
            )

    def take_last_heads(self, answers: Sequence[tuple[Signed, PublicIdentity]]) -> None:
        """Take witnesses' answers over this run's nonce: the newest heads they know of this log.

        One good answer confirms the run, unless any tells of more: raises StateError SB-6022 when a
        witness knows a later head or another past, since this file is an old copy; when none is good
        TrustError SB-6023 if one knows less than it once acknowledged, and so cannot tell, or what
        else is wrong with an answer, such as SB-3240: another question was answered.
        """
        known: list[tuple[PublicIdentity, Head | None]] = []
        wrong: TrustError | None = None
        for signed, witness in answers:
            try:
                known.append((witness, self._last_head(signed, witness)))
            except TrustError as error:
                wrong = error
        with self._database.write("take_last_heads") as connection:
            vouching = []
            for witness, head in known:
                self._require_no_later(connection, witness, head)
                size, once = head.size if head else 0, logrows.acknowledged(connection, witness)
                if size >= once:
                    vouching.append(witness)
                else:
                    wrong = TrustError("SB-6023", witness=witness.name, found=size, known=once)
            if vouching:
                logrows.confirm(connection, vouching[0].fingerprint)
        if wrong is not None and not vouching:
            raise wrong

    def _last_head(self, signed: Signed, witness: PublicIdentity) -> Head | None:
        answer = LastHead.read(signed, witness)
        if answer.nonce != self.nonce.hex() or answer.log != self.owner.fingerprint:
            raise TrustError("SB-3240", name=witness.name)
        if answer.head is None:
            return None
        return Head.from_document(verify(Signed.from_document(answer.head), self.owner, HEAD))

    def _require_no_later(
        self, connection: Connection, witness: PublicIdentity, head: Head | None
    ) -> None:
        mine = logrows.size_of(connection)
        if head is not None and (
            head.size > mine or self._grown(connection).root(head.size) != head.root
        ):
            raise StateError("SB-6022", witness=witness.name, known=head.size, found=mine)

    def override_witness(self, reason: str) -> None:
        """Let the node release without a witness: the owner's word that this is no old copy."""
        with self._database.write("override_witness") as connection:
            self.write(connection, EntryKind.OVERRIDE, {"reason": reason})
            logrows.confirm(connection, "owner")

    def confirmed(self) -> bool:
        """Tell whether the newest run has been confirmed."""
        with self._database.read() as connection:
            row = logrows.newest_start(connection)
            return row is not None and row["confirmed"] is not None

    def require_confirmed(self, connection: Connection) -> None:
        """Raise StateError SB-6020 unless this run is confirmed, SB-6021 if a later one began."""
        newest = logrows.newest_start(connection)
        if newest is None or newest["start"] != self._start:
            raise StateError("SB-6021")
        if newest["confirmed"] is None:
            raise StateError("SB-6020")

    # The tree, grown from the file

    def _sized(self, connection: Connection, size: int) -> Tree:
        tree = self._grown(connection)
        if size > len(tree):
            raise ProtocolError("SB-6015", size=size, found=len(tree))
        return tree

    def _grown(self, connection: Connection) -> Tree:
        """Return the tree over at least the entries that this transaction sees."""
        with self._tree_lock:
            for leaf in connection.execute(
                "SELECT leaf FROM entries WHERE sequence >= :size ORDER BY sequence",
                {"size": len(self._tree)},
            ).scalars():
                self._tree.append(bytes(leaf))
            return self._tree
