"""A worker's part of a join: the rows of one side, and the protocol's machine that they feed.

The worker alone sees rows and speaks sealed frames; the node's daemon carries them. It holds its one
socket in both directions: a thread keeps reading, so that a member that sends while it is sent to
never stops the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import duckdb
import numpy as np
import pyarrow as pa

from nodes import blind_worker, prepared_worker, psi_rows, psi_worker, sources
from nodes.blind_rows import gathered, gathered_distinct
from nodes.slots import join_wait_s
from sandbox.crypto.join.blind import Kept, over_kept, placed, zero_share
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.keys import KeyHashes, plain
from sandbox.crypto.join.machine import Machine, Send, drive, send
from sandbox.crypto.join.pool import KEY_BYTES, Rows
from sandbox.crypto.join.shape import Shape, read_shapes, write_shapes
from sandbox.crypto.join.words import Words
from sandbox.disposable import Header, preamble, receive
from sandbox.sql.keys import register

SECRET_BYTES = 32
BATCH_ROWS = 1 << 20
PLAIN_ROWS = 1 << 17
"""Of keys that may all be plain, at once: the first batch that is not ends the attempt."""
GATHERED_ROWS = 1 << 22
"""Of a table that is read at once for a `blind` join, which is faster; larger ones come in batches."""
UNREAD_BYTES = 1 << 28
"""More than any protocol leaves unread: a peer that sends more has departed from it."""
FRAME_COST = 256
"""What an unread frame takes beside its bytes: empty ones take memory too."""

T = TypeVar("T")


class Wire:
    """Frames to and from the other parties of a join, by fingerprint, over the node's socket.

    A frame of any other party ends the worker: nothing waits for it, and its name takes memory too.
    """

    def __init__(self, peer: socket.socket, parties: Iterable[str]) -> None:
        self._peer = peer
        self._arrived = threading.Condition()
        self._frames: dict[str, deque[bytes]] = {party: deque() for party in parties}
        self._unread = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def drive(self, machine: Machine[T]) -> T:
        """Run a machine to its end and return its result."""
        return drive(machine, self._send, self._next)

    def _send(self, step: Send) -> None:
        self._peer.sendall(preamble({"party": step.party}, len(step.payload)))
        self._peer.sendall(step.payload)

    def _next(self, party: str) -> bytes:
        with self._arrived:
            self._arrived.wait_for(lambda: self._frames[party])
            frame = self._frames[party].popleft()
            self._unread -= len(frame) + FRAME_COST
        return frame

    def _listen(self) -> None:
        try:
            while self._unread <= UNREAD_BYTES:
                header, payload = receive(self._peer)
                with self._arrived:
                    self._frames[header["party"]].append(payload)
                    self._unread += len(payload) + FRAME_COST
                    self._arrived.notify()
        finally:
            # The node hung up, or a peer sends what no protocol would: nothing is left to do here.
            os._exit(1)


def ready() -> duckdb.DuckDBPyConnection:
    """Return a session for `run`. What takes longest where it is done for the first time is done here,
    while no join waits for it."""
    connection = duckdb.connect(":memory:")
    register(connection)
    sources.restrict(connection)
    Pair(bytes(SECRET_BYTES), b"", "one", "other").key("tags")
    return connection


def run(
    connection: duckdb.DuckDBPyConnection, request: Header, secrets: bytes, node: socket.socket
) -> tuple[Header, bytes]:
    """Read one side's rows and run every join that it takes part in. connection: of `ready`.

    Answers 64-bit words: the member's shares of all products of a blind join, join by join, and for
    each peer the words that re-randomise its outputs; beside them its columns' sums if they are asked
    for, or the rows of a semi-join's fragment.
    """
    os.environ["RAYON_NUM_THREADS"] = str(request["threads"])
    own, coordinator = request["own"], request["coordinator"]
    wire = Wire(node, [coordinator, *request["peers"]])
    shapes = read_shapes(json.dumps(request["shapes"]).encode(), own)
    wire.drive(send(coordinator, write_shapes(shapes)))
    transcript = bytes.fromhex(request["transcript"])
    keys = [secrets[at : at + SECRET_BYTES] for at in range(0, len(secrets), SECRET_BYTES)]
    pairs = {
        peer: Pair(key, transcript, own, peer)
        for peer, key in zip(request["peers"], keys, strict=True)
    }
    answer: Header = {}
    words = [zero_share(pair, own, request["outputs"]) for pair in pairs.values()]
    with _opened(connection, request):
        if "format" in request:
            answer["phases"] = psi_worker.disclose(
                request,
                wire,
                pairs,
                _all_rows(connection, request),
                lambda: _hold(request),
            )
        elif request["mode"] == "psi":
            answer["rows"] = psi_worker.run(
                connection,
                request,
                wire,
                pairs,
                _distinct_keys(connection, request),
                lambda: _hold(request),
            )
        elif "keep" in request:
            prepared_worker.prepare(
                request,
                wire,
                pairs,
                shapes,
                lambda: _to_keep(connection, request),
                lambda: _hold(request),
            )
        elif "kept" in request:
            (pair,), (shape,) = pairs.values(), shapes
            kept, values = _over_kept(connection, request)
            factor = placed(shape, own, kept, values)
            answer["local"] = _local(connection, request)
            _hold(request)
            machine = over_kept(shape, own, pair, coordinator, kept.common, factor, os.urandom)
            words = [wire.drive(machine), *words]
        else:

            def read() -> Rows:
                hash_keys = blind_worker.hash_keys(pairs, request["peers"], shapes)
                rows = _rows_of(connection, request, shapes, hash_keys)
                answer["local"] = _local(connection, request)
                return rows

            members = blind_worker.filled(
                request, wire, pairs, shapes, read, lambda: _hold(request)
            )
            shares = [wire.drive(each.multiply(coordinator, os.urandom)) for each in members]
            words = [*shares, *words]
    return answer, np.concatenate([each.reshape(-1) for each in words]).astype("<u8").tobytes()


@contextlib.contextmanager
def _opened(connection: duckdb.DuckDBPyConnection, request: Header) -> Iterator[None]:
    """Lock the session on this side's source; raises sources.SourceChanged for another file."""
    source = sources.from_document(request["source"])
    sources.require_unchanged(source)
    ordered = prepared_worker.ORDERED if {"keep", "kept"} & set(request) else {}
    settings = {**request["settings"], **ordered}
    sources.open_locked(connection, source, request["columns"], settings)
    yield
    sources.require_unchanged(source)


