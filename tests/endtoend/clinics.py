"""A deployment of four owners who know the same people: shops' two tables, and loans of two banks, a
collection."""

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
from sandbox.catalog import Collection, Column, ColumnType, DatasetCard, Member
from sandbox.crypto.identity import Identity
from sandbox.tables import COLLECTION_KIND
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
CARDS = {"a": shops.PEOPLE, "b": shops.PURCHASES, "c": LOANS, "d": LOANS}
BANKS = ("c", "d")


def write(folder: Path) -> None:
    """Write all owners' rows: every second person from 100 to 600 has a loan or two, at either bank."""
    shops.write(folder)
    chance = random.Random(8)
    for name, first in zip(BANKS, (0, 5000), strict=True):
        with (folder / f"{name}-loans.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["number", "borrower", "years", "state"])
            people = chance.sample(range(100, 600), 250)
            borrowers = [n for n in people for _ in range(chance.choice([1, 1, 2]))]
            for number, person in enumerate(borrowers, first):
                state = chance.choice(["open", "paid", ""])
                writer.writerow([number, f"P{person:04d}", chance.randint(1, 30), state])


def make(folder: Path) -> None:
    """Make the deployment in `folder`."""
    parties = {party.identity.name: party.identity for party in local.init(folder, tuple(CARDS))}
    members = tuple(Member(parties[name].fingerprint, LOANS.name) for name in BANKS)
    collection = Collection(LOANS.name, LOANS, members).to_document()
    signatures = [
        Identity.load(folder / "nodes" / name).sign(COLLECTION_KIND, collection) for name in BANKS
    ]
    write(folder)
    for name, card in CARDS.items():
        node = folder / "nodes" / name
        vault = Vault.open(node, Identity.load(node))
        registry = Registry(vault)
        file = f"{name}-loans.csv" if name in BANKS else f"{card.name}.csv"
        register(registry, card.name, folder / file, card)
        allowed = replace(registry.policy(card.name), join_modes=("blind", "psi"))
        registry.set_policy(card.name, allowed)
        for signature in signatures if name in BANKS else ():
            registry.store_collection(signature)
        vault.close()


def duck(folder: Path) -> duckdb.DuckDBPyConnection:
    """Return all tables in one place, typed as their cards say."""
    connection = shops.duck(folder)
    for name in BANKS:
        connection.execute(f"CREATE SCHEMA {name}")
        connection.execute(
            f"CREATE TABLE {name}.loans AS SELECT number, borrower, years::BIGINT AS years, state "
            f"FROM read_csv('{folder}/{name}-loans.csv', header=true)"
        )
    connection.execute("CREATE VIEW loans AS FROM c.loans UNION ALL FROM d.loans")
    return connection
