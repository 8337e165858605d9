"""A deployment over the plants of tests/sql: text, Parquet and DuckDB sources, generous policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb

from nodes.datasets import register
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox import local
from sandbox.catalog import Collection, Member
from sandbox.crypto.identity import Identity
from sandbox.privacy.budget import BudgetLimits
from sandbox.privacy.policy import ANY, Policy
from sandbox.tables import COLLECTION_KIND
from tests.sql.plants import CARD, DATASETS, NODES, Raw, store

_PLENTY = BudgetLimits(Decimal(1000), Decimal("0.1"), timedelta(days=90), Decimal(1000))
POLICY = Policy(
    researchers=(ANY,),
    minimum_group_size=1,
    maximum_cells=65_536,
    epsilon_max=Decimal(100),
    researcher_budget=_PLENTY,
    dataset_budget=_PLENTY,
)


def make(folder: Path, rows: Mapping[str, list[Raw]]) -> None:
    """Make the deployment: node a has CSV files, b a Parquet file, c a DuckDB file."""
    parties = {party.identity.name: party for party in local.init(folder, NODES)}
    members = tuple(Member(parties[name].identity.fingerprint, "machines") for name in NODES)
    collection = Collection("machines", CARD, members).to_document()
    signed = [
        Identity.load(folder / "nodes" / name).sign(COLLECTION_KIND, collection) for name in NODES
    ]
    for name in NODES:
        node = folder / "nodes" / name
        vault = Vault.open(node, Identity.load(node))
        registry = Registry(vault)
        for dataset in DATASETS:
            if dataset.startswith(name):
                _register(registry, node, dataset, rows[dataset])
        for document in signed:
            registry.store_collection(document)
        vault.close()


def _register(registry: Registry, node: Path, dataset: str, rows: list[Raw]) -> None:
    owner, table = dataset.split(".")
    kind = {"a": "csv", "b": "parquet", "c": "duckdb"}[owner]
    path = node / f"{table}.{kind}"
    with duckdb.connect(str(path) if kind == "duckdb" else ":memory:") as connection:
        store(connection, table, rows, typed=kind != "csv")
        if kind != "duckdb":
            form = "HEADER" if kind == "csv" else "FORMAT parquet"
            connection.execute(f"COPY {table} TO '{path}' ({form})")
    card = replace(CARD, name=table)
    register(registry, table, path, card, table if kind == "duckdb" else None)
    registry.set_policy(table, POLICY)
