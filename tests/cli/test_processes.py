"""Processes are started, watched and stopped with bounds; a death is named with its last lines."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.errors import Unavailable
from sandbox.processes import (
    Processes,
    Program,
    is_up,
    last_lines,
    port_is_free,
    state_of,
    stop_running,
)

READY = 'import json, time; print(json.dumps({"ready": True}), flush=True); time.sleep(60)'
MUTE = "import time; time.sleep(60)"
DYING = 'print("the cause"); raise SystemExit(3)'
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + READY


def program(folder: Path, name: str, code: str, port: int = 0) -> Program:
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    return Program("node", name, own, port, (sys.executable, "-c", code, str(own)))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_all_are_up_only_after_each_said_it_is_ready_and_stop_leaves_none(tmp_path: Path) -> None:
    programs = [program(tmp_path, name, READY) for name in "ab"]
    with Processes(tmp_path, programs) as processes:
        processes.start(timeout_s=20)
        pids = [processes.pid(each) for each in programs]
        state = state_of(tmp_path)
        assert state is not None
        assert state["ready"] is True
        assert processes.deaths() == []
    assert not any(map(is_alive, pids))
    assert state_of(tmp_path) is None


def test_process_that_never_gets_ready_is_named_within_the_bound(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        Processes(tmp_path, [program(tmp_path, "mute", MUTE)]).start(timeout_s=0.5)
    assert (caught.value.code, caught.value.facts["party"]) == ("SB-5004", "node mute")
    assert time.monotonic() - began < 10
    assert not is_up(tmp_path)


def test_process_that_dies_while_starting_is_named_with_its_last_lines(tmp_path: Path) -> None:
    programs = [program(tmp_path, "good", READY), program(tmp_path, "bad", DYING)]
    with pytest.raises(Unavailable) as caught:
        Processes(tmp_path, programs).start(timeout_s=20)
    assert caught.value.code == "SB-5003"
    assert caught.value.facts == {"party": "node bad", "status": 3, "lines": "the cause"}
    assert not is_up(tmp_path)


def test_death_after_the_start_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    programs = [program(tmp_path, name, READY) for name in "ab"]
    with Processes(tmp_path, programs) as processes:
        processes.start(timeout_s=20)
        os.kill(processes.pid(programs[0]), signal.SIGKILL)
        for _ in range(200):
            if processes.deaths():
                break
            time.sleep(0.02)
        assert processes.deaths() == [(programs[0], -signal.SIGKILL)]
        assert is_alive(processes.pid(programs[1]))


def test_process_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    stubborn = program(tmp_path, "stubborn", STUBBORN)
    processes = Processes(tmp_path, [stubborn])
    processes.start(timeout_s=20)
    pid = processes.pid(stubborn)
    processes.stop(grace_s=0.3)
    assert not is_alive(pid)


def test_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not port_is_free(port)
        with pytest.raises(Unavailable) as caught:
            Processes(tmp_path, [program(tmp_path, "a", READY, port)]).start()
    assert (caught.value.code, caught.value.facts["port"]) == ("SB-5002", port)


def test_second_up_of_one_deployment_is_refused(tmp_path: Path) -> None:
    with Processes(tmp_path, [program(tmp_path, "a", READY)]) as processes:
        processes.start(timeout_s=20)
        before = state_of(tmp_path)
        with (
            pytest.raises(Unavailable, match="SB-5001"),
            Processes(tmp_path, [program(tmp_path, "b", READY)]) as second,
        ):
            second.start()
        assert before is not None
        assert state_of(tmp_path) == before, "else nothing can stop the first"


def test_down_also_stops_what_a_killed_up_left_behind(tmp_path: Path) -> None:
    left = program(tmp_path, "left", READY)
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from sandbox.processes import Processes, Program\n"
        f"left = Program('node', 'left', Path({str(left.folder)!r}), 0, {left.command!r})\n"
        f"Processes(Path({str(tmp_path)!r}), [left]).start(20)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False, timeout=30)
    assert killed.returncode == -signal.SIGKILL
    assert not is_up(tmp_path)
    assert stop_running(tmp_path) is True
    assert stop_running(tmp_path) is False


def test_last_lines_are_those_of_this_run(tmp_path: Path) -> None:
    one = program(tmp_path, "a", READY)
    one.log.write_text("old\nnew 1\nnew 2\n", encoding="utf-8")
    assert last_lines(one, since=4) == "new 1\nnew 2"
    assert last_lines(one, count=1) == "new 2"
