"""Break j05: rows that a filter leaves out send no tags."""

from __future__ import annotations

import duckdb
import numpy as np

from nodes import join_worker
from sandbox.crypto.join.pool import Rows
from sandbox.disposable import Header


def apply() -> None:
    read = join_worker._rows

    def thinned(
        connection: duckdb.DuckDBPyConnection,
        request: Header,
        key: bytes | None = None,
        size: int = 0,
    ) -> Rows:
        rows = read(connection, request, key)
        kept = np.flatnonzero(rows.values.any(axis=0))
        values = np.ascontiguousarray(rows.values[:, kept])
        return Rows([key.take(kept) for key in rows.keys], values)

    join_worker._rows = thinned
