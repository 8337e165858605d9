"""A worker's part of a semi-join: whose keys match is learnt, then counted, where the rows lie.

Each pair of a receiving and a sending member runs one intersection, in one order at every member. A
receiver's rows count whose key any sender has; what it learns never leaves the worker.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import reduce
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from nodes.join_worker import Wire
from sandbox.crypto.join import psi
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.keys import KeyHashes
from sandbox.disposable import Header
from sandbox.sql.compile import MATCHED

TAG_BYTES = 16


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


def _tags(keys: list[pa.Array], pair: Pair, most: int) -> memoryview:
    """Return `most` pseudonyms, random ones where there are fewer keys: how long the protocol takes
    must not tell how many there are. A key beyond the declared bound takes no part."""
    tags = memoryview(KeyHashes(keys, pair.key("psi keys")).tags)[: TAG_BYTES * most]
    return memoryview(b"".join((tags, os.urandom(TAG_BYTES * most - len(tags)))))


def _whole(value: Any) -> int:
    return int(value or 0)
