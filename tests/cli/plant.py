"""One running deployment for the everyday commands, with a dataset `spare` at each node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.cards import card_toml
from tests.cli.commands import ok
from tests.endtoend import deployment

COUNT = "SELECT kind, COUNT(*) AS n FROM machines GROUP BY kind"
SPEND = ("--epsilon", "0.2", "--delta", "0.000001")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("commands") / "plant"
    deployment.make(folder)
    spare = replace(deployment.CARD, name="spare", typical_rows=100)
    (folder / "spare.toml").write_text(card_toml(spare), encoding="utf-8")
    for seed, node in enumerate(deployment.NODES, start=10):
        deployment.write_rows(folder / f"{node}.csv", seed, 100)
        ok(
            *("node", "add-dataset", folder / "nodes" / node, folder / f"{node}.csv"),
            *("--card", folder / "spare.toml"),
        )
    with deployment.running(folder):
        yield folder


@pytest.fixture(scope="module")
def answered(plant: Path) -> dict[str, object]:
    """One query's JSON."""
    document = ok("query", COUNT, *SPEND, "--profile", plant, "--format", "json").json
    assert isinstance(document, dict)
    return document


def policy_with(plant: Path, node: str, version: int, old: str, new: str) -> Path:
    """Write the policy in force at a node with one thing changed; return the file."""
    profile = plant / "nodes" / node
    written = ok("node", "policy", "show", "--profile", profile).stdout
    assert old in written
    file = profile / "policy.toml"
    changed = written.replace(old, new).splitlines()
    lines = [f"version = {version}" if line.startswith("version") else line for line in changed]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file
