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
    """Return the first break of an exported log, or None if every signed head vouches for it.

    Entries after the last head are vouched for by nobody and count as broken, as does a log without
    a head.
    """
    frontier, good = Frontier(), 0
    signed = sorted((_head(identity, head) for head in heads), key=lambda head: head.size)
    pending = iter(signed)
    head = next(pending, None)
    for index, record in enumerate(records):
        if record.entry.sequence != index:
            return _break(index, index, "SB-3205", index=index, found=record.entry.sequence)
        if record.entry.leaf_hash != record.leaf:
            return _break(index, index, "SB-3206", index=index)
        if record.body is not None and not record.entry.records(canonical(record.body)):
            return _break(index, index, "SB-3207", index=index)
        frontier = frontier.append(record.leaf)
        while head is not None and head.size <= frontier.size:
            if head.size == frontier.size and head.root != frontier.root:
                return _break(good, index, "SB-3208", first=good, last=index)
            good, head = head.size, next(pending, None)
    if head is not None:
        return _break(len(records), head.size - 1, "SB-3209", size=head.size, found=len(records))
    if good < len(records):
        return _break(good, len(records) - 1, "SB-3210", first=good)
    return None


def _head(identity: PublicIdentity, signed: Signed) -> Head:
    head = Head.from_document(verify(signed, identity, "head"))
    if head.log != identity.fingerprint:
        raise TrustError("SB-3201", expected=identity.fingerprint, found=head.log)
    return head


def _break(first: int, last: int, code: str, **facts: int) -> Break:
    return Break(first, last, code, TrustError(code, **facts).sentence)


def _record(document: dict[str, Any]) -> Record:
    entry = Entry.from_document(document["entry"])
    return Record(entry, bytes.fromhex(document["leaf"]), document.get("body"))


def _line(document: Document) -> str:
    return canonical(document).decode("utf-8") + "\n"
