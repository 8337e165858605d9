"""Our own system in the join benchmark: real nodes, mutual TLS, policy, noise and receipts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from benchmarks.deployment import DELTA, WIDE
from benchmarks.serials import VALUES, Tables
from benchmarks.systems import Kind, Outcome, Run, rows_of
from nodes.datasets import register
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox import local
from sandbox.catalog import Column, ColumnType, DatasetCard
from sandbox.client import Session
from sandbox.crypto.identity import Identity
from sandbox.privacy.allocate import MATCHING_DELTA, MATCHING_EPSILON
from sandbox.privacy.policy import ANY, default_policy
from sandbox.processes import LOG_FILE, Processes
from sandbox.query import Stated

OWNERS = ("left", "right")
DATASETS = {"serials": "parquet", "serials_csv": "csv"}
"""What each owner's node offers, by its file's format."""
EPSILON = Decimal(1)
POLL_S = 0.002
COUNT_MATCHED = (
    "SELECT COUNT(*) AS matched FROM left.serials WHERE id IN (SELECT id FROM right.serials)"
)
COUNT_AND_SUM = (
    "SELECT COUNT(*) AS matched, SUM(r.value) AS total "
    "FROM left.serials l JOIN right.serials r ON l.id = r.id"
)


@dataclass(frozen=True)
class Fedsandbox:
    """Two providers and the coordinator; a run is from `q.run()` to the opened answer, of a join of ids
    to the file closed at the receiver."""

    name: str = "fedsandbox"
    system: str = "fedsandbox"
    kinds: tuple[Kind, ...] = (
        Kind("blind", "parquet"),
        Kind("prepared", "parquet"),
        Kind("verified", "parquet"),
        Kind("psi", "parquet"),
        Kind("psi", "csv"),
    )
    against: tuple[str, ...] = ()

    @contextmanager
    def ready(self, tables: Tables, folder: Path) -> Iterator[Run]:
        """Start the deployment and open a researcher's session."""
        plant = folder / "deployment"
        make(plant, tables)
        with Processes(plant, local.programs(plant)) as processes:
            processes.start(health=local.health_check(plant))
            with Session.open(plant / "researcher") as session:
                if any(kind.mode == PREPARED for kind in self.kinds):
                    prepare(session)

                def run(kind: Kind, scratch: Path) -> Outcome:
                    if kind.io == "csv":
                        return join_ids(session, plant)
                    return ask(session, kind.mode, scratch)

                yield run


def make(folder: Path, tables: Tables) -> None:
    """Make the deployment: each owner's node offers its files, and allows joins."""
    local.init(folder, OWNERS)
    for owner, files in zip(OWNERS, (tables.left, tables.right), strict=True):
        node = folder / "nodes" / owner
        vault = Vault.open(node, Identity.load(node))
        registry = Registry(vault)
        policy = replace(
            default_policy(),
            version=1,
            researchers=(ANY,),
            join_modes=("blind", "psi"),
            disclose_ids_to=OWNERS,
            researcher_budget=replace(WIDE, extra_delta=Decimal(DELTA)),
            dataset_budget=replace(WIDE, extra_delta=Decimal(DELTA)),
        )
        for name, kind in DATASETS.items():
            register(registry, name, files[kind], replace(card(tables.rows), name=name))
            registry.set_policy(name, policy)
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


PREPARED = "prepared"
"""The mode `blind` over a matching that was prepared before, under this name, untimed."""
VERIFIED = "verified"
"""The mode `blind` where the owners check what the coordinator does."""
MALICIOUS = "malicious"
"""The mode `psi` where it holds against owners who depart from it."""
STATEMENTS = {
    "blind": COUNT_AND_SUM,
    PREPARED: COUNT_AND_SUM,
    VERIFIED: COUNT_AND_SUM,
    "psi": COUNT_MATCHED,
    MALICIOUS: COUNT_MATCHED,
}


def asked(mode: str) -> Stated:
    """Return what a mode asks beside its statement."""
    return {
        "malicious": mode == MALICIOUS,
        "verify": mode == VERIFIED,
        "prepared": PREPARED if mode == PREPARED else None,
    }


def prepare(session: Session) -> None:
    """Let the nodes keep a matching, at what a join of its own would spend on it."""
    epsilon, delta = EPSILON * MATCHING_EPSILON, Decimal(DELTA) * MATCHING_DELTA
    left, right = (f"{owner}.serials" for owner in OWNERS)
    session.prepare(PREPARED, left, right, on="id", epsilon=epsilon, delta=delta).run()


def ask(session: Session, mode: str, scratch: Path) -> Outcome:
    """Ask a mode's statement, with the column `matched`, and write the answer as Parquet."""
    import pyarrow.parquet as pq

    query = session.sql(STATEMENTS[mode])
    started = time.perf_counter()
    result = query.run(epsilon=EPSILON, delta=Decimal(DELTA), **asked(mode))
    answer = result.to_arrow()
    pq.write_table(answer, scratch / "answer.parquet")
    seconds = time.perf_counter() - started
    row = answer.to_pylist()[0]
    return Outcome(
        matched=round(row["matched"]),
        seconds=seconds,
        interval=(int(row["matched_low"]), int(row["matched_high"])),
    )


def join_ids(session: Session, plant: Path) -> Outcome:
    """Join ids of both CSV files; timed until the receiver's node has renamed the file, closed and on
    disk, which is before the job ends."""
    node = plant / "nodes" / OWNERS[0]
    joined_files = node / "joined"
    joined_files.mkdir(mode=0o700, exist_ok=True)
    before = _finished(joined_files)
    ids = session.join("left.serials_csv", "right.serials_csv", on="id")
    with ThreadPoolExecutor(1) as beside:
        started = time.perf_counter()
        running = beside.submit(ids.run)
        # Listed without pathlib: at each poll that would take from what is measured.
        while not (found := _finished(joined_files) - before) and not running.done():
            time.sleep(POLL_S)
        seconds = time.perf_counter() - started
        joined = running.result()
    (name,) = found
    file = joined_files / name
    assert file == node / joined.file
    took = phases_of(node, joined.job_id)
    return Outcome(
        matched=rows_of(file),
        seconds=seconds,
        in_memory_s=took["hashing"] + took["matching"],
    )


def _finished(folder: Path) -> set[str]:
    return {name for name in os.listdir(folder) if name.endswith(".csv")}


def phases_of(node: Path, job: str) -> dict[str, float]:
    """Return the seconds of a join's phases, from the log of a node."""
    lines = (node / LOG_FILE).read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if f"join {job} took " in line)
    found: dict[str, float] = json.loads(line.partition(" took ")[2])
    return found
