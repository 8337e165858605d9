"""`sandbox health`, which containers ask: true only while this party itself answers."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sandbox.config import load_coordinator, load_node
from tests.endtoend import deployment


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("health") / "plant"
    deployment.make(made)
    return made


def health(party: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox", "health", str(party)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def test_running_parties_are_healthy_and_stopped_ones_are_not(folder: Path) -> None:
    parties = {
        folder / "coordinator": load_coordinator(folder / "coordinator").listen,
        folder / "nodes" / "a": load_node(folder / "nodes" / "a").listen,
    }
    with deployment.running(folder):
        for party, listen in parties.items():
            told = health(party)
            assert (told.returncode, told.stderr) == (0, "")
            assert listen in told.stdout
    for party in parties:
        told = health(party)
        assert told.returncode == 7
        assert "SB-1466" in told.stderr


def test_another_program_at_the_port_is_no_health(folder: Path) -> None:
    node = folder / "nodes" / "b"
    host, _, port = load_node(node).listen.rpartition(":")
    with socket.create_server((host, int(port))) as stranger:

        def hang_up() -> None:
            stranger.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        told = health(node)
    assert told.returncode == 7
    assert "SB-1466" in told.stderr
