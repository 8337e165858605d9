"""The demo's deployment: three firms with their tables, their cards as files, one collection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sandbox import local
from sandbox.cards import card_toml
from sandbox.catalog import Collection, DatasetCard, Member
from sandbox.crypto.identity import Identity, Signed
from sandbox.demo.machines import FIRMS, JOINED, MACHINES, records, write_rows
from sandbox.tables import COLLECTION_KIND

Table = tuple[Path, DatasetCard]
"""A file of rows and the card that declares them."""


def make(folder: Path) -> Path:
    """Make the deployment in `folder` (new or empty); return a file with the rows of all firms."""
    parties = {party.identity.name: party.identity for party in local.init(folder, tuple(FIRMS))}
    members = tuple(Member(parties[node].fingerprint, MACHINES.name) for node in FIRMS)
    collection = Collection(MACHINES.name, MACHINES, members).to_document()
    signatures = [
        Identity.load(folder / "nodes" / node).sign(COLLECTION_KIND, collection) for node in FIRMS
    ]
    everything, tables = _write_tables(folder / "data")
    for node, own in tables.items():
        _register(folder / "nodes" / node, own, signatures)
    return everything


def _write_tables(data: Path) -> tuple[Path, dict[str, list[Table]]]:
    """Write each firm's rows and cards; return the file with all rows, and tables by node."""
    rows = records()
    tables: dict[str, list[Table]] = {}
    for node, kind in FIRMS.items():
        own = [row for row in rows if row["product_type"] == kind]
        tables[node] = [_write_table(data / node, MACHINES, own)]
    for node, card in JOINED.items():
        tables[node].append(_write_table(data / node, card, rows))
    everything = data / "all.csv"
    write_rows(everything, rows, [column.name for column in MACHINES.columns])
    return everything, tables


def _write_table(folder: Path, card: DatasetCard, rows: list[dict[str, str]]) -> Table:
    file = folder / f"{card.name}.csv"
    write_rows(file, rows, [column.name for column in card.columns])
    file.with_suffix(".toml").write_text(card_toml(card), encoding="utf-8")
    return file, card


def _register(node: Path, tables: list[Table], signatures: list[Signed]) -> None:
    from nodes.datasets import register
    from nodes.registry import Registry
    from nodes.vault import Vault

    vault = Vault.open(node, Identity.load(node))
    try:
        registry = Registry(vault)
        for file, card in tables:
            register(registry, card.name, file, card)
            if card in JOINED.values():
                allowed = replace(registry.policy(card.name), join_modes=("blind",))
                registry.set_policy(card.name, allowed)
        for signature in signatures:
            registry.store_collection(signature)
    finally:
        vault.close()
