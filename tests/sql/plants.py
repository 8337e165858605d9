"""Three plants with machines: cards, rows as their owners write them, and what those rows mean.

`meaning` is the reference of every differential test: clamped and rounded in Python, independently of
sandbox.sql. Rows hold what real files do: values out of bounds, odd spellings, unknown words, NULLs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal

import duckdb

from sandbox.catalog import Column, ColumnType, DatasetCard, Member, Table

EPOCH = date(1970, 1, 1)
NODES = ("a", "b", "c")
CAP = 3
KINDS = ("L", "M", "H")
LINES = ("north", "south", "east")
FIRST_DAY, LAST_DAY = date(2023, 1, 15), date(2024, 12, 31)
FIRST_SEEN = datetime(2024, 1, 1, tzinfo=UTC)
LAST_SEEN = datetime(2024, 3, 31, 23, 59, 59, tzinfo=UTC)

Raw = dict[str, str | None]
"""A row as it stands in a CSV file."""


def _days(day: date) -> Decimal:
    return Decimal((day - EPOCH).days)


CARD = DatasetCard(
    name="machines",
    columns=(
        Column("id", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(1_000_000)),
        Column("kind", ColumnType.TEXT, domain=KINDS),
        Column("line", ColumnType.TEXT, domain=LINES, nullable=True),
        Column(
            "torque",
            ColumnType.DECIMAL,
            lower=Decimal(0),
            upper=Decimal(80),
            scale=1,
            nullable=True,
            magnitude=Decimal(40),
        ),
        Column("speed", ColumnType.INTEGER, lower=Decimal(1000), upper=Decimal(3000)),
        Column("price", ColumnType.DECIMAL, lower=Decimal(-100), upper=Decimal(100), scale=2),
        Column("stars", ColumnType.INTEGER, domain=(1, 2, 3, 4, 5), nullable=True),
        Column("failed", ColumnType.BOOLEAN),
        Column("checked", ColumnType.BOOLEAN, nullable=True),
        Column("day", ColumnType.DATE, lower=_days(FIRST_DAY), upper=_days(LAST_DAY)),
        Column(
            "seen",
            ColumnType.TIMESTAMP,
            lower=Decimal(int(FIRST_SEEN.timestamp())),
            upper=Decimal(int(LAST_SEEN.timestamp())),
            nullable=True,
        ),
        Column("note", ColumnType.TEXT, nullable=True),
    ),
    privacy_unit="id",
    row_bound=1000,
    contribution_cap=CAP,
    typical_rows=300,
)
COLUMNS = tuple(column.name for column in CARD.columns)
DATASETS = ("a.machines", "a.pumps", "b.machines", "c.machines")


def catalogue() -> dict[str, Table]:
    """Return the tables: every dataset, and the collection `machines` of all nodes."""
    members = {name: Member(*name.split(".")) for name in DATASETS}
    tables = {name: Table(name, CARD, (member,)) for name, member in members.items()}
    machines = tuple(members[f"{node}.machines"] for node in NODES)
    return {**tables, "machines": Table("machines", CARD, machines)}


def raw_rows(seed: int, first_id: int, units: int, odd: bool = True) -> list[Raw]:
    """Return rows of `units` machines, one to CAP each; `odd`: with spellings that only text has."""
    chance = random.Random(seed)
    return [
        _raw_row(chance, first_id + unit, odd)
        for unit in range(units)
        for _ in range(chance.randint(1, CAP))
    ]


def _raw_row(chance: random.Random, unit: int, odd: bool) -> Raw:
    torque: str | None = f"{chance.gauss(40, 18):.2f}"
    if chance.random() < 0.1:
        torque = chance.choice(
            [None, "-7", "99.95", "1e9", "79.96", *(["1e1", " +5 "] if odd else [])]
        )
    seen: str | None = f"2024-{chance.randint(1, 3):02}-{chance.randint(1, 28):02} "
    seen += f"{chance.randint(0, 23):02}:{chance.randint(0, 59):02}:{chance.randint(0, 59):02}"
    if chance.random() < 0.15:
        unusual = [None, "2023-12-31 23:59:59", "2025-01-01 00:00:00", "2024-02-29 10:00:00.75"]
        seen = chance.choice([*unusual, *(["2024-01-31 23:30:00-02"] if odd else [])])
    day = date.fromordinal(chance.randint(FIRST_DAY.toordinal() - 20, LAST_DAY.toordinal() + 20))
    return {
        "id": f"0{unit}" if odd and chance.random() < 0.3 else str(unit),
        "kind": chance.choice("LLLMMH"),
        "line": chance.choice([*LINES, *LINES, "west", None]),
        "torque": torque,
        "speed": str(chance.choice([int(chance.gauss(2000, 600)), 900, 5000, 1000, 3000])),
        "price": f"{chance.uniform(-120, 120):.3f}",
        "stars": chance.choice(["1", "2", "3", "4", "5", "5", "9", None]),
        "failed": chance.choice(["true", "false", "false"]),
        "checked": chance.choice(["true", "false", None]),
        "day": day.isoformat(),
        "seen": seen,
        "note": chance.choice(["worn", "Worn out", "ok", "it's fine", "100%", "a_b", None]),
    }


def meaning(raw: Raw) -> tuple[object, ...]:
    """Return what the card says a row is, in the order of COLUMNS."""
    return (
        _number(raw["id"], 0, 1_000_000, 0),
        raw["kind"],
        raw["line"] if raw["line"] in LINES else None,
        _number(raw["torque"], 0, 80, 1),
        _number(raw["speed"], 1000, 3000, 0),
        _number(raw["price"], -100, 100, 2),
        int(raw["stars"]) if raw["stars"] in ("1", "2", "3", "4", "5") else None,
        raw["failed"] == "true",
        None if raw["checked"] is None else raw["checked"] == "true",
        min(max(date.fromisoformat(str(raw["day"])), FIRST_DAY), LAST_DAY),
        _moment(raw["seen"]),
        raw["note"],
    )


def _number(text: str | None, lower: int, upper: int, scale: int) -> Decimal | None:
    if text is None:
        return None
    clamped = min(max(Decimal(text.strip()), Decimal(lower)), Decimal(upper))
    return clamped.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    at = datetime.fromisoformat(text + ("+00:00" if "-02" not in text[10:] else ":00"))
    return min(max(at, FIRST_SEEN), LAST_SEEN).astimezone(UTC).replace(microsecond=0, tzinfo=None)


MEANT = {
    "id": "BIGINT",
    "kind": "VARCHAR",
    "line": "VARCHAR",
    "torque": "DECIMAL(5, 1)",
    "speed": "BIGINT",
    "price": "DECIMAL(6, 2)",
    "stars": "BIGINT",
    "failed": "BOOLEAN",
    "checked": "BOOLEAN",
    "day": "DATE",
    "seen": "TIMESTAMP",
    "note": "VARCHAR",
}
STORED = {**MEANT, "torque": "DECIMAL(18, 3)", "price": "DECIMAL(18, 3)"}
"""Types of a source that has types."""


def world(seed: int, units: int) -> dict[str, list[Raw]]:
    """Return the rows of every dataset; a machine is known at one node only."""
    return {
        name: raw_rows(
            seed + n, 1 + 10_000 * NODES.index(name[0]) + 40 * ("pumps" in name), units, odd
        )
        for n, (name, odd) in enumerate(zip(DATASETS, (True, True, False, False), strict=True))
    }


def union(rows: Mapping[str, list[Raw]]) -> duckdb.DuckDBPyConnection:
    """Return a database of what the rows mean: the reference that plain SQL runs over."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    columns = ", ".join(f"{name} {kind}" for name, kind in MEANT.items())
    for schema in NODES:
        connection.execute(f"CREATE SCHEMA {schema}")
    for name, raw in rows.items():
        connection.execute(f"CREATE TABLE {name} ({columns})")
        holes = ", ".join("?" * len(COLUMNS))
        connection.executemany(f"INSERT INTO {name} VALUES ({holes})", [meaning(r) for r in raw])
    members = " UNION ALL ".join(f"SELECT * FROM {node}.machines" for node in NODES)
    connection.execute(f"CREATE VIEW machines AS {members}")
    return connection


def store(connection: duckdb.DuckDBPyConnection, table: str, rows: list[Raw], typed: bool) -> None:
    """Create `table` as a source would give it: texts, or values of the stored types."""
    kinds = STORED if typed else dict.fromkeys(COLUMNS, "VARCHAR")
    columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    connection.execute(f"CREATE TABLE {table} ({columns})")
    values = ", ".join(f"CAST(?::VARCHAR AS {kind})" for kind in kinds.values())
    connection.executemany(
        f"INSERT INTO {table} VALUES ({values})", [[row[c] for c in COLUMNS] for row in rows]
    )
