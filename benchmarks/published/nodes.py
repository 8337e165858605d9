"""A deployment in which every owner of a workload has a node with what he offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from benchmarks.published.model import Dataset, Workload
from nodes.datasets import register
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox import local
from sandbox.crypto.identity import Identity
from sandbox.privacy.budget import BudgetLimits
from sandbox.privacy.policy import ANY, Policy, default_policy
from sandbox.tables import COLLECTION_KIND

_PLENTY = BudgetLimits(
    Decimal(1000), Decimal("0.1"), timedelta(days=90), Decimal(1000), Decimal("0.1")
)


def make(folder: Path, workload: Workload, files: Mapping[str, Path]) -> None:
    """Make the deployment in `folder`; files: what is to be registered, by table."""
    parties = {party.identity.name: party.identity for party in local.init(folder, workload.owners)}
    fingerprints = {name: party.fingerprint for name, party in parties.items()}
    for owner in workload.owners:
        node = folder / "nodes" / owner
        vault = Vault.open(node, Identity.load(node))
        registry = Registry(vault)
        for dataset in workload.datasets:
            if dataset.owner == owner:
                register(registry, dataset.card.name, _source(dataset, node, files), dataset.card)
                registry.set_policy(dataset.card.name, policy(registry, dataset.card.name))
        for name, members in workload.collections.items():
            document = workload.collection(name, fingerprints).to_document()
            for member in dict.fromkeys(each.partition(".")[0] for each in members):
                signer = Identity.load(folder / "nodes" / member)
                registry.store_collection(signer.sign(COLLECTION_KIND, document))
        vault.close()


def _source(dataset: Dataset, node: Path, files: Mapping[str, Path]) -> Path:
    if not dataset.view:
        return files[dataset.file]
    written = node / f"{dataset.card.name}.sql"
    written.write_text(dataset.view, encoding="utf-8")
    return written


def policy(registry: Registry, name: str) -> Policy:
    """Return a policy under which all statements fit and only groups of no rows are withheld."""
    return replace(
        default_policy(),
        version=registry.policy(name).version + 1,
        researchers=(ANY,),
        join_modes=("blind", "psi"),
        minimum_group_size=1,
        researcher_budget=_PLENTY,
        dataset_budget=_PLENTY,
    )
