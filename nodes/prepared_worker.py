"""A worker's part of a prepared matching: which slot each key has, kept in a file of its node.

Where no key and no unit repeats and rows have an order (a file or table, no view), a statement's rows
find their slots by their number in the unchanged source. Else they find them by their key's hash under
a key that is in this file alone. Neither needs a message.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nodes import blind_worker
from sandbox import _native
from sandbox.crypto.join import blind
from sandbox.crypto.join.blind import Kept
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.keys import KeyHashes
from sandbox.crypto.join.pool import KEY_BYTES, Rows
from sandbox.crypto.join.shape import TAG_BYTES, Shape
from sandbox.crypto.join.words import Words
from sandbox.disposable import Header

if TYPE_CHECKING:
    from nodes.join_worker import Wire

Places = NDArray[np.intp]
Keys = Sequence[pa.ChunkedArray]
"""Columns of keys, none twice."""

ORDERED = {"preserve_insertion_order": "true"}
"""The setting of a session whose rows are to come as the source has them."""
SEED = bytes(32)
"""Of a join at home, whose slots nobody else sees."""


@dataclass(frozen=True)
class Facts:
    """What a file says of its matching beside the slots. version: digest of the data, as registered;
    dummies: of each member; rows: how many the source has where slots go by number, else 0."""

    version: str
    dummies: int
    rows: int


def prepare(
    request: Header,
    wire: Wire,
    pairs: Mapping[str, Pair],
    shapes: Sequence[Shape],
    read: Callable[[], tuple[Keys, int]],
    hold: Callable[[], None],
) -> None:
    """Match keys with the other member's, and write down which slot each has.

    read: returns the keys, and how many rows the source has if they are theirs, number for number, else
    0. hold: see `blind_worker.filled`.
    """
    found: list[tuple[Keys, int]] = []

    def numbered() -> Rows:
        found.append(read())
        keys, _ = found[0]
        return Rows(keys, np.arange(len(keys[0]), dtype=np.uint64).reshape(1, -1))

    (member,) = blind_worker.filled(request, wire, pairs, shapes, numbered, hold)
    assert isinstance(member, blind.Filled), "two members prepare"
    ((keys, rows),) = found
    kept = wire.drive(member.keep(request["coordinator"], os.urandom))
    taking_part = member.pool.values[0, : member.pool.rows].astype(np.intp)
    write(
        request["keep"], Facts(request["version"], shapes[0].dummies, rows), kept, keys, taking_part
    )


def write(file: str, facts: Facts, kept: Kept, keys: Keys, taking_part: Places) -> None:
    """Write a matching that nobody but this node's owner reads, and wait until it is on disk.

    taking_part: which of the keys have the first slots of `kept`.
    """
    secret = os.urandom(KEY_BYTES)
    said = {**asdict(facts), "common": kept.common.hex(), "secret": secret.hex()}
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        for part in (
            np.frombuffer(json.dumps(said).encode(), np.uint8),
            kept.slots,
            taking_part.astype(np.uint32),
            _tags(KeyHashes(keys, secret))[taking_part],
        ):
            np.save(opened, part)
        opened.flush()
        os.fsync(opened.fileno())


def facts_of(file: Path) -> Facts:
    """Return what a file says of its matching; raises OSError where there is none."""
    with file.open("rb") as opened:
        said = _said(opened)
    return Facts(said["version"], said["dummies"], said["rows"])


def by_number(file: str, values: Words) -> tuple[Kept, Words]:
    """Return the slots, and the values of rows that come as the source has them and have one.

    Raises ValueError for another number of rows: then the source is not the one that was matched.
    """
    with open(file, "rb") as opened:
        said, slots, places = _said(opened), np.load(opened), np.load(opened)
    if values.shape[1] != said["rows"]:
        raise ValueError("rows")
    if len(places) < said["rows"]:
        values = values[:, places]
    return Kept(slots, bytes.fromhex(said["common"])), np.ascontiguousarray(values)


def by_key(file: str, rows: Rows) -> tuple[Kept, Words]:
    """Return the slots, and their keys' values of rows of distinct keys: zeros where there is no row."""
    with open(file, "rb") as opened:
        said = _said(opened)
        slots, _, tags = (np.load(opened) for _ in range(3))
    hashed = KeyHashes(rows.keys, bytes.fromhex(said["secret"]))
    places = np.flatnonzero(hashed.present)
    # Equal tags share a number; which numbers they are is nobody's business.
    known, asked = (
        np.frombuffer(memoryview(each), np.uint32)
        for each in _native.match_tags([tags.tobytes(), _tags(hashed)[places].tobytes()], SEED)
    )
    key_of = np.full(len(known) + len(asked), -1, np.int64)
    key_of[known] = np.arange(len(known))
    own = key_of[asked]
    values = np.zeros((len(rows.values), len(known)), np.uint64)
    values[:, own[own >= 0]] = rows.values[:, places[own >= 0]]
    return Kept(slots, bytes.fromhex(said["common"])), values


def _said(opened: IO[bytes]) -> Header:
    """Return the first part of a file: slots, places and tags of keys come after it."""
    said: Header = json.loads(np.load(opened).tobytes())
    return said


def _tags(hashed: KeyHashes) -> NDArray[np.uint8]:
    return np.frombuffer(memoryview(hashed.tags), np.uint8).reshape(-1, TAG_BYTES)
