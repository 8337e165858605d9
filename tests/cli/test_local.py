"""A local deployment: one view in the foreground, Ctrl-C in order, restart, detach, named causes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import local
from sandbox.config import load_node
from sandbox.crypto.identity import Identity, Role
from sandbox.errors import Unavailable
from sandbox.health import Health, NodeHealth, lacking
from sandbox.processes import is_up, state_of
from tests.cli.commands import ok, refused, run


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("local") / "plant"
    made = ok("local", "init", folder, "--nodes", "a,b", "--format", "json").json["parties"]
    assert [party["name"] for party in made] == [
        *("coordinator", "a", "b", "researcher", "supervisor"),
    ]
    yield folder
    run("local", "down", folder)


def wait_until(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and that nobody has asked after does not."""
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    return bool(asked.stdout.strip()) and not asked.stdout.startswith("Z")


def pids(folder: Path) -> list[int]:
    state = ok("local", "status", folder, "--format", "json").json
    return [process["pid"] for process in state["processes"]]


def test_ctrl_c_ends_the_one_live_view_and_every_process(plant: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "sandbox", "local", "up", str(plant)]
    up = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        wait_until(lambda: (state_of(plant) or {}).get("ready") is True)
        started = pids(plant)
        assert len(started) == 3
        up.send_signal(signal.SIGINT)
        shown = _all_of(ours)
        assert up.wait(30) == 0
    finally:
        up.kill()
        os.close(ours)
    assert shown.count("Started: every process has passed its health check.") == 1
    assert "Ctrl-C" in shown
    assert "Stopped." in shown
    assert not any(map(is_alive, started))
    assert not is_up(plant)


def _all_of(terminal: int) -> str:
    """Read a terminal until whoever wrote to it has closed it."""
    read = bytearray()
    while True:
        try:
            chunk = os.read(terminal, 65_536)
        except OSError:
            break
        if not chunk:
            break
        read += chunk
    return read.decode("utf-8", "replace")


def test_detached_deployment_answers_at_once_and_comes_back_where_it_stopped(plant: Path) -> None:
    for _ in range(2):
        up = ok("local", "up", plant, "--detach", "--format", "json").json
        assert up["ready"] is True
        checks = ok("doctor", "--profile", plant, "--format", "json").json["checks"]
        assert {check["state"] for check in checks} == {"ok"}, "started means healthy"
        refused(7, "SB-5001", "local", "up", plant, "--detach")
        logs = ok("local", "logs", plant, "--party", "a", "--lines", "1").stdout
        assert '"ready": true' in logs
        refused(3, "SB-1322", "local", "logs", plant, "--party", "z")
        assert ok("local", "down", plant).stdout == "Stopped.\n"
        assert not any(is_alive(process["pid"]) for process in up["processes"])
    assert ok("local", "down", plant).stdout == "Nothing was running.\n"


def test_start_after_a_killed_up_stops_what_it_left(plant: Path) -> None:
    up = ok("local", "up", plant, "--detach", "--format", "json").json
    os.kill(up["pid"], signal.SIGKILL)
    wait_until(lambda: not is_up(plant))
    left = [process["pid"] for process in up["processes"]]
    assert all(map(is_alive, left))
    again = ok("local", "up", plant, "--detach", "--format", "json").json
    assert not any(map(is_alive, left))
    assert again["ready"] is True
    ok("local", "down", plant)


def test_node_that_the_coordinator_cannot_reach_is_named_and_nothing_is_left(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "plant"
    ok("local", "init", folder, "--nodes", "a,b")
    config = folder / "nodes" / "b" / "config.toml"
    (port,) = local.free_ports(1)
    moved = config.read_text().replace(load_node(config.parent).listen, f"127.0.0.1:{port}")
    config.write_text(moved)
    ended = run("local", "up", folder, "--timeout", "15")
    assert (ended.code, ended.stdout) == (7, "")
    assert ended.stderr.startswith("SB-5010 Node 'b' ")
    assert not is_up(folder)


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("SB-1325", ("--nodes", "")),
        ("SB-1323", ("--nodes", "a,A b")),
        ("SB-1323", ("--nodes", "a,a")),
    ],
)
def test_bad_init_leaves_nothing_behind(
    tmp_path: Path, code: str, arguments: tuple[str, ...]
) -> None:
    refused(3, code, "local", "init", tmp_path / "plant", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_init_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    refused(3, "SB-1320", "local", "init", tmp_path, "--nodes", "a,b")
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_commands_on_no_deployment_say_how_to_make_one(tmp_path: Path) -> None:
    for command in ("up", "down", "status", "logs"):
        ended = refused(3, "SB-1321", "local", command, tmp_path)
        assert "sandbox local init" in ended.stderr


def node(name: str, *, reachable: bool = True, confirmed: bool = True) -> NodeHealth:
    public = Identity.generate(name, Role.NODE).public
    problem = None if reachable else Unavailable("SB-5101", party=name)
    return NodeHealth(public, "127.0.0.1:1", "1", reachable, problem, confirmed, 0)


def missing(*nodes: NodeHealth) -> tuple[str, str] | None:
    expected = {each.identity.fingerprint: each.identity.name for each in nodes}
    error = lacking(Health("1", 0, nodes), expected)
    return None if error is None else (error.code, str(error.facts["party"]))


def test_health_waits_for_every_node_and_its_witness() -> None:
    assert missing(node("a"), node("b")) is None
    assert missing(node("a"), node("b", reachable=False, confirmed=False)) == ("SB-5010", "b")
    alone = node("a", confirmed=False), node("b", reachable=False, confirmed=False)
    assert missing(*alone) == ("SB-5010", "b"), "the cause, not what follows from it"
    assert missing(node("a", confirmed=False), node("b")) == ("SB-5011", "a")
    assert missing(node("a", confirmed=False)) is None, "a single node has no witness to wait for"
    absent = lacking(Health("1", 0, ()), {"fs1x": "a"})
    assert absent is not None
    assert absent.code == "SB-5010"


def test_state_of_a_deployment_is_json(plant: Path) -> None:
    assert json.loads(ok("local", "status", plant, "--format", "json").stdout)["ready"] is False


def test_status_names_a_process_that_is_gone(plant: Path) -> None:
    up = ok("local", "up", plant, "--detach", "--format", "json").json
    try:
        assert up["ready"] is True
        node = next(process for process in up["processes"] if process["role"] == "node")
        os.kill(node["pid"], signal.SIGKILL)
        wait_until(lambda: not is_alive(node["pid"]))
        state = ok("local", "status", plant, "--format", "json").json
        assert state["ready"] is False
        gone = [process["name"] for process in state["processes"] if not process["runs"]]
        assert gone == [node["name"]]
        shown = ok("local", "status", plant).stdout
        assert f"sandbox node serve {node['folder']}" in shown
        assert "health check" not in shown
    finally:
        ok("local", "down", plant)
