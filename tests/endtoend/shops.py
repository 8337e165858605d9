"""A deployment of two owners for joins: people at one node, their purchases at another."""

from __future__ import annotations

import csv
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb

from nodes.datasets import register
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox import local
from sandbox.catalog import Column, ColumnType, DatasetCard
from sandbox.crypto.identity import Identity

PEOPLE = DatasetCard(
    name="people",
    columns=(
        Column("id", ColumnType.TEXT, join_key=True),
        Column("age", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(100), nullable=True),
        Column("region", ColumnType.TEXT, domain=("north", "south")),
    ),
    privacy_unit="id",
    row_bound=600,
    typical_rows=500,
)
PURCHASES = DatasetCard(
    name="purchases",
    columns=(
        Column("number", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(10_000)),
        Column("buyer", ColumnType.TEXT, join_key=True, nullable=True, multiplicity=3),
        Column(
            "amount",
            ColumnType.DECIMAL,
            lower=Decimal(0),
            upper=Decimal(500),
            scale=2,
            magnitude=Decimal(100),
        ),
        Column("kind", ColumnType.TEXT, domain=("a", "b", "c")),
    ),
    privacy_unit="number",
    row_bound=1000,
    typical_rows=800,
)


def write(folder: Path) -> None:
    """Write both owners' rows: half of the people bought something, some buyers are unknown."""
    chance = random.Random(7)
    with (folder / "people.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "age", "region"])
        for number in range(500):
            age = "" if chance.random() < 0.1 else chance.randint(1, 99)
            writer.writerow([f"P{number:04d}", age, chance.choice(["north", "south"])])
    with (folder / "purchases.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "buyer", "amount", "kind"])
        buyers = [n for n in range(250, 650) for _ in range(chance.choice([1, 1, 2, 3]))]
        for number, person in enumerate(buyers):
            buyer = "" if chance.random() < 0.05 else f"P{person:04d}"
            writer.writerow([number, buyer, f"{chance.uniform(0, 300):.2f}", chance.choice("abc")])


def make(folder: Path, row_bound: int | None = None) -> None:
    """Make the deployment in `folder`: node a holds people, node b purchases. row_bound: what both cards
    declare in place of their own."""
    local.init(folder, ("a", "b"))
    write(folder)
    for name, card in (("a", PEOPLE), ("b", PURCHASES)):
        declared = replace(card, row_bound=row_bound or card.row_bound)
        node = folder / "nodes" / name
        vault = Vault.open(node, Identity.load(node))
        registry = Registry(vault)
        register(registry, card.name, folder / f"{card.name}.csv", declared)
        allowed = replace(registry.policy(card.name), join_modes=("blind", "psi"))
        registry.set_policy(card.name, allowed)
        vault.close()


def duck(folder: Path) -> duckdb.DuckDBPyConnection:
    """Return both tables in one place, typed as their cards say."""
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA a; CREATE SCHEMA b")
    connection.execute(
        "CREATE TABLE a.people AS SELECT id, age::BIGINT AS age, region "
        f"FROM read_csv('{folder}/people.csv', header=true)"
    )
    connection.execute(
        "CREATE TABLE b.purchases AS SELECT number, buyer, amount::DECIMAL(18,2) AS amount, kind "
        f"FROM read_csv('{folder}/purchases.csv', header=true)"
    )
    return connection
