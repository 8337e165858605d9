"""The same rows as every kind of source: CSV in several dialects, Parquet, DuckDB, a view."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Literal

import duckdb

from nodes import sources
from nodes.inspection import open_source
from nodes.sources import Source
from nodes.views import read_view
from sandbox.catalog import Column, ColumnType, DatasetCard, Member, Table
from sandbox.sql.algebra import Plan
from sandbox.sql.compile import fragment_sql, vector_from_rows
from sandbox.sql.plan import plan

CARD = DatasetCard(
    name="meters",
    columns=(
        Column("id", ColumnType.INTEGER),
        Column("kind", ColumnType.TEXT, domain=("house", "shop", 'naïve, "quoted"')),
        Column(
            "kwh",
            ColumnType.DECIMAL,
            lower=Decimal(0),
            upper=Decimal(500),
            scale=2,
            nullable=True,
        ),
        Column("phases", ColumnType.INTEGER, lower=Decimal(1), upper=Decimal(3)),
        Column("solar", ColumnType.BOOLEAN, nullable=True),
        Column(
            "since",
            ColumnType.DATE,
            lower=Decimal(14_610),
            upper=Decimal(18_262),
            nullable=True,
        ),
        Column(
            "read_at",
            ColumnType.TIMESTAMP,
            lower=Decimal(1_600_000_000),
            upper=Decimal(1_700_000_000),
            nullable=True,
        ),
    ),
    privacy_unit="id",
    row_bound=10_000,
    contribution_cap=2,
)
TABLE = Table("meters", CARD, (Member("node", "meters"),))
TYPES = (
    "id INTEGER, kind VARCHAR, kwh DECIMAL(12, 3), phases INTEGER, solar BOOLEAN, since DATE, "
    "read_at TIMESTAMP"
)

STATEMENTS = (
    "SELECT COUNT(*) FROM meters",
    "SELECT kind, COUNT(*), SUM(kwh), AVG(kwh), STDDEV(kwh), CORR(kwh, phases) FROM meters "
    "GROUP BY kind",
    "SELECT phases, COUNT(kwh), COUNT(DISTINCT id) FROM meters WHERE solar GROUP BY phases",
    "SELECT EXTRACT(month FROM since) AS m, COUNT(*) FROM meters GROUP BY m",
    "SELECT MEDIAN(kwh) FROM meters WHERE read_at >= TIMESTAMP '2021-06-01 12:00:00'",
)

Row = tuple[str, ...]
"""Texts as a CSV file holds them; the empty text is NULL."""


def make_rows(count: int = 600, seed: int = 1) -> list[Row]:
    """Return rows with units that repeat, NULLs, values beyond their bounds and equal rows."""
    chance = random.Random(seed)
    kinds = CARD.columns[1].domain
    rows: list[Row] = []
    for _ in range(count):
        rows.append(
            (
                str(chance.randrange(count // 3)),
                str(chance.choice(kinds)),
                chance.choice(["", f"{chance.gauss(250, 200):.3f}"]),
                str(chance.randrange(1, 5)),
                chance.choice(["", "true", "false"]),
                chance.choice(
                    ["", f"20{chance.randrange(8, 24):02}-{chance.randrange(1, 13):02}-11"]
                ),
                chance.choice(["", f"2021-0{chance.randrange(1, 10)}-03 04:05:06"]),
            )
        )
    return rows + rows[:20]


def write_csv(
    path: Path,
    rows: list[Row],
    *,
    delimiter: str = ",",
    quoting: Literal[0, 1] = csv.QUOTE_MINIMAL,
    newline: str = "\n",
    encoding: str = "utf-8",
) -> Path:
    """Write `rows` under the card's header."""
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=newline)
        writer.writerow([column.name for column in CARD.columns])
        writer.writerows(rows)
    return path


def _plain_csv(folder: Path, rows: list[Row]) -> Source:
    return open_source(write_csv(folder / "plain.csv", rows))


