"""An owner's acts from the command line, and what a researcher sees of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from sandbox import local
from sandbox.errors import SandboxError
from tests.endtoend import deployment

STATEMENT = "SELECT COUNT(*) FROM machines"


def sandbox(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def registered(node: Path) -> list[str]:
    told = sandbox("node", "datasets", node, "--format", "json")
    return [dataset["name"] for dataset in json.loads(told.stdout)["datasets"]]


def test_owner_drafts_fills_in_registers_replaces_and_removes(tmp_path: Path) -> None:
    local.init(tmp_path / "plant", ["a"])
    node, file, card = tmp_path / "plant" / "nodes" / "a", tmp_path / "m.csv", tmp_path / "m.toml"
    file.write_text("meter,kwh\n1,2.5\n2,3.5\n")
    drafted = sandbox("node", "inspect", file, "--unit", "meter", "--name", "meters")
    card.write_text(drafted.stdout)

    refused = sandbox("node", "add-dataset", node, file, "--card", card)
    assert refused.returncode == 3
    line = 1 + drafted.stdout.splitlines().index('row_bound = "OWNER"')
    assert f"SB-1460 {card}, line {line}: 'row_bound'" in refused.stderr

    with_bounds = sandbox(
        *("node", "inspect", file, "--unit", "meter", "--name", "meters"),
        *("--bounds", "kwh=0:500", "--row-bound", "10"),
    )
    card.write_text(with_bounds.stdout)
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("meter,kwh\n1,2.5\n2,much\n")
    refused = sandbox("node", "add-dataset", node, wrong, "--card", card)
    assert refused.returncode == 3
    assert f"{wrong}, line 3: column 'kwh'" in refused.stderr
    assert registered(node) == []

    assert sandbox("node", "add-dataset", node, file, "--card", card).returncode == 0
    assert registered(node) == ["meters"]
    assert sandbox("node", "replace-data", node, "meters", wrong).returncode == 3
    file.write_text("meter,kwh\n1,2.5\n")
    assert sandbox("node", "replace-data", node, "meters", file).returncode == 0
    assert sandbox("node", "remove-dataset", node, "metres").returncode == 3
    assert sandbox("node", "remove-dataset", node, "meters").returncode == 0
    assert registered(node) == []


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("plant") / "plant"
    deployment.make(folder)
    with deployment.running(folder):
        yield folder


def remaining(folder: Path) -> Decimal:
    with deployment.researcher(folder) as session:
        return min(Decimal(line["epsilon_remaining"]) for line in session.budget())


def test_changed_file_fails_charged_without_a_cause_until_its_owner_replaces_it(
    plant: Path,
) -> None:
    node = plant / "nodes" / "a"
    with deployment.researcher(plant) as session:
        session.sql(STATEMENT).run(epsilon=0.1, delta=0)
        before = remaining(plant)
        deployment.write_rows(node / "machines.csv", 0, rows=17)
        with pytest.raises(SandboxError) as failed:
            session.sql(STATEMENT).run(epsilon=0.1, delta=0)
    told = f"{failed.value} {failed.value.facts}"
    for word in ("change", "SB-6024", "machines.csv"):
        assert word not in told
    assert remaining(plant) < before
    log = (node / "process.log").read_text()
    assert "SB-6024" in log
    assert "The data of 'machines' changed since it was registered." in log

    replaced = sandbox("node", "replace-data", node, "machines", node / "machines.csv")
    assert (replaced.returncode, replaced.stderr) == (0, "")
    with deployment.researcher(plant) as session:
        session.sql(STATEMENT).run(epsilon=0.1, delta=0)