def _hold(request: Header) -> None:
    """Wait for a slot: how long reading took depends on rows, what follows does not."""
    elapsed = time.monotonic() - request["received"]
    time.sleep(join_wait_s(elapsed, request["row_bound"], kept="kept" in request))


def _local(connection: duckdb.DuckDBPyConnection, request: Header) -> list[int]:
    if not request["local_sql"]:
        return []
    return [int(value) for value in connection.execute(request["local_sql"]).fetchone() or ()]


def _rows_of(
    connection: duckdb.DuckDBPyConnection,
    request: Header,
    shapes: Sequence[Shape],
    hash_keys: Sequence[bytes],
) -> Rows:
    """Return one row per key, as `_rows`: hashed under every peer's key if they are read in batches."""
    keys, bound, own = request["keys"], request["row_bound"], request["own"]
    size = max(shape.padded[shape.members.index(own)] for shape in shapes)
    if bound <= GATHERED_ROWS:
        return _rows(connection, request, hash_keys[0], size)
    if not request["local_sql"]:
        rows = streamed(connection, request["row_sql"])
        unit = not request["unit_is_key"]
        found = gathered(rows, keys, hash_keys, bound, size, unit=unit)
        if found is not None:
            return found
    rows = streamed(connection, request["per_key_sql"])
    return gathered_distinct(rows, keys, hash_keys, bound, size)


def _rows(
    connection: duckdb.DuckDBPyConnection,
    request: Header,
    hash_key: bytes | None = None,
    size: int = 0,
) -> Rows:
    """Return one row per key, hashed under `hash_key` if one is given: the rows as they are where no key
    and no unit repeats, else grouped. size: values that each column has at least.

    Local sums bound units over all rows, so that beside them rows are always grouped.
    """
    key = hash_key or os.urandom(KEY_BYTES)
    found = None if request["local_sql"] else _once(connection, request, key)
    if found is None:
        columns = fetched(connection, request["per_key_sql"])
        found = columns, KeyHashes(columns[: request["keys"]], key)
    columns, hashed = found
    keys, values = columns[: request["keys"]], columns[request["keys"] :]
    return Rows(keys, _values(values, size), {key: hashed})


def _all_rows(connection: duckdb.DuckDBPyConnection, request: Header) -> psi_worker.Source:
    """Return how a disclosure's rows are read: nothing is bounded, and keys may repeat."""
    return psi_worker.Source(
        lambda: psi_worker.Read(_all_columns(connection, request)),
        lambda: streamed(connection, request["row_sql"]),
        request["keys"],
        distinct=False,
    )


def _distinct_keys(connection: duckdb.DuckDBPyConnection, request: Header) -> psi_worker.Source:
    """Return how a semi-join's keys are read. Where they exceed memory, all are taken if rows of a key
    are those of a unit, of which at least one counts; else DuckDB chooses, which spills by itself."""
    sql = request["row_sql"] if request["unit_is_key"] else request["keys_sql"]
    return psi_worker.Source(
        lambda: _keys(connection, request),
        lambda: streamed(connection, sql),
        request["keys"],
        distinct=True,
        all_rows=request["unit_is_key"],
    )