def _semicolons(folder: Path, rows: list[Row]) -> Source:
    """As Excel writes it in half of the world: semicolons, a byte order mark, CRLF."""
    file = folder / "excel.csv"
    return open_source(write_csv(file, rows, delimiter=";", newline="\r\n", encoding="utf-8-sig"))


def _all_quoted(folder: Path, rows: list[Row]) -> Source:
    return open_source(
        write_csv(folder / "quoted.tsv", rows, delimiter="\t", quoting=csv.QUOTE_ALL)
    )


def _padded_units(folder: Path, rows: list[Row]) -> Source:
    """Every other unit written with blanks and a leading zero: still the same integers."""
    padded = [(f" 0{row[0]} " if n % 2 else row[0], *row[1:]) for n, row in enumerate(rows)]
    return open_source(write_csv(folder / "padded.csv", padded))


def _table(rows: list[Row]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    connection.execute(f"CREATE TABLE meters ({TYPES})")
    cells = [[cell or None for cell in row] for row in rows]
    connection.executemany(f"INSERT INTO meters VALUES ({', '.join('?' * len(rows[0]))})", cells)
    return connection


def _parquet(folder: Path, rows: list[Row]) -> Source:
    path = folder / "meters.parquet"
    with _table(rows) as connection:
        connection.execute(f"COPY meters TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)")
    return open_source(path)


def _parquet_folder(folder: Path, rows: list[Row]) -> Source:
    """Three files, one of them in a folder below."""
    parts = folder / "meters"
    (parts / "older").mkdir(parents=True)
    for n, name in enumerate(("b", "a", "older/c")):
        with _table(rows[n::3]) as connection:
            connection.execute(f"COPY meters TO '{parts / name}.parquet' (FORMAT parquet)")
    return open_source(parts)


def _duckdb(folder: Path, rows: list[Row]) -> Source:
    path = folder / "plant.duckdb"
    with _table(rows) as connection:
        connection.execute(f"ATTACH '{path}' AS plant")
        connection.execute("CREATE TABLE plant.meters AS FROM meters")
        connection.execute("CREATE TABLE plant.other AS SELECT 1 AS id")
        connection.execute("DETACH plant")
    return open_source(path, "meters")


def _view(folder: Path, rows: list[Row]) -> Source:
    """A local join: one half of the columns from CSV, the other from Parquet."""
    numbered = [(str(n), *row) for n, row in enumerate(rows)]
    with (folder / "left.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["n", "id", "kind", "kwh"])
        writer.writerows(row[:4] for row in numbered)
    with _table(rows) as connection:
        connection.execute(
            "COPY (SELECT row_number() OVER () - 1 AS n, phases, solar, since, read_at FROM meters)"
            f" TO '{folder / 'right.parquet'}' (FORMAT parquet)"
        )
    inputs = {
        "base": open_source(folder / "left.csv"),
        "rows": open_source(folder / "right.parquet"),
    }
    sql = (
        "SELECT base.* EXCLUDE (n), rows.* EXCLUDE (n) "
        "FROM base JOIN rows ON base.n::INT = rows.n -- all;"
    )
    return read_view(sql, inputs, "meters")


KINDS: dict[str, Callable[[Path, list[Row]], Source]] = {
    "csv": _plain_csv,
    "csv with semicolons, BOM and CRLF": _semicolons,
    "csv with tabs, all quoted": _all_quoted,
    "csv with padded units": _padded_units,
    "parquet": _parquet,
    "parquet folder": _parquet_folder,
    "duckdb": _duckdb,
    "view": _view,
}
"""Every kind of source; each makes one of the given rows."""


def planned(statement: str, table: Table = TABLE) -> Plan:
    """Return the plan of `statement` over `table`."""
    return plan(statement, {table.name: table})


def run_fragment(source: Source, fragment: Plan, **settings: str | int) -> list[int]:
    """Return what a worker's session computes, in this process."""
    columns = [column.name for column in fragment.table.card.columns]
    with duckdb.connect(":memory:") as connection:
        sources.open_locked(connection, source, columns, settings)
        rows = connection.execute(fragment_sql(fragment, sources.RELATION)).fetchall()
    return vector_from_rows(fragment, rows)
