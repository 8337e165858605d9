"""The log of a party: a Merkle tree over entries that can be appended to and never changed.

Tree, proofs and prefixes are RFC 6962's (section 2.1), the verification algorithms RFC 9162's
(2.1.3 and 2.1.4). A leaf holds a 32-byte nonce, so that a proof lets nobody guess its neighbours,
and only the digest of what is logged. A signed head commits to size, root, the ledger's digest and
the time; others who keep it can tell a log that was cut, rewritten or shown differently to
different people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.crypto.identity import Document, canonical, document_digest
from sandbox.errors import TrustError

NONCE_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


@dataclass(frozen=True)
class Entry:
    """One line of the log. `time`: milliseconds since 1970 UTC.

    `digest` is `document_digest(kind, body)` of what happened: a job, a spend, a release, a
    refusal.
    """

    sequence: int
    kind: str
    time: int
    nonce: bytes
    digest: str

    @property
    def leaf_hash(self) -> bytes:
        """RFC 6962's leaf hash of the entry's canonical text."""
        return leaf_hash(canonical(self.to_document()))

    def records(self, body: bytes) -> bool:
        """Whether this entry is the record of the document with canonical text `body`."""
        return document_digest(self.kind, body) == self.digest

    def to_document(self) -> Document:
        """Return it as a JSON object."""
        return {
            "sequence": self.sequence,
            "kind": self.kind,
            "time": self.time,
            "nonce": self.nonce.hex(),
            "digest": self.digest,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Entry:
        """Read `to_document`'s object; raises TrustError where it is none."""
        try:
            entry = cls(
                document["sequence"],
                document["kind"],
                document["time"],
                bytes.fromhex(document["nonce"]),
                document["digest"],
            )
            exact = entry.to_document() == dict(document) and len(entry.nonce) == NONCE_BYTES
        except (KeyError, TypeError, ValueError) as error:
            raise TrustError("SB-3200") from error
        if not exact or type(entry.sequence) is not int or type(entry.time) is not int:
            raise TrustError("SB-3200")
        return entry


@dataclass(frozen=True)
class Head:
    """The state of log `log` (its owner's fingerprint); signed by the owner as kind "head"."""

    log: str
    size: int
    root: bytes
    ledger_digest: str
    time: int

    def to_document(self) -> Document:
        """Return it as a JSON object."""
        return {
            "log": self.log,
            "size": self.size,
            "root": self.root.hex(),
            "ledger_digest": self.ledger_digest,
            "time": self.time,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Head:
        """Read `to_document`'s object; raises TrustError where it is none."""
        try:
            size, root = document["size"], bytes.fromhex(document["root"])
            head = cls(document["log"], size, root, document["ledger_digest"], document["time"])
        except (KeyError, TypeError, ValueError) as error:
            raise TrustError("SB-3200") from error
        if type(size) is not int or size < 0 or len(root) != len(EMPTY_ROOT):
            raise TrustError("SB-3200")
        return head


def leaf_hash(leaf: bytes) -> bytes:
    """Return SHA-256(0x00 || leaf): no leaf can be passed off as an inner node."""
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\1" + left + right).digest()


@dataclass(frozen=True)
class Frontier:
    """What appending needs of a tree of `size` leaves: its perfect subtrees, largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> Frontier:
        """Return the frontier after one more leaf hash; at most log2(size) hashes."""
        peaks, size = [*self.peaks, leaf], self.size
        while size & 1:
            right = peaks.pop()
            peaks[-1] = node_hash(peaks[-1], right)
            size >>= 1
        return Frontier(self.size + 1, tuple(peaks))

    @property
    def root(self) -> bytes:
        """The tree's root hash."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


class Tree:
    """All leaf hashes of a log, with every perfect subtree kept, so that proofs take log2(size)."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaves:
            self.append(leaf)

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash."""
        self._levels[0].append(leaf)
        level = 0
        while len(self._levels[level]) % 2 == 0:
            if level + 1 == len(self._levels):
                self._levels.append([])
            self._levels[level + 1].append(node_hash(*self._levels[level][-2:]))
            level += 1

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first `size` leaves (all of them by default)."""
        size = len(self) if size is None else size
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Return PATH(index, D[size]) of RFC 6962, section 2.1.1; 0 <= index < size."""
        size = len(self) if size is None else size
        proof: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(start, middle))
                start = middle
        return proof[::-1]

    def consistency_proof(self, first: int, size: int | None = None) -> list[bytes]:
        """Return PROOF(first, D[size]) of RFC 6962, section 2.1.2; 0 <= first <= size."""
        size = len(self) if size is None else size
        proof: list[bytes] = []
        start, end, whole = 0, size, True
        while first not in (0, end):
            middle = start + _split(end - start)
            if first <= middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(start, middle))
                start, whole = middle, False
        if first and not whole:
            proof.append(self._range(start, end))
        return proof[::-1]

    def _range(self, start: int, end: int) -> bytes:
        count = end - start
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return self._levels[level][start >> level]
        middle = start + _split(count)
        return node_hash(self._range(start, middle), self._range(middle, end))


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether leaf hash `leaf` is number `index` of the `size` leaves under `root` (2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            found = node_hash(step, found)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            found = node_hash(found, step)
        position, last = position >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the tree of `second` leaves only appends to the tree of `first` (2.1.4.2)."""
    if first in (second, 0):
        roots_agree = first_root == (second_root if first else EMPTY_ROOT)
        return roots_agree and not proof
    if not 0 < first < second:
        return False
    steps = list(proof)
    if first & (first - 1) == 0:
        steps.insert(0, first_root)
    if not steps:
        return False
    position, last = first - 1, second - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, step)
        position, last = position >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def check_extends(known: Head, new: Head, proof: Sequence[bytes]) -> None:
    """Check that `new` only appends to `known`, a head kept earlier of the same log.

    Raises TrustError for a log that went back (a restored backup, entries cut off), for one that
    shows another past (a split view, a rewritten entry), and for two ledgers under the same entries:
    every spend is an entry, so that a ledger never moves alone.
    """
    if new.log != known.log:
        raise TrustError("SB-3201", expected=known.log, found=new.log)
    if new.size < known.size:
        raise TrustError("SB-3202", log=new.log, known=known.size, found=new.size)
    if not verify_consistency(known.size, new.size, known.root, new.root, proof):
        raise TrustError("SB-3203", log=new.log, known=known.size, found=new.size)
    if new.size == known.size and new.ledger_digest != known.ledger_digest:
        raise TrustError("SB-6034", log=new.log, size=new.size)


def _split(count: int) -> int:
    """The largest power of two smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1
