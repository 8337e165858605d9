"""A side of a PSI in its worker: distinct keys as pseudonyms, and of a receiver the rows they are of.

Sets of one bucket stay in memory. Larger ones are read in batches and spilled by bucket, into files
that have no name and end with the worker: pseudonyms, filled up to what the bucket is padded to, so that
nothing after shows how many there were, and the receiver's rows.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sandbox import _native
from sandbox.crypto.join import psi
from sandbox.crypto.join.buckets import cut
from sandbox.crypto.join.keys import KeyHashes
from sandbox.crypto.join.shape import TAG_BYTES
from sandbox.scratch import Scratch

Columns = Sequence[pa.ChunkedArray]


class Rows(Protocol):
    """One side of one session."""

    def keys(self, bucket: int) -> memoryview:
        """Return a bucket's distinct keys, as many as it is padded to."""

    def learn(self, bucket: int, compared: psi.Compared) -> None:
        """Keep what tells which of a bucket's keys match."""

    def matched(self) -> Iterator[list[pa.ChunkedArray]]:
        """Yield what is kept of the rows that match, once there is nothing left to be sent: how long it
        takes tells how many there are."""


class Whole:
    """Rows in memory, as the one bucket that they are.

    columns: `keys` of them in canonical form, then what is kept of rows that match; these alone if there
    is nothing else. distinct: whether no key repeats, if that is known.
    """

    def __init__(
        self, columns: Columns, keys: int, key: bytes, most: int, *, distinct: bool = False
    ) -> None:
        self._canonical, self._columns = columns[:keys], columns[keys:]
        hashed = KeyHashes(self._canonical, key)
        self._count = len(hashed.present)
        self._there = np.flatnonzero(hashed.present)
        tags = memoryview(hashed.tags)
        if len(self._there) * TAG_BYTES < len(tags):
            tags = taken(tags, self._there)
        self._key_of_row: NDArray[np.int32] | None = None
        if not distinct and hashed.repeat:
            tags, self._key_of_row = distinct_tags(tags)
        self._keys = len(tags) // TAG_BYTES
        self._tags = filled(tags, most)
        self._compared: psi.Compared | None = None

    def keys(self, bucket: int) -> memoryview:
        """Return all keys."""
        return self._tags

    def learn(self, bucket: int, compared: psi.Compared) -> None:
        """Keep it."""
        self._compared = compared

    def matched(self) -> Iterator[list[pa.ChunkedArray]]:
        """Yield it all."""
        assert self._compared is not None, "matches are asked for after the protocol"
        # What fills the set up is no row's, and matches by chance alone; a key beyond it took no part.
        compared = self._compared.matches()[: self._keys]
        found = np.zeros(self._keys, np.bool_)
        found[: len(compared)] = compared
        rows = np.zeros(self._count, np.bool_)
        rows[self._there] = found if self._key_of_row is None else found[self._key_of_row]
        mask = mask_of(rows)
        columns = self._canonical
        if self._columns:
            columns = [*map(_as_source, self._columns, self._canonical)]
        yield [column.filter(mask) for column in columns]