def _keys(connection: duckdb.DuckDBPyConnection, request: Header) -> psi_worker.Read:
    """Return the columns of this side's distinct keys, bounded as its rows are."""
    found = _once(connection, request, os.urandom(KEY_BYTES))
    if found is None:
        return psi_worker.Read(fetched(connection, request["keys_sql"]))
    columns, hashed = found
    if not hashed.present.all():
        mask = psi_rows.mask_of(hashed.present)
        columns = [column.filter(mask) for column in columns]
    return psi_worker.Read(columns, once=True)


def _to_keep(
    connection: duckdb.DuckDBPyConnection, request: Header
) -> tuple[list[pa.ChunkedArray], int]:
    """Return the columns of the keys to be matched, and how many rows the source has if they are its
    rows', one by one, else 0."""
    found = _once(connection, request, os.urandom(KEY_BYTES))
    if found is None:
        return fetched(connection, request["keys_sql"]), 0
    keys = found[0][: request["keys"]]
    return keys, 0 if request["source"]["kind"] == "view" else len(keys[0])


def _over_kept(connection: duckdb.DuckDBPyConnection, request: Header) -> tuple[Kept, Words]:
    """Return the slots and values of this side's keys."""
    if request["by_number"]:
        values = _values(fetched(connection, request["values_sql"]))
        return prepared_worker.by_number(request["kept"], values)
    return prepared_worker.by_key(request["kept"], _rows(connection, request))


def _once(
    connection: duckdb.DuckDBPyConnection, request: Header, key: bytes
) -> tuple[list[pa.ChunkedArray], KeyHashes] | None:
    """Return all rows' keys and values, and the keys hashed under `key`, if no key and no unit occurs
    twice: then none is left out."""
    columns = _all_columns(connection, request)
    units = [] if request["unit_is_key"] else [columns.pop(request["keys"])]
    hashed = KeyHashes(columns[: request["keys"]], key)
    # Rows without a unit are one unit's.
    nameless = sum(unit.null_count for unit in units) > 1
    if nameless or hashed.repeat or (units and KeyHashes(units, key).repeat):
        return None
    return columns, hashed


def _all_columns(connection: duckdb.DuckDBPyConnection, request: Header) -> list[pa.ChunkedArray]:
    """Return the columns of all rows; keys are not brought to canonical form where all are plain."""
    plain_columns = _plain_columns(connection, request) if request["plain_sql"] else None
    return plain_columns or fetched(connection, request["row_sql"])


def _plain_columns(
    connection: duckdb.DuckDBPyConnection, request: Header
) -> list[pa.ChunkedArray] | None:
    """Return the columns of all rows, keys as they are; None unless all are plain, which the first batch
    denies if more than a few are not."""
    batches = []
    # A failure is told apart by the other way, which fails too: here it has no name.
    with (
        contextlib.suppress(OSError),
        streamed(connection, request["plain_sql"], PLAIN_ROWS) as reader,
    ):
        for batch in reader:
            if not plain(batch.columns[: request["keys"]]):
                return None
            batches.append(batch)
        return list(pa.Table.from_batches(batches, reader.schema).columns)
    return None


def fetched(connection: duckdb.DuckDBPyConnection, sql: str) -> list[pa.ChunkedArray]:
    """Return the columns of a statement's rows, all in the same chunks."""
    table: pa.Table = connection.sql(sql).to_arrow_table()
    return list(table.columns)


def streamed(
    connection: duckdb.DuckDBPyConnection, sql: str, rows: int = BATCH_ROWS
) -> pa.RecordBatchReader:
    """Return a statement's rows in batches of `rows`; no other statement runs before the last one, or
    before it is closed."""
    return connection.sql(sql).to_arrow_reader(rows)


def _values(columns: list[pa.ChunkedArray], size: int = 0) -> Words:
    """Return columns of integers as an array of shape (columns, rows), of `size` rows at least: what is
    added is zero, and written (pool.py)."""
    rows = len(columns[0]) if columns else 0
    values = np.empty((len(columns), max(rows, size)), np.uint64)
    for row, column in zip(values, columns, strict=True):
        at = 0
        for chunk in column.chunks:
            row[at : at + len(chunk)] = _words(chunk)
            at += len(chunk)
        row[at:] = 0
    return values


def _words(values: pa.Array) -> Words:
    """Read integers in place: to_numpy() would import pandas where there is one."""
    return np.frombuffer(values.buffers()[1] or b"", np.uint64, len(values), 8 * values.offset)
