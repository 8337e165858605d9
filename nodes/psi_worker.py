"""A worker's part of a PSI: whose keys match is learnt, then counted or written, where the rows lie.

Of a semi-join, each pair of a receiving and a sending member runs one intersection, in one order at
every member. A receiver's rows count whose key any sender has; what it learns never leaves the worker.
Of a disclosure, the receiver writes the ids that match into a file of its node.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from sandbox import _native
from sandbox.crypto.join import psi
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.keys import KeyHashes
from sandbox.disposable import Header
from sandbox.sql.compile import MATCHED

if TYPE_CHECKING:
    from nodes.join_worker import Wire

TAG_BYTES = 16


def run(
    connection: duckdb.DuckDBPyConnection,
    request: Header,
    wire: Wire,
    pairs: Mapping[str, Pair],
    read: Callable[[], list[pa.ChunkedArray]],
    hold: Callable[[], None],
) -> list[list[int]]:
    """Run this member's intersections; return the rows of a receiver's fragment, none of a sender.

    read: returns the columns of this side's distinct keys. hold: waits until it shows no longer how
    long all before took, which depends on how many keys there are.
    """
    own = request["own"]
    sessions = []
    for sizes, receiver, sender in request["sessions"]:
        pair, parties = pairs[sender if receiver == own else receiver], psi.Sizes(*sizes)
        most = parties.receiver if receiver == own else parties.sender
        sessions.append((receiver == own, pair, parties, most))

    @functools.cache
    def keys() -> tuple[list[pa.ChunkedArray], list[memoryview]]:
        columns = read()
        sets = [_tags(columns, pair, most) for _, pair, _, most in sessions]
        hold()
        return columns, sets

    def tags(session: int) -> memoryview:
        return keys()[1][session]

    found = []
    for number, (receives, pair, parties, _) in enumerate(sessions):
        own_tags = partial(tags, number)
        if receives:
            found.append(wire.drive(psi.receiver(parties, pair, own_tags, os.urandom)))
        else:
            wire.drive(psi.sender(parties, pair, own_tags, os.urandom))
    if not found:
        return []
    matched = reduce(np.union1d, found)
    columns = [column.take(pa.array(matched)) for column in keys()[0]]
    table = pa.table({f"key{n}": column for n, column in enumerate(columns)})
    connection.from_arrow(table).create(MATCHED)
    rows = connection.execute(request["sql"]).fetchall()
    return [[_whole(value) for value in row] for row in rows]


def disclose(
    request: Header,
    wire: Wire,
    pairs: Mapping[str, Pair],
    read: Callable[[], list[pa.ChunkedArray]],
    hold: Callable[[], None],
) -> dict[str, float]:
    """Run a disclosure's one intersection; the receiver writes its key's columns of rows that match.

    read: this side's keys in their canonical form, and the receiver's as its source has them. hold:
    waits until it shows no longer how long all before took. Returns the seconds of each phase, which
    the node's owner alone is told.
    """
    ((sizes, receiver, _),) = request["sessions"]
    (pair,) = pairs.values()
    parties, receives = psi.Sizes(*sizes), receiver == request["own"]
    most = parties.receiver if receives else parties.sender
    took = _Phases(request["received"])
    rows: list[_Rows] = []

    def keys() -> memoryview:
        took.end("before")
        columns = read()
        took.end("reading")
        rows.append(_Rows(columns, request["keys"], pair, most))
        took.end("hashing")
        hold()
        took.end("holding")
        return rows[0].tags

    if not receives:
        wire.drive(psi.sender(parties, pair, keys, os.urandom))
        took.end("matching")
        return took.seconds
    matched = wire.drive(psi.receiver(parties, pair, keys, os.urandom))
    kept = rows[0].kept(matched)
    took.end("matching")
    _write(pa.table(kept, names=request["names"]), request["file"], request["format"])
    took.end("writing")
    return took.seconds


class _Phases:
    """How long each phase took, one after the other from `start` (monotonic seconds)."""

    def __init__(self, start: float) -> None:
        self._last = start
        self.seconds: dict[str, float] = {}

    def end(self, phase: str) -> None:
        now = time.monotonic()
        self.seconds[phase], self._last = now - self._last, now


class _Rows:
    """Rows, and their distinct keys as pseudonyms, filled up to the padded size.

    columns: `keys` of them in canonical form, then what is kept of rows that match.
    """

    def __init__(self, columns: list[pa.ChunkedArray], keys: int, pair: Pair, most: int) -> None:
        self._canonical, self._columns = columns[:keys], columns[keys:]
        hashed = KeyHashes(columns[:keys], pair.key("psi keys"))
        self._count = len(hashed.present)
        self._there = np.flatnonzero(hashed.present)
        self._key_of_row: NDArray[np.int32] | None = None
        tags = memoryview(hashed.tags)
        if len(self._there) * TAG_BYTES < len(tags):
            places = self._there.astype(np.uint32).tobytes()
            tags = memoryview(_native.take([tags], TAG_BYTES, places))
        if hashed.repeat:
            blocks = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(TAG_BYTES), len(self._there), [None, pa.py_buffer(tags)]
            ).dictionary_encode()
            self._key_of_row = blocks.indices.to_numpy()
            tags = memoryview(blocks.dictionary.buffers()[1])[: TAG_BYTES * len(blocks.dictionary)]
        self._keys = len(tags) // TAG_BYTES
        self.tags = _filled(tags, most)

    def kept(self, matched: NDArray[np.uint32]) -> list[pa.ChunkedArray]:
        """Return what is kept of the rows whose key, by its place among the tags, is in `matched`."""
        # What fills the set up is no row's, and matches by chance alone.
        found = np.zeros(self._keys, np.bool_)
        found[matched[matched < self._keys]] = True
        rows = np.zeros(self._count, np.bool_)
        rows[self._there] = found if self._key_of_row is None else found[self._key_of_row]
        mask = pa.array(rows)
        return [
            _either(own.filter(mask), key.filter(mask) if own.type == key.type else None)
            for own, key in zip(self._columns, self._canonical, strict=True)
        ]


def _either(own: pa.ChunkedArray, key: pa.ChunkedArray | None) -> pa.ChunkedArray:
    """Return a column as its source has it: NULL where it is in canonical form (matched.py)."""
    return own if key is None else pc.coalesce(own, key)


def _write(table: pa.Table, file: str, form: str) -> None:
    """Write a file that nobody but this node's owner reads, and wait until it is on disk."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        if form == "csv":
            pyarrow.csv.write_csv(table, opened)
        else:
            from pyarrow import parquet

            parquet.write_table(table, opened)
        opened.flush()
        os.fsync(opened.fileno())


def _tags(columns: list[pa.ChunkedArray], pair: Pair, most: int) -> memoryview:
    return _filled(memoryview(KeyHashes(columns, pair.key("psi keys")).tags), most)


def _filled(tags: memoryview, most: int) -> memoryview:
    """Return `most` pseudonyms, random ones where there are fewer keys: how long the protocol takes
    must not tell how many there are. A key beyond the declared bound takes no part."""
    tags = tags[: TAG_BYTES * most]
    if len(tags) == TAG_BYTES * most:
        return tags
    return memoryview(b"".join((tags, os.urandom(TAG_BYTES * most - len(tags)))))


def _whole(value: Any) -> int:
    return int(value or 0)
