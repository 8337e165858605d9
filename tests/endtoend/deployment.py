"""A whole deployment of real processes for tests: three plants with machines, one collection."""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from nodes.datasets import register
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox import local
from sandbox.catalog import Collection, Column, ColumnType, DatasetCard, Member
from sandbox.client import Session
from sandbox.crypto.identity import Identity
from sandbox.processes import Processes, Program
from sandbox.tables import COLLECTION_KIND
from tests.attacks import broken

NODES = ("a", "b", "c")
ROWS = 400
TESTS = Path(__file__).resolve().parent.parent
PLAIN_NODE = TESTS / "plain_node.py"
SHIFTING_COORDINATOR = TESTS / "shifting_coordinator.py"
COUNTING_COORDINATOR = TESTS / "counting_coordinator.py"

CARD = DatasetCard(
    name="machines",
    columns=(
        Column("id", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(100_000)),
        Column("kind", ColumnType.TEXT, domain=("L", "M", "H")),
        Column(
            "torque",
            ColumnType.DECIMAL,
            lower=Decimal(0),
            upper=Decimal(80),
            scale=1,
            nullable=True,
            magnitude=Decimal(40),
        ),
        Column(
            "speed",
            ColumnType.INTEGER,
            lower=Decimal(1000),
            upper=Decimal(3000),
            magnitude=Decimal(1500),
        ),
        Column("failed", ColumnType.BOOLEAN),
    ),
    privacy_unit="id",
    row_bound=1000,
    typical_rows=ROWS,
)


def write_rows(path: Path, seed: int, rows: int = ROWS) -> None:
    """Write one plant's machines."""
    chance = random.Random(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in CARD.columns])
        for number in range(rows):
            torque = "" if chance.random() < 0.05 else f"{chance.gauss(40, 12):.2f}"
            writer.writerow(
                [
                    seed * 10_000 + number,
                    chance.choice("LLLMMH"),
                    torque,
                    int(chance.gauss(1500, 200)),
                    chance.random() < 0.1,
                ]
            )


def make(folder: Path) -> None:
    """Make the deployment in `folder` with its data and the collection `machines`."""
    parties = {party.identity.name: party for party in local.init(folder, NODES)}
    members = tuple(Member(parties[name].identity.fingerprint, "machines") for name in NODES)
    collection = Collection("machines", CARD, members).to_document()
    signed = [
        Identity.load(folder / "nodes" / name).sign(COLLECTION_KIND, collection) for name in NODES
    ]
    for seed, name in enumerate(NODES):
        node = folder / "nodes" / name
        write_rows(node / "machines.csv", seed)
        vault = Vault.open(node, Identity.load(node))
        registry = Registry(vault)
        register(registry, "machines", node / "machines.csv", CARD)
        for document in signed:
            registry.store_collection(document)
        vault.close()


@contextmanager
def running(
    folder: Path, *, plain: bool = False, coordinator: Path | None = None
) -> Iterator[Processes]:
    """Run the deployment's processes; `plain`: with noiseless nodes; `coordinator`: with a coordinator
    of tests' own."""
    programs = [
        replace(program, command=_command(program, coordinator, plain=plain))
        for program in local.programs(folder)
    ]
    with Processes(folder, programs) as processes:
        processes.start(90, health=local.health_check(folder))
        yield processes


def _command(program: Program, coordinator: Path | None, *, plain: bool) -> tuple[str, ...]:
    role = "plain" if plain and program.role == "node" else program.role
    if broken.active():
        return broken.command(role, program.folder)
    if role == "plain":
        return (sys.executable, str(PLAIN_NODE), str(program.folder))
    if coordinator is not None and program.role == "coordinator":
        return (sys.executable, str(coordinator), str(program.folder))
    return program.command


@contextmanager
def researcher(folder: Path) -> Iterator[Session]:
    """Open the researcher's session."""
    with Session.open(folder / "researcher") as session:
        yield session


def left(session: Session) -> list[dict[str, Any]]:
    """Return what is left at each node, whenever it renews: the period of a budget that nothing was
    charged to has not begun, so its end moves on with every minute."""
    found = session.budget()
    for error in found.unanswered.values():
        raise error
    return [{key: value for key, value in line.items() if key != "renews"} for line in found]
