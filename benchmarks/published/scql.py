"""The tutorial of SecretFlow SCQL (github.com/secretflow/scql, Apache-2.0): two parties, one join.

SCQL's own run prints 336016.22 for the income of rank 6: its fixed point rounds; the rows say 336017.5.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from benchmarks.published.model import (
    OCCURRING,
    Dataset,
    Rows,
    Statement,
    Workload,
    occurring,
    text,
)
from sandbox.catalog import Column, ColumnType, DatasetCard

PEOPLE = 100
TEXT = """SELECT ta.credit_rank, COUNT(*) AS cnt, AVG(ta.income) AS avg_income,
AVG(tb.order_amount) AS avg_amount FROM {ta} AS ta INNER JOIN {tb} AS tb ON ta.ID = tb.ID
WHERE ta.age >= 20 AND ta.age <= 30 AND tb.is_active = 1 GROUP BY ta.credit_rank"""
KNOWN: Rows = [
    (6, 4, Decimal("336017.5"), Decimal("5499.425")),
    (5, 6, Decimal("18070.0"), Decimal("7743.4667")),
]
CREDIT = DatasetCard(
    "user_credit",
    (
        text("ID", key=True),
        Column("credit_rank", ColumnType.INTEGER, domain=tuple(range(1, 9))),
        Column("income", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(1_000_000)),
        Column("age", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(120)),
    ),
    "ID",
    PEOPLE,
)
STATS = DatasetCard(
    "user_stats",
    (
        text("ID", key=True),
        Column(
            "order_amount", ColumnType.DECIMAL, lower=Decimal(0), upper=Decimal(100_000), scale=1
        ),
        Column("is_active", ColumnType.INTEGER, domain=(0, 1)),
    ),
    "ID",
    PEOPLE,
)


def _files(data: Path, _: Path) -> dict[str, Path]:
    return {"ta": data / "alice_user_credit.csv", "tb": data / "bob_user_stats.csv"}


WORKLOAD = Workload(
    name="scql",
    datasets=(Dataset("alice", CREDIT, "ta"), Dataset("bob", STATS, "tb")),
    names={"ta": "alice.user_credit", "tb": "bob.user_stats"},
    statements=(Statement("tutorial", TEXT, (occurring(TEXT),), OCCURRING, KNOWN),),
    files=_files,
)
