"""A worker's part of a PSI: whose keys match is learnt, then counted or written, where the rows lie.

Of a semi-join, each pair of a receiving and a sending member runs one intersection, in one order at
every member. A receiver's rows count whose key any sender has; what it learns never leaves the worker.
Of a disclosure, the receiver writes the ids that match into a file of its node.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
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
Chosen = NDArray[np.intp]
"""Places of rows."""


def run(
    connection: duckdb.DuckDBPyConnection,
    request: Header,
    wire: Wire,
    pairs: Mapping[str, Pair],
    keys: list[pa.Array],
) -> list[list[int]]:
    """Run this member's intersections; return the rows of a receiver's fragment, none of a sender.

    keys: the columns of this side's distinct keys.
    """
    own = request["own"]
    found = []
    for sizes, receiver, sender in request["sessions"]:
        pair = pairs[sender if receiver == own else receiver]
        tags = _tags(keys, pair, sizes[0] if receiver == own else sizes[1])
        parties = psi.Sizes(*sizes)
        if receiver == own:
            found.append(wire.drive(psi.receiver(parties, pair, tags, os.urandom)))
        else:
            wire.drive(psi.sender(parties, pair, tags, os.urandom))
    if not found:
        return []
    matched = reduce(np.union1d, found)
    columns = [column.take(pa.array(matched)) for column in keys]
    table = pa.table({f"key{n}": column for n, column in enumerate(columns)})
    connection.from_arrow(table).create(MATCHED)
    rows = connection.execute(request["sql"]).fetchall()
    return [[_whole(value) for value in row] for row in rows]


def disclose(
    request: Header,
    wire: Wire,
    pairs: Mapping[str, Pair],
    read: Callable[[], list[pa.Array]],
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
    took = _Phases(request["received"])
    columns = read()
    took.end("reading")
    most = parties.receiver if receives else parties.sender
    keys = _Distinct(columns[: request["keys"]], pair, most)
    took.end("hashing")
    hold()
    took.end("holding")
    if not receives:
        wire.drive(psi.sender(parties, pair, keys.tags, os.urandom))
        took.end("matching")
        return took.seconds
    rows = keys.rows_of(wire.drive(psi.receiver(parties, pair, keys.tags, os.urandom)))
    took.end("matching")
    kept = [column.take(pa.array(rows)) for column in columns[request["keys"] :]]
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


class _Distinct:
    """The distinct keys of rows as pseudonyms, filled up to the padded size."""

    def __init__(self, keys: list[pa.Array], pair: Pair, most: int) -> None:
        hashed = KeyHashes(keys, pair.key("psi keys"))
        self._there = np.flatnonzero(hashed.present)
        self._key_of_row: NDArray[np.int32] | None = None
        tags = memoryview(hashed.tags)
        if len(self._there) * TAG_BYTES < len(tags):
            places = self._there.astype(np.uint32).tobytes()
            tags = memoryview(_native.take(tags, TAG_BYTES, places))
        if hashed.repeat:
            blocks = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(TAG_BYTES), len(self._there), [None, pa.py_buffer(tags)]
            ).dictionary_encode()
            self._key_of_row = blocks.indices.to_numpy()
            tags = memoryview(blocks.dictionary.buffers()[1])[: TAG_BYTES * len(blocks.dictionary)]
        self._keys = len(tags) // TAG_BYTES
        self.tags = _filled(tags, most)

    def rows_of(self, matched: NDArray[np.uint32]) -> Chosen:
        """Return the places of the rows whose key, by its place among the tags, is in `matched`."""
        # Of a key beyond the bound nobody learns anything; what fills the set up is no row's.
        found = np.zeros(self._keys, np.bool_)
        found[matched[matched < self._keys]] = True
        return self._there[found if self._key_of_row is None else found[self._key_of_row]]


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


def _tags(keys: list[pa.Array], pair: Pair, most: int) -> memoryview:
    return _filled(memoryview(KeyHashes(keys, pair.key("psi keys")).tags), most)


def _filled(tags: memoryview, most: int) -> memoryview:
    """Return `most` pseudonyms, random ones where there are fewer keys: how long the protocol takes
    must not tell how many there are. A key beyond the declared bound takes no part."""
    tags = tags[: TAG_BYTES * most]
    if len(tags) == TAG_BYTES * most:
        return tags
    return memoryview(b"".join((tags, os.urandom(TAG_BYTES * most - len(tags)))))


def _whole(value: Any) -> int:
    return int(value or 0)
