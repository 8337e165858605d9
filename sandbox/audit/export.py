"""An exported log: every entry with its leaf hash and the signed heads, for anyone to check again.

JSON Lines: {schema_version, kind: "log", identity} first, then a line for each entry ({entry,
leaf} and, where its owner shows it, body), then for each head ({head}), smallest first. The
recorded leaf hashes let an altered entry be named exactly; where they were altered along with it,
the heads still tell between which two of them the log was broken.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.audit.log import Entry, Frontier, Head
from sandbox.crypto.identity import Document, PublicIdentity, Signed, canonical, verify
from sandbox.errors import InputError, SandboxError, TrustError

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Record:
    """An entry, the leaf hash recorded when it was written, and what happened, where shown."""

    entry: Entry
    leaf: bytes
    body: Document | None = None


@dataclass(frozen=True)
class Break:
    """Where a log is first broken: entries `first`..`last` (one of them, if they differ)."""

    first: int
    last: int
    code: str
    sentence: str


def write_log(
    identity: PublicIdentity, records: Iterable[Record], heads: Iterable[Signed]
) -> Iterator[str]:
    """Return the lines of an exported log."""
    who = identity.to_document()
    yield _line({"schema_version": SCHEMA_VERSION, "kind": "log", "identity": who})
    for record in records:
        body = {} if record.body is None else {"body": record.body}
        yield _line({"entry": record.entry.to_document(), "leaf": record.leaf.hex(), **body})
    for head in heads:
        yield _line({"head": head.to_document()})


def read_log(lines: Iterable[str]) -> tuple[PublicIdentity, list[Record], list[Signed]]:
    """Read `write_log`'s lines; raises InputError naming the line that is none. Verifies
    nothing."""
    identity: PublicIdentity | None = None
    records: list[Record] = []
    heads: list[Signed] = []
    for number, line in enumerate(lines, start=1):
        try:
            document = json.loads(line)
            if number == 1:
                if document["schema_version"] != SCHEMA_VERSION or document["kind"] != "log":
                    raise InputError("SB-3204", line=1)
                identity = PublicIdentity.from_document(document["identity"])
            elif "head" in document:
                heads.append(Signed.from_document(document["head"]))
            else:
                records.append(_record(document))
        except (ValueError, KeyError, TypeError, SandboxError) as error:
            raise InputError("SB-3204", line=number) from error
    if identity is None:
        raise InputError("SB-3204", line=1)
    return identity, records, heads


def verify_log(
    identity: PublicIdentity, records: Sequence[Record], heads: Sequence[Signed]
) -> Break | None:
    """Return the first break of an exported log, or None if its signed heads vouch for all of it.

    Entries after the last head are vouched for by nobody and count as broken. Raises TrustError for
    a head that the log's owner did not sign.
    """
    signed: dict[int, set[tuple[bytes, str]]] = {}
    for document in heads:
        head = _head(identity, document)
        signed.setdefault(head.size, set()).add((head.root, head.ledger_digest))
    frontier, vouched = Frontier(), 0
    for index, record in enumerate(records):
        fault = _fault(index, record)
        if fault is not None:
            return fault
        frontier = frontier.append(record.leaf)
        shown = signed.get(frontier.size)
        if shown is not None:
            if {root for root, _ in shown} != {frontier.root}:
                return _break("SB-3208", vouched, index)
            if len(shown) > 1:
                return _break("SB-6035", vouched, index)
            vouched = frontier.size
    if max(signed, default=0) > len(records):
        return _break("SB-3209", len(records), max(signed) - 1)
    if vouched < len(records):
        return _break("SB-3210", vouched, len(records) - 1)
    return None


def _fault(index: int, record: Record) -> Break | None:
    """What can be seen wrong in one entry alone."""
    if record.entry.sequence != index:
        return _break("SB-3205", index, index)
    if record.entry.leaf_hash != record.leaf:
        return _break("SB-3206", index, index)
    if record.body is not None and not record.entry.records(canonical(record.body)):
        return _break("SB-3207", index, index)
    return None


def _break(code: str, first: int, last: int) -> Break:
    return Break(first, last, code, TrustError(code, first=first, last=last).sentence)


def _head(identity: PublicIdentity, signed: Signed) -> Head:
    head = Head.from_document(verify(signed, identity, "head"))
    if head.log != identity.fingerprint:
        raise TrustError("SB-3201", expected=identity.fingerprint, found=head.log)
    return head


def _record(document: dict[str, Any]) -> Record:
    entry = Entry.from_document(document["entry"])
    return Record(entry, bytes.fromhex(document["leaf"]), document.get("body"))


def _line(document: Document) -> str:
    return canonical(document).decode("utf-8") + "\n"
