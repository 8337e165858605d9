"""What one party's log says of one job: entries, proofs against a signed head, who has seen it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.audit.log import Entry, Head, verify_inclusion
from sandbox.crypto.identity import Document, Signed, canonical
from sandbox.errors import TrustError


@dataclass(frozen=True)
class LoggedEntry:
    """An entry of a log, what it records, and the proof that the head's tree contains it."""

    entry: Entry
    body: Document
    proof: tuple[bytes, ...]


@dataclass(frozen=True)
class LogEvidence:
    """A log's entries of a job under one signed head; `witnesses`: cosignatures under that head."""

    entries: tuple[LoggedEntry, ...]
    head: Signed
    witnesses: tuple[Signed, ...] = ()

    def check_entries(self, head: Head) -> None:
        """Raise TrustError SB-3226 or SB-3227 at the first entry that `head` does not contain."""
        for logged in self.entries:
            entry = logged.entry
            if not entry.records(canonical(logged.body)):
                raise TrustError("SB-3226", kind=entry.kind, sequence=entry.sequence)
            leaf, index = entry.leaf_hash, entry.sequence
            if not verify_inclusion(leaf, index, head.size, logged.proof, head.root):
                raise TrustError("SB-3227", kind=entry.kind, sequence=index)

    def require(self, kind: str, facts: Mapping[str, object]) -> None:
        """Raise TrustError SB-3228 unless some entry of `kind` records all of `facts`."""
        bodies = [logged.body for logged in self.entries if logged.entry.kind == kind]
        if not any(facts == {key: body.get(key) for key in facts} for body in bodies):
            raise TrustError("SB-3228", kind=kind)

    def to_document(self) -> Document:
        """Return it as a JSON object."""
        return {
            "entries": [
                {
                    "entry": logged.entry.to_document(),
                    "body": logged.body,
                    "proof": [step.hex() for step in logged.proof],
                }
                for logged in self.entries
            ],
            "head": self.head.to_document(),
            "witnesses": [witness.to_document() for witness in self.witnesses],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> LogEvidence:
        """Read `to_document`'s object; raises KeyError, TypeError, ValueError or TrustError."""
        entries = tuple(
            LoggedEntry(
                Entry.from_document(logged["entry"]),
                dict(logged["body"]),
                tuple(bytes.fromhex(step) for step in logged["proof"]),
            )
            for logged in document["entries"]
        )
        return cls(
            entries,
            Signed.from_document(document["head"]),
            tuple(Signed.from_document(witness) for witness in document["witnesses"]),
        )
