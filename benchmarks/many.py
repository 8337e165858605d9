"""Joins of three to five tables in `blind`: real nodes and the coordinator on this machine, from
`q.run()` to the opened answer, beside what explain predicts. Half of each table's keys are in all."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.deployment import DELTA, WIDE, running
from benchmarks.memory import Peak
from benchmarks.report import parser, spread, write
from nodes.datasets import register
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox import local
from sandbox.catalog import Column, ColumnType, DatasetCard
from sandbox.client import Session
from sandbox.crypto.identity import Identity
from sandbox.privacy.policy import ANY, default_policy

OWNERS = "abcde"
GROUPS = 3
EPSILON = Decimal(1)
RUNS = (
    (3, 16, False),
    (3, 18, False),
    (3, 20, False),
    (4, 18, True),
    (5, 16, False),
    (5, 16, True),
)
"""Tables, log2 of their rows, and whether by two groups of three values."""


def card(owner: str, rows: int) -> DatasetCard:
    """Return the card of an owner's table: a key is a privacy unit."""
    columns = (
        Column("id", ColumnType.INTEGER, join_key=True, lower=Decimal(0), upper=Decimal(10**9)),
        Column("value", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(99)),
        Column("kind", ColumnType.INTEGER, domain=tuple(range(GROUPS))),
    )
    return DatasetCard(f"t{owner}", columns, "id", row_bound=rows, typical_rows=rows)


def make(folder: Path, owners: str, rows: int) -> None:
    """Make a deployment; the keys of the n-th table begin at n / (2 (tables - 1)) of the rows."""
    local.init(folder, tuple(owners))
    for number, owner in enumerate(owners):
        table, file = card(owner, rows), folder / f"{owner}.parquet"
        first = number * rows // (2 * (len(owners) - 1))
        duckdb.execute(
            f"COPY (SELECT i + {first} AS id, (hash(i * 5 + {number}) % 100)::BIGINT AS value, "
            f"(hash(i * 7 + {number}) % {GROUPS})::BIGINT AS kind FROM range({rows}) t(i)) "
            f"TO '{file}' (FORMAT parquet)"
        )
        node = folder / "nodes" / owner
        vault = Vault.open(node, Identity.load(node))
        registry = Registry(vault)
        register(registry, table.name, file, table)
        allowed = replace(default_policy(), version=1, researchers=(ANY,), join_modes=("blind",),
                          researcher_budget=replace(WIDE, extra_delta=Decimal(DELTA)),
                          dataset_budget=replace(WIDE, extra_delta=Decimal(DELTA)))  # fmt: skip
        registry.set_policy(table.name, allowed)
        vault.close()


def statement(owners: str, *, grouped: bool) -> str:
    """Return COUNT and SUM of a product of the first and last table's values."""
    first, *others = owners
    kinds = f"{first}.kind, {others[0]}.kind" if grouped else ""
    joins = "".join(f" JOIN {o}.t{o} AS {o} ON {o}.id = {first}.id" for o in others)
    return (
        f"SELECT {kinds}{', ' if grouped else ''}COUNT(*) AS matched, "
        f"SUM({first}.value * {owners[-1]}.value) AS total FROM {first}.t{first} AS {first}{joins}"
        + (" GROUP BY 1, 2" if grouped else "")
    )


def measured(tables: int, rows: int, repeat: int, *, grouped: bool) -> dict[str, Any]:
    """Return what one join took, run after run."""
    owners = OWNERS[:tables]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "deployment"
        make(folder, owners, rows)
        with Peak() as peak, running(folder), Session.open(folder / "researcher") as session:
            query = session.sql(statement(owners, grouped=grouped))
            told = query.explain(epsilon=EPSILON, delta=DELTA)
            seconds, matched = [], 0.0
            for _ in range(repeat):
                started = time.perf_counter()
                result = query.run(epsilon=EPSILON, delta=DELTA)
                seconds.append(time.perf_counter() - started)
                matched = sum(row["matched"] for row in result.to_arrow().to_pylist())
    return {
        "tables": tables,
        "rows": rows,
        "groups": GROUPS**2 if grouped else 1,
        "matched": round(matched),
        "seconds": spread(seconds),
        "predicted_s": round(told.seconds, 3),
        "predicted_bytes": told.bytes,
        "peak_mib": round(peak.largest_mib),
    }


def main() -> None:
    """Measure and write."""
    options = parser(__doc__ or "")
    options.add_argument("--repeat", type=int, default=3)
    chosen = options.parse_args()
    runs = [
        measured(tables, 1 << log, chosen.repeat, grouped=grouped) for tables, log, grouped in RUNS
    ]
    write("many", {"runs": runs}, chosen.json)


if __name__ == "__main__":
    main()
