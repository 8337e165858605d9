"""A worker's part of a PSI: whose keys match is learnt, then counted or written, where the rows lie.

Of a semi-join, each pair of a receiving and a sending member runs one intersection, in one order at
every member. A receiver's rows count whose key any sender has; what it learns never leaves the worker.
Of a disclosure, the receiver writes the ids that match into a file of its node.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.csv

from nodes.psi_rows import Cut, Rows, Whole, cut_rows
from sandbox.crypto.join import psi
from sandbox.crypto.join.channel import Pair
from sandbox.disposable import Header
from sandbox.scratch import scratch_in
from sandbox.sql.compile import MATCHED

if TYPE_CHECKING:
    from nodes.join_worker import Wire

WRITTEN_ROWS = 1 << 14
"""Of a CSV file, at once: Arrow's own 1,024 take as long again for calls."""


@dataclass(frozen=True)
class Read:
    """What was read at once. once: the source has no key and no unit twice."""

    columns: list[pa.ChunkedArray]
    once: bool = False


@dataclass(frozen=True)
class Source:
    """How a worker reads its side: at once, or in batches where it exceeds memory. Both have the key's
    columns first, in canonical form; what comes after them is kept of rows that match. distinct: whether
    no key repeats in what is read at once; all_rows: whether batches are of all rows, and of a key those
    of one unit."""

    read: Callable[[], Read]
    batches: Callable[[], pa.RecordBatchReader]
    keys: int
    distinct: bool
    all_rows: bool = False


@dataclass(frozen=True)
class _Session:
    """One intersection that this worker takes part in."""

    sizes: psi.Sizes
    pair: Pair
    receives: bool

    @property
    def most(self) -> int:
        return self.sizes.receiver if self.receives else self.sizes.sender

    def run(self, wire: Wire, rows: Callable[[], Rows]) -> None:
        """Run it, bucket by bucket."""
        for bucket in range(self.sizes.buckets):
            keys = partial(_keys, rows, bucket)
            if self.receives:
                machine = psi.receiver(self.sizes, bucket, self.pair, keys, os.urandom)
                # Rows are read when the machine asks for keys, while the peer works on its VOLE.
                compared = wire.drive(machine)
                rows().learn(bucket, compared)
            else:
                wire.drive(psi.sender(self.sizes, bucket, self.pair, keys, os.urandom))


def _keys(rows: Callable[[], Rows], bucket: int) -> memoryview:
    return rows().keys(bucket)


def _sessions(request: Header, pairs: Mapping[str, Pair]) -> list[_Session]:
    own, sessions = request["own"], []
    for sizes, receiver, sender in request["sessions"]:
        receives = receiver == own
        pair = pairs[sender if receives else receiver]
        sessions.append(_Session(psi.Sizes(*sizes), pair, receives))
    return sessions


def _rows(
    source: Source, sessions: Sequence[_Session], request: Header, took: _Phases | None = None
) -> tuple[list[Rows], bool]:
    """Read this side once; return what each session takes of it, and whether no key and no unit of it
    occurs twice, as far as that is known."""
    hashing = [session.pair.key("psi keys") for session in sessions]
    if all(session.sizes.buckets == 1 for session in sessions):
        read = source.read()
        if took:
            took.end("reading")
        return [
            Whole(read.columns, source.keys, key, session.most, distinct=source.distinct)
            for session, key in zip(sessions, hashing, strict=True)
        ], read.once
    scratch = scratch_in(Path(request["settings"]["temp_directory"]))
    reader = source.batches()
    sides = [
        Cut(
            reader.schema,
            source.keys,
            key,
            session.sizes,
            scratch,
            request["temp_bytes"] // len(sessions),
            receives=session.receives,
        )
        for session, key in zip(sessions, hashing, strict=True)
    ]
    cut_rows(reader, sides)
    if took:
        took.end("reading")
    return [*sides], source.all_rows and not any(side.repeat for side in sides)


def run(
    connection: duckdb.DuckDBPyConnection,
    request: Header,
    wire: Wire,
    pairs: Mapping[str, Pair],
    source: Source,
    hold: Callable[[], None],
) -> list[list[int]]:
    """Run this member's intersections; return the rows of a receiver's fragment, none of a sender.

    hold: waits until it shows no longer how long all before took, which depends on how many keys there
    are.
    """
    sessions = _sessions(request, pairs)

    @functools.cache
    def held() -> tuple[list[Rows], bool]:
        found = _rows(source, sessions, request)
        hold()
        return found

    def of(number: int) -> Rows:
        return held()[0][number]

    for number, session in enumerate(sessions):
        session.run(wire, partial(of, number))
    sides, once = held()
    receiving = [side for side, session in zip(sides, sessions, strict=True) if session.receives]
    if not receiving:
        return []
    _tell(connection, (columns for side in receiving for columns in side.matched()))
    rows = connection.execute(request["once_sql" if once else "sql"]).fetchall()
    return [[_whole(value) for value in row] for row in rows]


def _tell(connection: duckdb.DuckDBPyConnection, matched: Iterator[list[pa.ChunkedArray]]) -> None:
    """Give the session the relation of keys that match, once for each sender that has them."""
    for number, columns in enumerate(matched):
        table = pa.table({f"key{n}": column for n, column in enumerate(columns)})
        if number:
            connection.from_arrow(table).insert_into(MATCHED)
        else:
            connection.from_arrow(table).create(MATCHED)


def disclose(
    request: Header,
    wire: Wire,
    pairs: Mapping[str, Pair],
    source: Source,
    hold: Callable[[], None],
) -> dict[str, float]:
    """Run a disclosure's one intersection; the receiver writes its key's columns of rows that match.

    hold: waits until it shows no longer how long all before took. Returns the seconds of each phase,
    which the node's owner alone is told.
    """
    (session,) = _sessions(request, pairs)
    took = _Phases(request["received"])
    sides: list[Rows] = []

    def rows() -> Rows:
        if not sides:
            took.end("before")
            sides.extend(_rows(source, [session], request, took)[0])
            took.end("hashing")
            hold()
            took.end("holding")
        return sides[0]

    session.run(wire, rows)
    if not session.receives:
        took.end("matching")
        return took.seconds
    matched = sides[0].matched()
    first = next(matched)
    took.end("matching")
    tables = (pa.table(columns, names=request["names"]) for columns in chain([first], matched))
    _write(tables, request["file"], request["format"])
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


def _write(tables: Iterator[pa.Table], file: str, form: str) -> None:
    """Write a file that nobody but this node's owner reads, and wait until it is on disk."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        first = next(tables)
        with _writer(opened, first.schema, form) as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)
        opened.flush()
        os.fsync(opened.fileno())


def _writer(opened: Any, schema: pa.Schema, form: str) -> Any:
    if form == "csv":
        options = pyarrow.csv.WriteOptions(batch_size=WRITTEN_ROWS)
        return pyarrow.csv.CSVWriter(opened, schema, write_options=options)
    from pyarrow import parquet

    return parquet.ParquetWriter(opened, schema)


def _whole(value: Any) -> int:
    return int(value or 0)
