"""A member's rows as a `blind` join takes them, and the tags that it sends for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from sandbox import _native
from sandbox.crypto.join.keys import KeyHashes
from sandbox.crypto.join.machine import Entropy
from sandbox.crypto.join.shape import TAG_BYTES
from sandbox.crypto.join.words import Words

KEY_BYTES = 32


@dataclass(frozen=True)
class Rows:
    """A side's rows, one per join key. keys: a column for each of the key's; values: shape (columns,
    rows), taken modulo 2^64, and zeros past the rows; hashed: by key, what has been hashed before it is
    asked for."""

    keys: Sequence[pa.Array | pa.ChunkedArray]
    values: Words
    hashed: Mapping[bytes, KeyHashes] = field(default_factory=dict, repr=False)

    def hashes(self, key: bytes) -> KeyHashes:
        """Return the rows' keys hashed under `key`."""
        return self.hashed[key] if key in self.hashed else KeyHashes(self.keys, key)

    def padded(self, size: int) -> Rows:
        """Return the rows with `size` values a column at least. What is added is written, not mapped:
        columns are read in a random order, which takes as long for zeros then as for values."""
        columns, rows = self.values.shape
        if rows >= size:
            return self
        values = np.empty((columns, size), np.uint64)
        values[:, :rows], values[:, rows:] = self.values, 0
        return replace(self, values=values)


class Pool:
    """A member's rows, dummies and filling: as many tags as it sends.

    How long it takes to make depends on how many rows there are: it is made before the slot at which
    tags leave. A row beyond the declared bound does not take part: whether there was one must not show.

    key: of the tags; bound: of rows; size: how many tags are sent.
    `rows`: how many take part; `values`: theirs come first, as theirs do in `tags`, then what fills up.
    """

    def __init__(
        self,
        rows: Rows,
        key: bytes,
        bound: int,
        size: int,
        entropy: Entropy,
    ) -> None:
        hashed = rows.hashes(key)
        tags, self.values = hashed.tags, rows.values
        self.rows = min(bound, int(np.count_nonzero(hashed.present)))
        if self.rows < len(hashed.present):
            kept = np.flatnonzero(hashed.present)[:bound]
            places = kept.astype(np.uint32).tobytes()
            tags = memoryview(_native.take([tags], TAG_BYTES, places))
            self.values = replace(rows, values=rows.values[:, kept]).padded(size).values
        self.values.flags.writeable = False  # The kernels read in place.
        # From a seed: to ask the system for all of it would take longer the fewer rows there are.
        filling = _native.expand(entropy(TAG_BYTES), size - self.rows)
        self.tags = [tags, memoryview(filling)]
        self._size = size

    def admit(self, dummies: Sequence[_native.Buffer | memoryview]) -> None:
        """Put tags that match in the place of some that fill up. How long that takes depends on no row:
        a peer says which late if whoever carries it likes, so that it comes after the slot."""
        rows, filling = self.tags
        admitted = [memoryview(part) for part in dummies]
        self.tags = [rows, *admitted, filling[sum(map(len, admitted)) :]]

    def shuffled(self, width: int, entropy: Entropy) -> tuple[_native.Buffer, memoryview]:
        """Return a random order, and `width` bytes of each tag as they leave in it. How long that takes
        depends on their number alone: it need not come before the slot, which it would put off."""
        order = _native.permutation(entropy(KEY_BYTES), self._size)
        return order, memoryview(_native.shorten_tags(self.tags, width, order))
