"""Join keys of Arrow columns as the kernels read them, in place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sandbox import _native


class KeyHashes:
    """The hashes of rows' keys under one key: `tags` (16 bytes each) and which rows have a key.

    columns: one per column of the key, of one length, chunked alike; integers are taken as int64.
    """

    def __init__(self, columns: Sequence[pa.Array | pa.ChunkedArray], key: bytes) -> None:
        # Chunk by chunk: to join a column of text first would take longer than to hash it.
        chunks = zip(*(_chunks(column) for column in columns), strict=True)
        hashed, present = _native.hash_keys([[*map(_column, chunk)] for chunk in chunks], key)
        self._hold(memoryview(hashed), memoryview(present))

    @classmethod
    def of(cls, tags: NDArray[np.uint8]) -> KeyHashes:
        """Return hashes that were made before (16 bytes each), of rows that all have a key."""
        made = cls.__new__(cls)
        # The kernels read in place, and what nobody writes.
        present = np.ones(len(tags), np.uint8)
        made._hold(tags.reshape(-1).data.toreadonly(), present.data.toreadonly())
        return made

    def _hold(self, tags: memoryview, present: memoryview) -> None:
        self.tags = tags
        self._present = present
        self.present: NDArray[np.bool_] = np.frombuffer(present, np.bool_)

    @property
    def repeat(self) -> bool:
        """Whether any key occurs twice."""
        return _native.has_repeats(self.tags, self._present)


def plain(columns: Iterable[pa.Array]) -> bool:
    """Whether all text among key columns is in canonical form (sandbox/sql/keys.py) as it stands. Some
    that is may not count as plain, such as any beyond ASCII."""
    return all(_native.is_plain(_column(column)) for column in columns)


def _chunks(column: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _column(array: pa.Array) -> _native.KeyColumn:
    """Return an array's buffers with the rows that it means of them."""
    kind = array.type
    if pa.types.is_integer(kind):
        wide = array if pa.types.is_int64(kind) else array.cast(pa.int64())
        _, values = wide.buffers()
        if values is None or values.size < 8 * (wide.offset + len(wide)):
            values = bytes(8 * (wide.offset + len(wide)))  # Arrow stores nothing where all is NULL.
        return _native.KeyColumn.int64(_memory(values), _validity(wide), wide.offset, len(wide))
    large = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
    read = _native.KeyColumn.utf8 if _is_text(kind) else _native.KeyColumn.binary
    _, offsets, data = array.buffers()
    return read(
        _memory(offsets), _memory(data), _validity(array), array.offset, len(array), large=large
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _memory(buffer: pa.Buffer | None) -> memoryview | bytes:
    """Return memory as the kernels take it; Arrow leaves out the buffer of a column without bytes."""
    return b"" if buffer is None else memoryview(buffer).toreadonly()


def _validity(array: pa.Array) -> memoryview | None:
    """Return which rows are NULL, None where none is: to read it takes a tenth of hashing."""
    return memoryview(array.buffers()[0]).toreadonly() if array.null_count else None
