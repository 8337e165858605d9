"""Workers: one request each, ended by their limits, leaving nothing behind; the node lives on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from nodes import worker_main
from nodes.inspection import open_source
from nodes.sources import RELATION, Source, SourceChanged, ViewSource, to_document
from nodes.workers import FragmentRequest, Limits, Workers
from sandbox import disposable
from sandbox.config import NodeConfig
from sandbox.errors import Unavailable
from tests.data.rows import KINDS, make_rows, planned, run_fragment, write_csv

LIMITS = Limits(deadline_s=20.0, memory_bytes=64 << 20, temp_bytes=8 << 20)
COUNT = planned("SELECT COUNT(*) FROM meters")
ROWS = make_rows(60)
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

Result = TypeVar("Result")


@dataclass
class Node:
    """Workers in a node's folder, and the loop they run in."""

    folder: Path
    source: Source
    workers: Workers
    runner: asyncio.Runner
    servers: list[asyncio.subprocess.Process]

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    def sum(self, source: Source | None = None, deadline_s: float | None = None) -> list[int]:
        request = FragmentRequest("anyone", "meters", source or self.source, COUNT)
        return self.run(self.workers.sum_fragment(request, deadline_s))

    def view(self, sql: str) -> ViewSource:
        """An owner's view that his own checks would not have let pass."""
        return ViewSource(sql, (("meters", self.source),))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    source = KINDS["csv"](tmp_path_factory.mktemp("owner"), ROWS)
    servers: list[asyncio.subprocess.Process] = []
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        patch.setenv("A_SECRET_OF_THE_NODE", "marker-secret")
        start = asyncio.create_subprocess_exec

        async def recorded(*args: Any, **kwargs: Any) -> asyncio.subprocess.Process:
            servers.append(await start(*args, **kwargs))
            return servers[-1]

        patch.setattr(asyncio, "create_subprocess_exec", recorded)
        workers = Workers(folder, LIMITS)
        runner.run(workers.__aenter__())
        yield Node(folder, source, workers, runner, servers)
        runner.run(workers.__aexit__(None, None, None))


@pytest.fixture
def expected(node: Node) -> list[int]:
    return run_fragment(node.source, COUNT)


BOMBS = {
    "memory": "SELECT * FROM meters WHERE (SELECT len(list(a)) FROM range(60000000) t(a)) > 0",
    "disk": "SELECT meters.* FROM meters, (SELECT a, hash(a) AS h FROM range(9000000) t(a) "
    "ORDER BY h, a OFFSET 8999999)",
    "fault": "SELECT * FROM meters WHERE error(kind) IS NULL",
    "cast": "SELECT * FROM meters WHERE kind::INTEGER > 0",
}
ENDLESS = "SELECT m.* FROM meters m, range(1000000) a(i), range(9999999) WHERE hash(i, range) = 0"


@pytest.mark.parametrize("bomb", BOMBS)
def test_whatever_fails_is_one_error_without_a_cause_and_the_next_request_is_served(
    node: Node, expected: list[int], bomb: str
) -> None:
    with pytest.raises(Unavailable) as failed:
        node.sum(node.view(BOMBS[bomb]))
    assert (failed.value.code, failed.value.facts) == ("SB-5201", {})
    assert failed.value.__context__ is None or failed.value.__suppress_context__
    assert node.sum() == expected


