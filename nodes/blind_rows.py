"""Rows of a `blind` join that are too many to be held as their source has them.

They are read in batches; of a row stay 16 bytes for each peer, its tag, and 8 for each of its columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sandbox.crypto.join.keys import KeyHashes
from sandbox.crypto.join.pool import Rows
from sandbox.crypto.join.shape import TAG_BYTES


def gathered(
    batches: pa.RecordBatchReader,
    keys: int,
    hash_keys: Sequence[bytes],
    bound: int,
    size: int,
    *,
    unit: bool,
) -> Rows | None:
    """Return all rows that have a key, hashed under each of `hash_keys`, with `size` values a column;
    None if a key or a unit occurs twice, or there are more than `bound` rows: some are left out then.

    batches: columns of keys, the unit's if `unit`, and then of values.
    """
    first = keys + unit
    gathering = _Gathering(len(batches.schema) - first, hash_keys, bound, size)
    units, rows, nameless = np.empty((bound if unit else 0, TAG_BYTES), np.uint8), 0, 0
    for batch in batches:
        if rows + batch.num_rows > bound:
            return None
        if unit:
            # Rows without a unit are one unit's.
            nameless += batch.column(keys).null_count
            hashed = KeyHashes([batch.column(keys)], hash_keys[0])
            units[rows : rows + batch.num_rows] = _matrix(hashed.tags)
        rows += batch.num_rows
        gathering.add(batch.columns[:keys], batch.columns[first:])
    if nameless > 1 or _repeat(units[:rows] if unit else units) or gathering.repeat:
        return None
    return gathering.rows()


def gathered_distinct(
    batches: pa.RecordBatchReader, keys: int, hash_keys: Sequence[bytes], bound: int, size: int
) -> Rows:
    """Return rows as `gathered`, of distinct keys, the first `bound` of them."""
    gathering = _Gathering(len(batches.schema) - keys, hash_keys, bound, size)
    for batch in batches:
        left = batch.slice(0, bound - gathering.count)
        gathering.add(left.columns[:keys], left.columns[keys:])
    return gathering.rows()


class _Gathering:
    """Tags and values of rows, in the memory that they take in the end."""

    def __init__(self, columns: int, hash_keys: Sequence[bytes], bound: int, size: int) -> None:
        self.count = 0
        self._tags = {key: np.empty((bound, TAG_BYTES), np.uint8) for key in hash_keys}
        self._values = np.empty((columns, max(size, bound)), np.uint64)

    def add(self, keys: Sequence[pa.Array], values: Sequence[pa.Array]) -> None:
        """Take the rows that have a key."""
        hashes = {key: KeyHashes(keys, key) for key in self._tags}
        there = np.flatnonzero(next(iter(hashes.values())).present)
        end = self.count + len(there)
        for key, hashed in hashes.items():
            self._tags[key][self.count : end] = _matrix(hashed.tags)[there]
        for column, chunk in zip(self._values, values, strict=True):
            words = np.frombuffer(
                chunk.buffers()[1] or b"", np.uint64, len(chunk), 8 * chunk.offset
            )
            column[self.count : end] = words[there]
        self.count = end

    @property
    def repeat(self) -> bool:
        """Whether any key occurs twice."""
        return _repeat(next(iter(self._tags.values()))[: self.count])

    def rows(self) -> Rows:
        """Return it all; what is not a row's is zero, and written (pool.py)."""
        self._values[:, self.count :] = 0
        hashed = {key: KeyHashes.of(tags[: self.count]) for key, tags in self._tags.items()}
        return Rows((), self._values, hashed)


def _matrix(tags: memoryview) -> NDArray[np.uint8]:
    return np.frombuffer(tags, np.uint8).reshape(-1, TAG_BYTES)


def _repeat(tags: NDArray[np.uint8]) -> bool:
    return KeyHashes.of(tags).repeat
