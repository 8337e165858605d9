"""What is declared about data: dataset cards and collections. Never a statistic of the rows.

A card is written by the data's owner (TOML) and is all that planning may use: types, bounds,
domains, grades, the privacy unit and how many rows it may have. A collection joins datasets of one
schema at several nodes into one table; every member's owner signs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from sandbox.errors import InputError

WIDEST_COLUMN = 2**52
"""Largest magnitude of a bound in units of the column's scale: doubles hold it exactly."""

MOST_DIGITS = 9
"""Decimal digits that a column may keep."""
MOST_ROWS = 10**12
MOST_CONTRIBUTED = 10**6
MOST_EXPONENT = 30
"""Sizes that a card may declare lie between 1e-30 and 1e30: doubles hold what is made of them."""

NORMALISERS = ("", "lower", "email", "phone", "serial")
"""How a join key's text may be brought to one form; sandbox/sql/keys.py says how each does."""

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
    deviation, for predicted errors (a quarter of the range if undeclared). `join_key`: rows may be
    matched with another provider's by this column, read as `normaliser` says; `multiplicity`: rows
    with one value that count in a join.
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
    multiplicity: int = 1
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
        table = Table(document["name"], card_from_document(document["card"]), members)
    except (KeyError, TypeError) as error:
        raise InputError("SB-1290") from error
    if not all(type(text) is str for m in members for text in (table.name, m.node, m.dataset)):
        raise InputError("SB-1290")
    return table


def card_to_document(card: DatasetCard) -> Document:
    """Return a card as a JSON object: exact numbers as strings, enums by name or value."""
    document = {name: getattr(card, name) for name in _CARD_FIELDS}
    document["grade"] = card.grade.name
    document["columns"] = [_column_to_document(column) for column in card.columns]
    return document


def card_from_document(document: Mapping[str, Any]) -> DatasetCard:
    """Read `card_to_document`'s object; raises InputError SB-1290 where it is none.

    Whoever signed it, it keeps every rule that an owner's card must keep before he may register it.
    """
    try:
        values = {name: document[name] for name in _CARD_FIELDS}
        values["grade"] = Grade[document["grade"]]
        values["columns"] = tuple(_column_from_document(column) for column in document["columns"])
        card = DatasetCard(**values)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise InputError("SB-1290") from error
    typed = _typed(card, _CARD_TYPES) and all(_typed(c, _COLUMN_TYPES) for c in card.columns)
    if not typed or card_fault(card) is not None:
        raise InputError("SB-1290")
    return card


KeyPath = tuple[str | int, ...]


def card_fault(card: DatasetCard) -> tuple[KeyPath, str] | None:
    """Return the key (as a path) of the first value that does not fit, and the rule; None if all do."""
    return next(_faults(card), None)


# Each looks further only if nothing before was wrong: who asks takes the first.


def _faults(card: DatasetCard) -> Iterator[tuple[KeyPath, str]]:
    for key, value, least, most in (
        ("row_bound", card.row_bound, 1, MOST_ROWS),
        ("contribution_cap", card.contribution_cap, 1, MOST_CONTRIBUTED),
        ("typical_rows", card.typical_rows, 0, MOST_ROWS),
    ):
        if not least <= value <= most:
            yield (key,), f"{least} <= {key} <= {most}"
    seen: set[str] = set()
    for number, column in enumerate(card.columns):
        if column.name.lower() in seen:
            yield ("columns", number, "name"), "duplicate"
        seen.add(column.name.lower())
        for key, rule in _column_faults(column):
            yield ("columns", number, key), rule
    if card.privacy_unit not in {column.name for column in card.columns}:
        yield ("privacy_unit",), ", ".join(column.name for column in card.columns)


def _column_faults(column: Column) -> Iterator[tuple[str, str]]:
    if not 0 <= column.scale <= MOST_DIGITS:
        yield "scale", f"0 <= scale <= {MOST_DIGITS}"
    if column.scale and column.type is not ColumnType.DECIMAL:
        yield "scale", ColumnType.DECIMAL.value
    yield from _bounds_faults(column)
    if any(not _is_of(column.type, value) for value in column.domain):
        yield "domain", column.type.value
    if len(set(column.domain)) != len(column.domain):
        yield "domain", "duplicate"
    for key, size in (("magnitude", column.magnitude), ("spread", column.spread)):
        if size is not None and not (size.is_finite() and abs(size.adjusted()) <= MOST_EXPONENT):
            yield key, f"1e-{MOST_EXPONENT} <= |{key}| <= 1e{MOST_EXPONENT}"
    if column.spread is not None and column.spread <= 0:
        yield "spread", "spread > 0"
    if column.normaliser not in NORMALISERS:
        yield "normaliser", ", ".join(filter(None, NORMALISERS))
    if not 1 <= column.multiplicity <= MOST_CONTRIBUTED:
        yield "multiplicity", f"1 <= multiplicity <= {MOST_CONTRIBUTED}"


def _bounds_faults(column: Column) -> Iterator[tuple[str, str]]:
    lower, upper = column.lower, column.upper
    if (lower is None) != (upper is None):
        yield "upper" if lower is None else "lower", "both bounds"
    if lower is None or upper is None:
        return
    if column.type in (ColumnType.TEXT, ColumnType.BOOLEAN):
        yield "lower", "numbers and dates"
    widest = Decimal(WIDEST_COLUMN).scaleb(-column.scale)
    for key, bound in (("lower", lower), ("upper", upper)):
        if not bound.is_finite() or bound.copy_abs() > widest:
            yield key, f"|{key}| <= {widest:f}"
        if bound != round(bound, column.scale):
            yield key, f"scale {column.scale}"
    if lower > upper:
        yield "upper", "lower <= upper"


def _is_of(kind: ColumnType, value: object) -> bool:
    if kind is ColumnType.TEXT:
        return isinstance(value, str)
    if kind is ColumnType.BOOLEAN:
        return isinstance(value, bool)
    return kind is ColumnType.INTEGER and isinstance(value, int) and not isinstance(value, bool)


def schema_of(card: DatasetCard) -> Document:
    """Return what members of a collection must share: all but name and description."""
    document = card_to_document(card)
    return {k: v for k, v in document.items() if k not in ("name", "description")}


def _typed(value: DatasetCard | Column, types: Mapping[str, type]) -> bool:
    """Tell whether fields have these very types: in JSON true is no number, and 1 is no text."""
    return all(type(getattr(value, name)) is kind for name, kind in types.items()) and all(
        isinstance(text, str) for text in value.description.values()
    )


_CARD_TYPES = {
    "name": str,
    "privacy_unit": str,
    "row_bound": int,
    "contribution_cap": int,
    "unit_domain": str,
    "units_span_nodes": bool,
    "typical_rows": int,
    "description": dict,
}
_COLUMN_TYPES = {
    "name": str,
    "unit": str,
    "scale": int,
    "nullable": bool,
    "join_key": bool,
    "normaliser": str,
    "multiplicity": int,
    "description": dict,
}
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
