"""A town of six owners who know the same people: cards and rows for joins, with plain SQL beside them.

Rows stay within what the cards declare, so that plain SQL over them is what a joined plan must answer.
People are the units of `people` and `members`; elsewhere every row is a unit of its own. Keys are NULL,
unknown and repeated as often as the cards allow.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import duckdb

from sandbox.catalog import Column, ColumnType, DatasetCard, Member, Table
from sandbox.sql.keys import register

EPOCH = date(1970, 1, 1)
FIRST_DAY, LAST_DAY = date(2024, 1, 1), date(2024, 1, 20)
Rows = Mapping[str, Sequence[tuple[object, ...]]]


def _integer(name: str, low: int, high: int, nullable: bool = False) -> Column:
    return Column(
        name, ColumnType.INTEGER, lower=Decimal(low), upper=Decimal(high), nullable=nullable
    )


def _person(multiplicity: int, nullable: bool = True) -> Column:
    return Column(
        "person", ColumnType.INTEGER, join_key=True, multiplicity=multiplicity, nullable=nullable
    )


def _text(name: str, *domain: str, nullable: bool = False) -> Column:
    return Column(name, ColumnType.TEXT, domain=domain, nullable=nullable)


def _level(*domain: int, nullable: bool = False) -> Column:
    return Column("level", ColumnType.INTEGER, domain=domain, nullable=nullable)


def _number(name: str) -> Column:
    return _integer(name, 0, 10**6)


def _days(day: date) -> Decimal:
    return Decimal((day - EPOCH).days)


PEOPLE = DatasetCard(
    "people",
    (
        _person(1, nullable=False),
        _integer("age", 0, 99, nullable=True),
        _text("region", "north", "south", nullable=True),
        Column("income", ColumnType.DECIMAL, lower=Decimal(0), upper=Decimal(1000), scale=1),
        Column("active", ColumnType.BOOLEAN, nullable=True),
        _level(1, 2, 3),
    ),
    "person",
    row_bound=200,
)
ORDERS = DatasetCard(
    "orders",
    (
        _number("number"),
        _person(4),
        Column("amount", ColumnType.DECIMAL, lower=Decimal(0), upper=Decimal(100), scale=2,
               nullable=True),
        _text("kind", "x", "y", "z", nullable=True),
        Column("paid", ColumnType.BOOLEAN),
        Column("day", ColumnType.DATE, lower=_days(FIRST_DAY), upper=_days(LAST_DAY)),
        _level(1, 2, 3, 4, nullable=True),
    ),
    "number",
    row_bound=400,
)  # fmt: skip
VISITS = DatasetCard(
    "visits",
    (_number("number"), _person(3), _integer("score", -10, 10, nullable=True),
     _text("ward", "a", "b"), Column("day", ColumnType.DATE, lower=_days(FIRST_DAY),
     upper=_days(LAST_DAY), nullable=True)),
    "number",
    row_bound=300,
)  # fmt: skip
NOTES = DatasetCard(
    "notes",
    (_number("number"), _person(2, nullable=False), _integer("weight", 1, 5),
     Column("flag", ColumnType.BOOLEAN, nullable=True)),
    "number",
    row_bound=200,
)  # fmt: skip
MEMBERS = DatasetCard(
    "members",
    (_person(1, nullable=False), _text("tier", "gold", "tin"), _integer("points", 0, 50)),
    "person",
    row_bound=100,
)
_SHOP = Column("shop", ColumnType.TEXT, join_key=True, multiplicity=20, normaliser="lower")
_WEEK = Column("week", ColumnType.INTEGER, join_key=True, multiplicity=3, nullable=True)
STOCK = DatasetCard(
    "stock", (_number("number"), _SHOP, _WEEK, _integer("pieces", 0, 30)), "number", row_bound=200
)
SALES = DatasetCard(
    "sales", (_number("number"), _SHOP, _WEEK, _integer("sold", 0, 9), _text("till", "p", "q")),
    "number", row_bound=200,
)  # fmt: skip
CARDS = {
    "a.people": PEOPLE, "b.orders": ORDERS, "c.visits": VISITS, "d.visits": VISITS,
    "e.notes": NOTES, "f.members": MEMBERS, "e.stock": STOCK, "f.sales": SALES,
}  # fmt: skip
TYPES = {
    ColumnType.INTEGER: "BIGINT", ColumnType.TEXT: "VARCHAR", ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.DATE: "DATE", ColumnType.DECIMAL: "DECIMAL(18, 2)",
}  # fmt: skip


def catalogue() -> dict[str, Table]:
    """Return every dataset as "node.dataset", and the collection `visits` of two nodes."""
    members = {name: Member(*name.split(".")) for name in CARDS}
    tables = {name: Table(name, card, (members[name],)) for name, card in CARDS.items()}
    both = (members["c.visits"], members["d.visits"])
    return {**tables, "visits": Table("visits", VISITS, both)}


def rows(seed: int, people: int) -> dict[str, list[tuple[object, ...]]]:
    """Return rows of every dataset about some of `people` people and some whom only one knows."""
    chance = random.Random(seed)

    def some(value: object, missing: float = 0.15) -> object:
        return None if chance.random() < missing else value

    def day() -> date:
        return FIRST_DAY + timedelta(days=chance.randint(0, (LAST_DAY - FIRST_DAY).days))

    def per_person(most: int) -> list[int | None]:
        found: list[int | None] = [None] * chance.randint(0, 3)
        for person in range(people + 4):
            found += [person] * chance.choice((0, 1, 1, most, chance.randint(0, most)))
        return found

    def visits(first: int) -> list[tuple[object, ...]]:
        return [
            (first + n, person, some(chance.randint(-10, 10)), chance.choice("ab"), some(day()))
            for n, person in enumerate(per_person(3))
        ]

    def shops() -> list[tuple[str, int | None]]:
        return [
            (shop, chance.choice((week, week, None)))
            for shop in ("Ost", "ost", "West", "Süd")
            for week in range(3)
            for _ in range(chance.choice((0, 1)))
        ]

    return {
        "a.people": [
            (person, some(chance.randint(0, 99)), some(chance.choice(("north", "south"))),
             Decimal(chance.randint(0, 10_000)) / 10, some(chance.random() < 0.5),
             chance.randint(1, 3))
            for person in range(people)
            if chance.random() < 0.9
        ],
        "b.orders": [
            (n, person, some(Decimal(chance.randint(0, 10_000)) / 100),
             some(chance.choice("xyz")), chance.random() < 0.5, day(), some(chance.randint(1, 4)))
            for n, person in enumerate(per_person(4))
        ],
        "c.visits": visits(0),
        "d.visits": visits(1000),
        "e.notes": [
            (n, person, chance.randint(1, 5), some(chance.random() < 0.5))
            for n, person in enumerate(p for p in per_person(2) if p is not None)
        ],
        "f.members": [
            (person, chance.choice(("gold", "tin")), chance.randint(0, 50))
            for person in range(people + 2)
            if chance.random() < 0.6
        ],
        "e.stock": [(n, *key, chance.randint(0, 30)) for n, key in enumerate(shops())],
        "f.sales": [
            (n, *key, chance.randint(0, 9), chance.choice("pq")) for n, key in enumerate(shops())
        ],
    }  # fmt: skip


@dataclass(frozen=True)
class Town:
    """A database with all rows under the names that statements use, and what relations to read."""

    connection: duckdb.DuckDBPyConnection
    names: Mapping[str, str]


def database(rows_: Rows, cards: Mapping[str, DatasetCard] = CARDS) -> Town:
    """Return the rows as tables "node.dataset" and the view `visits`."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    register(connection)
    for name, found in rows_.items():
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name.partition('.')[0]}")
        columns = ", ".join(f"{c.name} {TYPES[c.type]}" for c in cards[name].columns)
        connection.execute(f"CREATE TABLE {name} ({columns})")
        if found:
            holes = ", ".join("?" * len(cards[name].columns))
            connection.executemany(f"INSERT INTO {name} VALUES ({holes})", found)
    connection.execute(
        "CREATE VIEW visits AS SELECT * FROM c.visits UNION ALL SELECT * FROM d.visits"
    )
    return Town(connection, {name: name for name in rows_})
