"""A deployment of three owners who know the same people: shops' two tables and, at a third, loans."""

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
from tests.endtoend import shops

LOANS = DatasetCard(
    name="loans",
    columns=(
        Column("number", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(10_000)),
        Column("borrower", ColumnType.TEXT, join_key=True, multiplicity=2),
        Column("years", ColumnType.INTEGER, lower=Decimal(1), upper=Decimal(30)),
        Column("state", ColumnType.TEXT, domain=("open", "paid"), nullable=True),
    ),
    privacy_unit="number",
    row_bound=700,
    typical_rows=500,
)
CARDS = {"a": shops.PEOPLE, "b": shops.PURCHASES, "c": LOANS}


def write(folder: Path) -> None:
    """Write all owners' rows: every second person from 100 to 600 has a loan or two."""
    shops.write(folder)
    chance = random.Random(8)
    with (folder / "loans.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "borrower", "years", "state"])
        borrowers = [n for n in range(100, 600, 2) for _ in range(chance.choice([1, 1, 2]))]
        for number, person in enumerate(borrowers):
            state = chance.choice(["open", "paid", ""])
            writer.writerow([number, f"P{person:04d}", chance.randint(1, 30), state])


def make(folder: Path) -> None:
    """Make the deployment in `folder`."""
    local.init(folder, tuple(CARDS))
    write(folder)
    for name, card in CARDS.items():
        node = folder / "nodes" / name
        vault = Vault.open(node, Identity.load(node))
        registry = Registry(vault)
        register(registry, card.name, folder / f"{card.name}.csv", card)
        allowed = replace(registry.policy(card.name), join_modes=("blind", "psi"))
        registry.set_policy(card.name, allowed)
        vault.close()


def duck(folder: Path) -> duckdb.DuckDBPyConnection:
    """Return all tables in one place, typed as their cards say."""
    connection = shops.duck(folder)
    connection.execute("CREATE SCHEMA c")
    connection.execute(
        "CREATE TABLE c.loans AS SELECT number, borrower, years::BIGINT AS years, state "
        f"FROM read_csv('{folder}/loans.csv', header=true)"
    )
    return connection
