"""The deployment that is measured: real nodes over mutual TLS, with policy, noise and receipts.

Nothing is switched off. Only the budgets are wide, so that a hundred queries fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from nodes.datasets import register
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox import local
from sandbox.catalog import Collection, DatasetCard, Member
from sandbox.cli.joining import join
from sandbox.coordinator.enrolment import invite
from sandbox.crypto.identity import Identity, Role
from sandbox.crypto.trust import Trust
from sandbox.privacy.budget import BudgetLimits
from sandbox.privacy.policy import ANY, default_policy
from sandbox.processes import Processes
from sandbox.tables import COLLECTION_KIND

NODES = ("a", "b", "c")
DELTA = "0.000001"
WIDE = BudgetLimits(Decimal(900), Decimal(DELTA), timedelta(days=90), Decimal(1000))
INVITATION_S = 600.0


def make(folder: Path, card: DatasetCard, files: Mapping[str, Path]) -> None:
    """Make a deployment of NODES in `folder`, each offering its file, and a collection of them."""
    parties = {party.identity.name: party.identity for party in local.init(folder, NODES)}
    members = tuple(Member(parties[name].fingerprint, card.name) for name in NODES)
    collection = Collection(card.name, card, members).to_document()
    signed = [Identity.load(_node(folder, n)).sign(COLLECTION_KIND, collection) for n in NODES]
    policy = replace(
        default_policy(), version=1, researchers=(ANY,), researcher_budget=WIDE, dataset_budget=WIDE
    )
    for name in NODES:
        vault = Vault.open(_node(folder, name), Identity.load(_node(folder, name)))
        registry = Registry(vault)
        register(registry, card.name, files[name], card)
        registry.set_policy(card.name, policy)
        for document in signed:
            registry.store_collection(document)
        vault.close()


@contextmanager
def running(folder: Path) -> Iterator[Processes]:
    """Run the deployment's processes until the end of the block."""
    with Processes(folder, local.programs(folder)) as processes:
        processes.start(health=local.health_check(folder))
        yield processes


def enrol(folder: Path, name: str) -> Path:
    """Enrol one more researcher at the running deployment, as in production; return his profile."""
    profile = folder / name
    token = invite(folder / "coordinator", Role.RESEARCHER, name, INVITATION_S)
    researcher = join(token, profile, (Role.RESEARCHER,))
    for node in NODES:
        identity = Identity.load(_node(folder, node))
        Trust(profile).accept(identity.public)
        vault = Vault.open(_node(folder, node), identity)
        vault.pins.pin(researcher)
        vault.close()
    return profile


def _node(folder: Path, name: str) -> Path:
    return folder / "nodes" / name
