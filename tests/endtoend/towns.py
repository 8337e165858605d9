"""A deployment over the town of tests/sql: six owners, two of whose tables are a collection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from nodes.datasets import register
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox import local
from sandbox.catalog import Collection, Member
from sandbox.client import Session
from sandbox.crypto.identity import Identity
from sandbox.privacy.budget import BudgetLimits
from sandbox.privacy.policy import ANY, Policy
from sandbox.tables import COLLECTION_KIND
from tests.endtoend import deployment
from tests.sql.town import CARDS, VISITS, Town

NODES = tuple(sorted({name[0] for name in CARDS}))
VISITED = ("c", "d")
"""Who has a part of the collection `visits`."""

_PLENTY = BudgetLimits(
    Decimal(1000), Decimal("0.1"), timedelta(days=90), Decimal(1000), Decimal("0.1")
)
POLICY = Policy(
    researchers=(ANY,),
    minimum_group_size=1,
    maximum_cells=65_536,
    epsilon_max=Decimal(100),
    researcher_budget=_PLENTY,
    dataset_budget=_PLENTY,
    join_modes=("blind", "psi"),
)


@contextmanager
def asked(folder: Path, town: Town) -> Iterator[Session]:
    """Make the deployment in `folder` and run it without noise; yields its researcher's session."""
    make(folder, town)
    with deployment.running(folder, plain=True), deployment.researcher(folder) as session:
        yield session


def make(folder: Path, town: Town) -> None:
    """Make the deployment in `folder`: every second node has Parquet files, the others CSV."""
    parties = {party.identity.name: party.identity for party in local.init(folder, NODES)}
    members = tuple(Member(parties[name].fingerprint, VISITS.name) for name in VISITED)
    collection = Collection(VISITS.name, VISITS, members).to_document()
    signatures = [
        Identity.load(folder / "nodes" / name).sign(COLLECTION_KIND, collection) for name in VISITED
    ]
    for place, name in enumerate(NODES):
        node = folder / "nodes" / name
        vault = Vault.open(node, Identity.load(node))
        registry = Registry(vault)
        for dataset in CARDS:
            if dataset.startswith(name):
                _register(registry, node, town, dataset, parquet=place % 2 == 1)
        for signature in signatures if name in VISITED else ():
            registry.store_collection(signature)
        vault.close()


def _register(registry: Registry, node: Path, town: Town, dataset: str, *, parquet: bool) -> None:
    card = CARDS[dataset]
    kind, form = ("parquet", "FORMAT parquet") if parquet else ("csv", "HEADER")
    path = node / f"{card.name}.{kind}"
    town.connection.execute(f"COPY {dataset} TO '{path}' ({form})")
    register(registry, card.name, path, card)
    registry.set_policy(card.name, POLICY)
