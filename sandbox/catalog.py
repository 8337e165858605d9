"""What is declared about data: dataset cards and collections. Never a statistic of the rows.

A card is written by the data's owner (TOML) and is all that planning may use: types, bounds,
domains, grades, the privacy unit and how many rows it may have. A collection joins datasets of one
schema at several nodes into one table; every member's owner signs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum


class ColumnType(Enum):
    """Types a card can declare."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    TEXT = "text"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"


class Grade(Enum):
    """Class of a dataset or column, after GB/T 43697-2024: L1 public ... L4 core."""

    L1 = 1
    L2 = 2
    L3 = 3
    L4 = 4


@dataclass(frozen=True)
class Column:
    """One declared column.

    `lower`, `upper`: bounds a value is clamped to (numbers; ISO dates as days since 1970-01-01,
    timestamps as seconds). `scale`: decimal digits kept; a value is rounded to 10^-scale.
    `domain`: all values a text, integer or boolean column may take; others read as NULL.
    `magnitude`: a typical size of the value, for error targets.
    """

    name: str
    type: ColumnType
    grade: Grade = Grade.L2
    unit: str = ""
    lower: Decimal | None = None
    upper: Decimal | None = None
    scale: int = 0
    domain: tuple[str | int | bool, ...] = ()
    nullable: bool = False
    magnitude: Decimal | None = None
    join_key: bool = False
    normaliser: str = ""
    description: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class DatasetCard:
    """What a provider declares about one dataset.

    `contribution_cap`: rows of one privacy unit that count. `row_bound`: rows the dataset never
    exceeds. `typical_rows`: expected rows, for error targets. `unit_domain`: datasets of a node
    with the same unit_domain share one budget group. `units_span_nodes`: a unit may also occur at
    other members of a collection.
    """

    name: str
    columns: tuple[Column, ...]
    privacy_unit: str
    row_bound: int
    contribution_cap: int = 1
    unit_domain: str = ""
    units_span_nodes: bool = False
    typical_rows: int = 0
    grade: Grade = Grade.L2
    description: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Member:
    """One node's dataset in a table: the node's identity fingerprint and the dataset's name there."""

    node: str
    dataset: str


@dataclass(frozen=True)
class Table:
    """What FROM can name: a dataset (one member) or a collection (several), under one card."""

    name: str
    card: DatasetCard
    members: tuple[Member, ...]
