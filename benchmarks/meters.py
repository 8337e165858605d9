"""Generated data: meters of eight regions, several readings of a meter."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import duckdb

from sandbox.catalog import Column, ColumnType, DatasetCard

REGIONS = tuple(f"region {number}" for number in range(8))
QUERY = (
    "SELECT region, COUNT(*) AS readings, SUM(kwh) AS total, AVG(kwh) AS mean, "
    "STDDEV(kwh) AS spread, CORR(kwh, price) AS tie FROM meters GROUP BY region"
)
SMALL_QUERY = "SELECT region, COUNT(*) AS readings, AVG(kwh) AS mean FROM meters GROUP BY region"


def card(row_bound: int) -> DatasetCard:
    """Return the card of `write`'s files: a meter is the privacy unit, one reading of it counts."""
    return DatasetCard(
        name="meters",
        columns=(
            Column("meter", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(10**9)),
            Column("region", ColumnType.TEXT, domain=REGIONS),
            Column(
                "kwh",
                ColumnType.DECIMAL,
                lower=Decimal(0),
                upper=Decimal(500),
                scale=1,
                magnitude=Decimal(120),
            ),
            Column(
                "price",
                ColumnType.DECIMAL,
                lower=Decimal(0),
                upper=Decimal(2),
                scale=2,
                magnitude=Decimal(1),
            ),
        ),
        privacy_unit="meter",
        row_bound=row_bound,
        contribution_cap=1,
        typical_rows=row_bound,
    )


def write(folder: Path, nodes: Mapping[str, int], rows: int, readings: int = 4) -> dict[str, Path]:
    """Write `rows` rows for each node (name to seed) as Parquet, `readings` of a meter on average."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, seed in nodes.items():
        files[name] = folder / f"{name}.parquet"
        with duckdb.connect(":memory:", config={"threads": 1}) as connection:
            connection.execute(f"SELECT setseed({0.1 * (seed + 1)})")
            connection.execute(
                f"""COPY (
                SELECT ({seed * rows} + floor(random() * {max(rows // readings, 1)}))::BIGINT AS meter,
                    'region ' || floor(random() * 8)::INTEGER AS region,
                    round(least(500, greatest(0, 120 + 60 * (random() + random() - 1))), 1)
                        ::DECIMAL(5, 1) AS kwh,
                    round(random() * 2, 2)::DECIMAL(4, 2) AS price
                FROM range({rows})) TO '{files[name]}' (FORMAT parquet)"""
            )
    return files
