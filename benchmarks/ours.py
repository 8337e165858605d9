"""Our own system in the join benchmark: real nodes, mutual TLS, policy, noise and receipts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from benchmarks.deployment import DELTA, WIDE
from benchmarks.serials import VALUES, Tables
from benchmarks.systems import Kind, Outcome, Run
from nodes.datasets import register
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox import local
from sandbox.catalog import Column, ColumnType, DatasetCard
from sandbox.client import Session
from sandbox.crypto.identity import Identity
from sandbox.privacy.policy import ANY, default_policy
from sandbox.processes import Processes

OWNERS = ("left", "right")
EPSILON = Decimal(1)
COUNT_MATCHED = (
    "SELECT COUNT(*) AS matched FROM left.serials WHERE id IN (SELECT id FROM right.serials)"
)
COUNT_AND_SUM = (
    "SELECT COUNT(*) AS matched, SUM(r.value) AS total "
    "FROM left.serials l JOIN right.serials r ON l.id = r.id"
)


@dataclass(frozen=True)
class Fedsandbox:
    """Two providers and the coordinator; a run is from `q.run()` to the opened, verified answer."""

    name: str = "fedsandbox"
    system: str = "fedsandbox"
    kinds: tuple[Kind, ...] = (Kind("blind", "parquet"), Kind("psi", "parquet"))
    against: tuple[str, ...] = ()

    @contextmanager
    def ready(self, tables: Tables, folder: Path) -> Iterator[Run]:
        """Start the deployment and open a researcher's session."""
        plant = folder / "deployment"
        make(plant, tables)
        with Processes(plant, local.programs(plant)) as processes:
            processes.start(health=local.health_check(plant))
            with Session.open(plant / "researcher") as session:

                def run(kind: Kind, scratch: Path) -> Outcome:
                    return ask(session, STATEMENTS[kind.mode], scratch)

                yield run


def make(folder: Path, tables: Tables) -> None:
    """Make the deployment: each owner's node offers its Parquet file, and allows joins."""
    local.init(folder, OWNERS)
    for owner, files in zip(OWNERS, (tables.left, tables.right), strict=True):
        node = folder / "nodes" / owner
        vault = Vault.open(node, Identity.load(node))
        registry = Registry(vault)
        register(registry, "serials", files["parquet"], card(tables.rows))
        policy = replace(
            default_policy(),
            version=1,
            researchers=(ANY,),
            join_modes=("blind", "psi"),
            researcher_budget=replace(WIDE, extra_delta=Decimal(DELTA)),
            dataset_budget=replace(WIDE, extra_delta=Decimal(DELTA)),
        )
        registry.set_policy("serials", policy)
        vault.close()


def card(rows: int) -> DatasetCard:
    """Return the card of either owner's table."""
    value = Column("value", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(VALUES - 1))
    return DatasetCard(
        name="serials",
        columns=(Column("id", ColumnType.TEXT, join_key=True), value),
        privacy_unit="id",
        row_bound=rows,
        typical_rows=rows,
    )


STATEMENTS = {"blind": COUNT_AND_SUM, "psi": COUNT_MATCHED}


def ask(session: Session, statement: str, scratch: Path) -> Outcome:
    """Ask a statement with the column `matched`, and write the answer as Parquet."""
    import pyarrow.parquet as pq

    query = session.sql(statement)
    started = time.perf_counter()
    result = query.run(epsilon=EPSILON, delta=Decimal(DELTA))
    answer = result.to_arrow()
    pq.write_table(answer, scratch / "answer.parquet")
    seconds = time.perf_counter() - started
    row = answer.to_pylist()[0]
    return Outcome(
        matched=round(row["matched"]),
        seconds=seconds,
        interval=(int(row["matched_low"]), int(row["matched_high"])),
    )