def test_error_of_the_tree_loses_its_facts_on_the_way_to_a_peer(
    node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the adder of a coordinator passes on, a node keeps: facts could depend on rows."""

    async def ask(*_: object) -> tuple[dict[str, object], bytes]:
        return {"failed": "InputError", "code": "SB-1303", "facts": {"column": "marker73"}}, b""

    monkeypatch.setattr(node.workers._servers[worker_main.FRAGMENT], "ask", ask)
    with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable) as failed:
        node.sum()
    assert (failed.value.code, failed.value.facts) == ("SB-5201", {})
    assert "SB-1303" in caplog.text
    assert "marker73" not in caplog.text


def test_deadline_ends_a_worker_in_time(node: Node, expected: list[int]) -> None:
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="SB-5201"):
        node.sum(node.view(ENDLESS), deadline_s=0.5)
    assert time.monotonic() - begun < 5
    assert node.sum() == expected


def test_log_of_the_owner_names_dataset_and_failure_but_no_value(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable):
        node.sum(node.view(BOMBS["cast"]))
    assert [record.getMessage() for record in caplog.records if record.name == "nodes.workers"] == [
        "fragment worker for meters: ConversionException"
    ]


def test_changed_file_is_told_to_its_owner_alone(
    node: Node, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = open_source(write_csv(tmp_path / "meters.csv", ROWS))
    write_csv(tmp_path / "meters.csv", ROWS[1:])
    with caplog.at_level(logging.WARNING), pytest.raises(Unavailable) as failed:
        node.sum(source)
    assert (failed.value.code, failed.value.facts) == ("SB-5201", {})
    assert "SB-6024" in caplog.text
    assert "'meters'" in caplog.text
    assert "replace-data" in caplog.text


def test_file_changed_after_registration_is_not_read(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "meters.csv", ROWS)
    source = open_source(path)
    run = worker_main.fragments()
    request = {
        "source": to_document(source),
        "columns": ["id"],
        "settings": {},
        "sql": f"SELECT 1, count(*) FROM {RELATION}",
    }
    assert run(request, b"")[0]["rows"] == [[1, len(ROWS)]]
    os.utime(path, ns=(1, 1))
    with pytest.raises(SourceChanged):
        worker_main.fragments()(request, b"")


def test_owner_says_what_workers_may_use() -> None:
    address = "127.0.0.1:7000"
    config = NodeConfig(
        name="a",
        listen=address,
        coordinator=address,
        coordinator_fingerprint="fs1aaaaaaaaaaa",
        workers_active=3,
        worker_threads=5,
        worker_memory_mb=64,
        temp_limit_mb=7,
    )
    expected = Limits(active=3, threads=5, memory_bytes=64 << 20, temp_bytes=7 << 20)
    assert Limits.of(config) == expected


def test_worker_serves_one_request_and_ends(node: Node) -> None:
    request = {
        "source": to_document(node.source),
        "columns": ["id"],
        "settings": {},
        "sql": "SELECT 1, 1",
        "deadline_s": 20.0,
        "memory_bytes": 1 << 31,
    }
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "nodes.worker_main", "fragment", str(theirs.fileno()), "1"]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as server:
        theirs.close()
        with ours:
            assert ours.recv(1) == disposable.READY
            for _ in range(3):
                peer = _hand_over(ours)
                peer.sendall(disposable.message(request))
                assert disposable.receive(peer)[0] == {"rows": [[1, 1]]}
                # A second request finds nobody: the next one goes to another process.
                with contextlib.suppress(BrokenPipeError):
                    peer.sendall(disposable.message(request))
                with pytest.raises((EOFError, ConnectionResetError)):
                    disposable.receive(peer)
        assert server.wait(10) == 0


def _hand_over(tray: socket.socket) -> socket.socket:
    near, far = socket.socketpair()
    with far:
        socket.send_fds(tray, [b"x"], [far.fileno()])
    near.settimeout(20)
    assert near.recv(1) == disposable.TAKEN
    return near


def test_killed_server_is_started_again(node: Node, expected: list[int]) -> None:
    """SIGKILL to the warm server and all of its workers, in the middle of a request."""
    before = list(node.servers)

    async def kill_in_the_middle() -> None:
        slow = node.view(ENDLESS)
        request = FragmentRequest("anyone", "meters", slow, COUNT)
        running = asyncio.create_task(node.workers.sum_fragment(request))
        await asyncio.sleep(0.2)
        for server in before:
            if server.returncode is None:
                os.killpg(server.pid, signal.SIGKILL)
        with pytest.raises(Unavailable, match="SB-5201"):
            await running

    node.run(kill_in_the_middle())
    assert node.sum() == expected
    assert len(node.servers) > len(before)


def test_no_value_of_a_row_stays_in_the_nodes_folder(
    node: Node, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Success, errors that quote values, spilled sorts and killed workers: no marker is left."""
    rows = [(str(n), "house", "1.5", "1", "", "", "") for n in range(2000)]
    marked = tmp_path / "marked.csv"
    write_csv(marked, rows)
    marked.write_text(marked.read_text().replace("house", "marker73"))
    view = replace(node.view("SELECT * FROM meters"), inputs=(("meters", open_source(marked)),))
    spill = "FROM (SELECT m.* FROM meters m, range(200) ORDER BY hash(m.id, range), kind)"
    with caplog.at_level(logging.DEBUG):
        for sql, deadline_s in (
            ("FROM meters", None),
            (BOMBS["fault"], None),
            (BOMBS["cast"], None),
            (spill, None),
            (spill.replace("200", "20000"), 0.3),
        ):
            with contextlib.suppress(Unavailable):
                node.sum(replace(view, sql=sql), deadline_s)
    out, err = capfd.readouterr()
    assert "marker" not in out + err + caplog.text
    left = [path for path in node.folder.rglob("*") if path.is_file()]
    assert all(b"marker73" not in path.read_bytes() for path in left)
    assert not list((node.folder / "workers" / "temp").iterdir())


@linux
def test_worker_can_dump_no_core_and_sees_no_secret_of_the_node(node: Node) -> None:
    for server in node.servers:
        if server.returncode is not None:
            continue
        limits = Path(f"/proc/{server.pid}/limits").read_text()
        (core,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]
        assert b"marker-secret" not in Path(f"/proc/{server.pid}/environ").read_bytes()


def test_memory_is_bounded_by_the_kernel_on_linux_and_by_duckdb_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_limits: list[int] = []
    monkeypatch.setattr(signal, "setitimer", lambda *_: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(resource, "setrlimit", lambda kind, _: set_limits.append(kind))
    monkeypatch.setattr(sys, "platform", "darwin")
    disposable.confine(1.0, 1 << 30)
    assert set_limits == []


CRASHING = """
import asyncio, sys
from pathlib import Path
from nodes.workers import FragmentRequest, Limits, Workers
from tests.data.test_workers import COUNT
from tests.data.rows import KINDS, make_rows
from nodes.sources import ViewSource

async def run():
    folder = Path(sys.argv[1])
    source = KINDS["csv"](folder, make_rows(60))
    sql = ("SELECT m.* FROM meters m, (SELECT a FROM range(30000000) t(a) ORDER BY hash(a), a "
           "OFFSET 29999990)")
    async with Workers(folder, Limits(memory_bytes=64 << 20)) as workers:
        view = ViewSource(sql, (("meters", source),))
        await workers.sum_fragment(FragmentRequest("anyone", "meters", view, COUNT))

asyncio.run(run())
"""


def test_killed_node_leaves_no_worker_and_its_next_start_wipes_what_was_spilled(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", CRASHING, str(tmp_path)]
    temp = tmp_path / "workers" / "temp"
    with subprocess.Popen(command) as crashing:
        _until(lambda: any(path.is_file() and path.stat().st_size for path in temp.rglob("*")))
        crashing.kill()
        crashing.wait()
    spilled = {path: path.stat().st_mtime_ns for path in temp.rglob("*") if path.is_file()}
    assert spilled
    if sys.platform == "linux":
        _until(lambda: not _processes_with_open_files(temp))

    async def start() -> bool:
        async with Workers(tmp_path, LIMITS):
            return any(temp.iterdir())

    assert not asyncio.run(start())


def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _processes_with_open_files(folder: Path) -> list[str]:
    found = []
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(descriptor).startswith(str(folder)):
                found.append(descriptor.parts[2])
        except OSError:
            continue
    return found


def test_room_is_refused_before_anything_starts(node: Node) -> None:
    async def fill() -> None:
        async with Workers(node.folder / "small", replace(LIMITS, active=1, waiting=1)) as small:
            slow = node.view("SELECT m.* FROM meters m, range(400000) WHERE hash(range, m.id) = 0")
            requests = [
                asyncio.create_task(small.sum_fragment(FragmentRequest(who, "meters", slow, COUNT)))
                for who in ("one", "two")
            ]
            await asyncio.sleep(0.05)
            with pytest.raises(Unavailable, match="SB-5202"):
                small.require_room()
            assert await asyncio.gather(*requests) == [[0], [0]]
            small.require_room()

    node.run(fill())
