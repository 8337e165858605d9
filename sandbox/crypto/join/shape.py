"""What every party of a join knows of it beforehand: it follows from the job and the cards alone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from sandbox import _native
from sandbox.crypto.join.machine import FRAME_BYTES
from sandbox.errors import ProtocolError

TAG_BYTES = 16
WORD_BYTES, WIDE_BYTES = 8, 16
FALSE_MATCH_BITS = 40
"""Minus the logarithm of how probably pseudorandom tags meet that are of different keys."""
MOST_ROWS = 1 << 27
MOST_COLUMNS = 64
"""Of one member: what the kernels take."""
MOST_JOINS = 1000
MOST_MEMBERS = 5
MOST_PRODUCTS = 4096
"""Of one join of more than two."""

CHECKING_BYTES = 5
"""By how many a verified join's words are longer: a shifted product passes with probability 2^-40."""
CHECK_KEYS = 4096
"""Keys that both members of a verified join add, and that must match: who leaves out a share f of all
matches leaves out none of these with probability of about exp(-4096 f)."""
MATCHING_COLUMNS, MATCHING_WIDTH = 2, 6
"""By which a matching is checked: columns of either member, bytes of a word."""


class Stage(StrEnum):
    """What of a join runs: of more than two members always the whole."""

    WHOLE = "whole"
    MATCH = "match"
    """The members keep their slots, and nothing is multiplied."""
    MULTIPLY = "multiply"
    """Over slots that the members have kept; no tag is sent."""


@dataclass(frozen=True)
class Shape:
    """One join among `members` (fingerprints, in the order of the statement's sides).

    rows: each one's declared bound on join keys. columns: how many per-key columns each brings.
    dummies: rows that each adds, of which a number that the coordinator does not know match.
    products: of more than two members, what is multiplied and summed over common keys: a column of
    each, None for who takes no part; of two, all columns with all, and nothing is said here. stage:
    which part of it runs. width: bytes of a word of the result's ring, if two members join. verify:
    whether the members check what the coordinator does (docs/decisions/019).
    """

    members: tuple[str, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    dummies: int
    products: tuple[tuple[int | None, ...], ...] = ()
    stage: Stage = Stage.WHOLE
    width: int = WORD_BYTES
    verify: bool = False

    @property
    def padded(self) -> tuple[int, ...]:
        """How many tags each member sends."""
        return tuple(rows + self.dummies for rows in self.rows)

    @property
    def slots(self) -> int:
        """How many slots there are: enough for all rows if none matched."""
        return sum(self.padded)

    @property
    def tag_bytes(self) -> int:
        """How much of a tag is sent: any two different ones are equal in it with probability 2^-41."""
        return min(TAG_BYTES, -(-(FALSE_MATCH_BITS + 2 * self.slots.bit_length()) // 8))

    @property
    def patterns(self) -> tuple[int, ...]:
        """The sets of two and more members that may share a tag, as bits by place."""
        return patterns(len(self.members))

    @property
    def check_keys(self) -> int:
        """How many of the dummies both members know to match."""
        return CHECK_KEYS if self.verify else 0

    @property
    def word_bytes(self) -> int:
        """Bytes by which a word of masked columns goes."""
        return self.width + (CHECKING_BYTES if self.verify else 0)

    @property
    def dealt_bytes(self) -> int:
        """Bytes of what the coordinator hands the left member: of all columns that are sent."""
        left, right = self.sent_columns
        return left * right * (WIDE_BYTES if self.verify else WORD_BYTES)

    @property
    def sent_columns(self) -> tuple[int, ...]:
        """How many masked columns each member sends: the left one's are checked by one more."""
        left, *others = self.columns
        return (left + 1, *others) if self.verify else self.columns

    @property
    def of_matching(self) -> Shape:
        """The multiplication by which a verified join's members check their slots."""
        columns = (MATCHING_COLUMNS,) * len(self.members)
        return replace(self, columns=columns, width=MATCHING_WIDTH, verify=False)

    @property
    def chunks_per_frame(self) -> int:
        """How many chunks of slots a frame of columns has: of whichever member brings most."""
        chunk = self.word_bytes * _native.SLOTS_PER_CHUNK * max(self.sent_columns)
        return max(1, FRAME_BYTES // chunk)


def patterns(members: int) -> tuple[int, ...]:
    """Return all sets of two and more of so many members, as bits by place."""
    return tuple(bits for bits in range(1 << members) if bits.bit_count() > 1)


def write_shapes(shapes: list[Shape]) -> bytes:
    """Return the first frame that a member sends to the coordinator: no shape if it needs no dealer."""
    return json.dumps([asdict(shape) for shape in shapes]).encode()


def read_shapes(frame: bytes | memoryview, party: str) -> list[Shape]:
    """Read `write_shapes`' frame; raises ProtocolError SB-4010 for anything else or out of limits."""
    try:
        documents = json.loads(bytes(frame))
        shapes = [_shape(document) for document in documents]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ProtocolError("SB-4010", party=party) from error
    if len(shapes) > MOST_JOINS:
        raise ProtocolError("SB-4010", party=party)
    return shapes


def _shape(document: dict[str, Any]) -> Shape:
    members = tuple(str(member) for member in document["members"])
    rows = _numbers(document["rows"], len(members), 0, MOST_ROWS)
    columns = _numbers(document["columns"], len(members), 1, MOST_COLUMNS)
    (dummies,) = _numbers([document["dummies"]], 1, 0, MOST_ROWS)
    if len(set(members)) != len(members) or not 2 <= len(members) <= MOST_MEMBERS:
        raise ValueError("members")
    products = tuple(_product(product, columns) for product in document["products"])
    if (len(members) > 2) != bool(products) or len(set(products)) != len(products):
        raise ValueError("products")
    if len(products) > MOST_PRODUCTS:
        raise ValueError("products")
    stage = Stage(document["stage"])
    if stage is not Stage.WHOLE and len(members) > 2:
        raise ValueError("stage")
    (width,) = _numbers([document["width"]], 1, 1, WORD_BYTES)
    verify = document["verify"]
    if type(verify) is not bool or (verify and len(members) > 2):
        raise ValueError("verify")
    if verify and stage is not Stage.MULTIPLY and dummies < CHECK_KEYS:
        raise ValueError("dummies")
    return Shape(members, rows, columns, dummies, products, stage, width, verify)


def _product(values: Any, columns: tuple[int, ...]) -> tuple[int | None, ...]:
    product = tuple(values)
    if len(product) != len(columns) or len(product) - product.count(None) < 2:
        raise ValueError("products")
    for column, most in zip(product, columns, strict=True):
        if column is not None and not (type(column) is int and 0 <= column < most):
            raise ValueError("products")
    return product


def _numbers(values: Any, count: int, least: int, most: int) -> tuple[int, ...]:
    numbers = tuple(values)
    if len(numbers) != count or not all(type(n) is int and least <= n <= most for n in numbers):
        raise ValueError("numbers")
    return numbers
