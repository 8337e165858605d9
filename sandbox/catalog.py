"""What is declared about data: dataset cards and collections. Never a statistic of the rows.

A card is written by the data's owner (TOML) and is all that planning may use: types, bounds,
domains, grades, the privacy unit and how many rows it may have. A collection joins datasets of one
schema at several nodes into one table; every member's owner signs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from sandbox.errors import InputError

WIDEST_COLUMN = 2**52
"""Largest magnitude of a bound in units of the column's scale: doubles hold it exactly."""

Document = dict[str, Any]
"""A JSON object."""


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
    `magnitude`: a typical size of the value, for error targets; `spread`: a typical standard
    deviation, for predicted errors (a quarter of the range if undeclared).
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
    spread: Decimal | None = None
    join_key: bool = False
    normaliser: str = ""
    description: dict[str, str] = field(default_factory=dict, hash=False)

    def written(self, bound: Decimal) -> str:
        """Return a bound as people write it: a number, or an ISO date or time."""
        epoch = datetime(1970, 1, 1)
        try:
            if self.type is ColumnType.DATE:
                return (epoch + timedelta(days=int(bound))).date().isoformat()
            if self.type is ColumnType.TIMESTAMP:
                return (epoch + timedelta(seconds=int(bound))).isoformat(" ")
        except OverflowError:  # Beyond the years 1 to 9999.
            pass
        return f"{bound:f}"


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

    @property
    def occurrences(self) -> int:
        """At how many members one unit may occur: at all of them where the card says that units span
        nodes, else at every dataset of one node, since each bounds its own rows."""
        if self.card.units_span_nodes:
            return len(self.members)
        nodes = [member.node for member in self.members]
        return max(map(nodes.count, nodes))


@dataclass(frozen=True)
class Collection:
    """Datasets of one schema at several nodes, queried as one table; signed by each member's owner."""

    name: str
    card: DatasetCard
    members: tuple[Member, ...]

    def table(self) -> Table:
        """Return the table that FROM names."""
        return Table(self.name, self.card, self.members)

    def to_document(self) -> Document:
        """Return the body that the owners sign."""
        return {"version": 1, **table_to_document(self.table())}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Collection:
        """Read `to_document`'s object; raises InputError SB-1290 where it is none."""
        table = table_from_document({k: v for k, v in document.items() if k != "version"})
        return cls(table.name, table.card, table.members)


def table_to_document(table: Table) -> Document:
    """Return a table as a JSON object."""
    return {
        "name": table.name,
        "card": card_to_document(table.card),
        "members": [{"node": m.node, "dataset": m.dataset} for m in table.members],
    }


def table_from_document(document: Mapping[str, Any]) -> Table:
    """Read `table_to_document`'s object; raises InputError SB-1290 where it is none."""
    try:
        members = tuple(Member(m["node"], m["dataset"]) for m in document["members"])
        return Table(document["name"], card_from_document(document["card"]), members)
    except (KeyError, TypeError) as error:
        raise InputError("SB-1290") from error


def card_to_document(card: DatasetCard) -> Document:
    """Return a card as a JSON object: exact numbers as strings, enums by name or value."""
    document = {name: getattr(card, name) for name in _CARD_FIELDS}
    document["grade"] = card.grade.name
    document["columns"] = [_column_to_document(column) for column in card.columns]
    return document


def card_from_document(document: Mapping[str, Any]) -> DatasetCard:
    """Read `card_to_document`'s object; raises InputError SB-1290 where it is none."""
    try:
        values = {name: document[name] for name in _CARD_FIELDS}
        values["grade"] = Grade[document["grade"]]
        values["columns"] = tuple(_column_from_document(column) for column in document["columns"])
        return DatasetCard(**values)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise InputError("SB-1290") from error


def schema_of(card: DatasetCard) -> Document:
    """Return what members of a collection must share: all but name and description."""
    document = card_to_document(card)
    return {k: v for k, v in document.items() if k not in ("name", "description")}


_CARD_FIELDS = tuple(field.name for field in fields(DatasetCard))
_COLUMN_FIELDS = tuple(field.name for field in fields(Column))
_DECIMALS = ("lower", "upper", "magnitude", "spread")


def _column_to_document(column: Column) -> Document:
    document = {name: getattr(column, name) for name in _COLUMN_FIELDS}
    document["type"] = column.type.value
    document["grade"] = column.grade.name
    document["domain"] = list(column.domain)
    for name in _DECIMALS:
        value = getattr(column, name)
        document[name] = None if value is None else f"{value:f}"
    return document


def _column_from_document(document: Mapping[str, Any]) -> Column:
    values = {name: document[name] for name in _COLUMN_FIELDS}
    values["type"] = ColumnType(document["type"])
    values["grade"] = Grade[document["grade"]]
    values["domain"] = tuple(document["domain"])
    for name in _DECIMALS:
        values[name] = None if document[name] is None else Decimal(document[name])
    return Column(**values)