def _as_source(own: pa.ChunkedArray, key: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as its source has it: NULL where it is in canonical form (matched.py)."""
    if own.type != key.type:
        return own
    return key if own.null_count == len(own) else pc.coalesce(own, key)


class TempExceeded(Exception):
    """Rows that are spilled take more than the node's owner allows."""


class _Allowance:
    """Bytes that may still be written."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes

    def take(self, count: int) -> None:
        """Count what is about to be written; raises TempExceeded."""
        if count > self._left:
            raise TempExceeded
        self._left -= count


class _Counted(io.RawIOBase):
    """A file to write to, as Arrow does, within an allowance."""

    def __init__(self, file: BinaryIO, allowance: _Allowance) -> None:
        self._file, self._allowance = file, allowance

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._allowance.take(memoryview(data).nbytes)
        return self._file.write(data)


class Cut:
    """Rows in files, by bucket. schema: of what `add` is given; keys, key: as of Whole; most_bytes: what
    files may take beyond tags, as many as buckets are padded to, and what is compared (spilling.py)."""

    def __init__(
        self,
        schema: pa.Schema,
        keys: int,
        key: bytes,
        sizes: psi.Sizes,
        scratch: Scratch,
        most_bytes: int,
        *,
        receives: bool,
    ) -> None:
        self._columns, self._key = keys, key
        self._allowance = _Allowance(most_bytes)
        self._buckets = sizes.buckets
        self._most = sizes.of_bucket[0 if receives else 1]
        self._tags = [scratch() for _ in range(self._buckets)]
        self._rows = [scratch() for _ in range(self._buckets if receives else 0)]
        self._writers = [
            pa.ipc.new_stream(_Counted(file, self._allowance), schema) for file in self._rows
        ]
        self._scratch, self._compared = scratch, list[BinaryIO]()
        self._width = 0
        self.repeat = False
        """Whether any key occurs twice, once all rows are read."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Spill some rows; raises TempExceeded."""
        hashed = KeyHashes(batch.columns[: self._columns], self._key)
        there = np.flatnonzero(hashed.present)
        tags = taken(memoryview(hashed.tags), there)
        order, parts = cut(tags, self._buckets)
        tags = taken(tags, order)
        for file, part in zip(self._tags, parts, strict=True):
            own = tags[TAG_BYTES * part.start : TAG_BYTES * part.stop]
            # Keys that repeat are many until all are read.
            padded, before = TAG_BYTES * self._most, file.tell()
            self._allowance.take(max(before + len(own), padded) - max(before, padded))
            file.write(own)
        if self._rows:
            rows = batch.take(_places(there[order]))
            for writer, part in zip(self._writers, parts, strict=True):
                writer.write_batch(rows.slice(part.start, part.stop - part.start))

    def end(self) -> None:
        """Make each bucket's keys distinct and as many as it is padded to."""
        for writer in self._writers:
            writer.close()
        for file in self._tags:
            file.seek(0)
            tags = memoryview(file.read())
            if _native.has_repeats(tags, bytes([1]) * (len(tags) // TAG_BYTES)):
                tags, _ = distinct_tags(tags)
                self.repeat = True
            file.seek(0)
            file.write(filled(tags, self._most))
            file.truncate()

    def keys(self, bucket: int) -> memoryview:
        """Return a bucket's keys, once."""
        with self._tags[bucket] as file:
            file.seek(0)
            return memoryview(file.read())

    def learn(self, bucket: int, compared: psi.Compared) -> None:
        """Spill it; buckets come in their order."""
        self._width = compared.width
        file = self._scratch()
        file.write(compared.own)
        file.write(compared.theirs)
        self._compared.append(file)

    def matched(self) -> Iterator[list[pa.ChunkedArray]]:
        """Yield it bucket by bucket."""
        for rows, learnt in zip(self._rows, self._compared, strict=True):
            rows.seek(0)
            with rows, pa.ipc.open_stream(rows) as reader:
                columns = reader.read_all().columns
            whole = Whole(columns, self._columns, self._key, self._most)
            with learnt as file:
                file.seek(0)
                values = memoryview(file.read())
            own, theirs = values[: TAG_BYTES * self._most], values[TAG_BYTES * self._most :]
            whole.learn(0, psi.Compared(own, theirs, self._width))
            yield from whole.matched()


def cut_rows(batches: Iterable[pa.RecordBatch], sides: Sequence[Cut]) -> None:
    """Spill all rows for every session that they take part in."""
    for batch in batches:
        for side in sides:
            side.add(batch)
    for side in sides:
        side.end()


def taken(tags: memoryview, places: NDArray[np.intp]) -> memoryview:
    """Return the tags at these places."""
    return memoryview(_native.take([tags], TAG_BYTES, places.astype(np.uint32).tobytes()))


def distinct_tags(tags: memoryview) -> tuple[memoryview, NDArray[np.int32]]:
    """Return each tag once, in the order of their first places, and which of these each tag is."""
    count = len(tags) // TAG_BYTES
    blocks = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(TAG_BYTES), count, [None, pa.py_buffer(tags)]
    ).dictionary_encode()
    once = memoryview(blocks.dictionary.buffers()[1])[: TAG_BYTES * len(blocks.dictionary)]
    return once, np.frombuffer(blocks.indices.buffers()[1], np.int32, len(blocks))


def filled(tags: memoryview, most: int) -> memoryview:
    """Return `most` pseudonyms, random ones where there are fewer keys: how long the protocol takes
    must not tell how many there are. A key beyond that, of a bucket or of the declared bound, takes no
    part."""
    tags = tags[: TAG_BYTES * most]
    if len(tags) == TAG_BYTES * most:
        return tags
    return memoryview(b"".join((tags, os.urandom(TAG_BYTES * most - len(tags)))))


def mask_of(rows: NDArray[np.bool_]) -> pa.BooleanArray:
    """Return rows to keep as Arrow has them: pa.array() would import pandas where there is one."""
    bits = pa.py_buffer(np.packbits(rows, bitorder="little"))
    return pa.BooleanArray.from_buffers(pa.bool_(), len(rows), [None, bits])


def _places(rows: NDArray[np.intp]) -> pa.Int64Array:
    """Return places of rows as Arrow has them."""
    return pa.Int64Array.from_buffers(
        pa.int64(), len(rows), [None, pa.py_buffer(rows.astype(np.int64))]
    )
