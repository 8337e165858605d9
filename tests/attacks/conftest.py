"""One running deployment for all attacks of a session, with its attackers' folders beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes.vault import Vault
from sandbox.client import Session
from sandbox.crypto.identity import Identity, Role
from sandbox.crypto.trust import Trust
from tests.attacks.attacker import Target, certify
from tests.endtoend import deployment


def add_rival(folder: Path) -> Identity:
    """Enrol and pin a second researcher, trusted everywhere as the first is."""
    rival = certify(folder / "rival", folder / "ca", "rival", Role.RESEARCHER)
    for file in ("config.toml", "trusted.json"):
        shutil.copy(folder / "researcher" / file, folder / "rival" / file)
    Trust(folder / "coordinator").accept(rival.public)
    for node in deployment.NODES:
        vault = Vault.open(folder / "nodes" / node, Identity.load(folder / "nodes" / node))
        vault.pins.pin(rival.public)
        vault.close()
    return rival


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("target") / "deployment"
    deployment.make(folder)
    rival = add_rival(folder)
    with deployment.running(folder):
        yield Target(folder, Identity.load(folder / "researcher"), rival)


@pytest.fixture(scope="session")
def session(target: Target) -> Iterator[Session]:
    with Session.open(target.folder / "researcher") as opened:
        yield opened
