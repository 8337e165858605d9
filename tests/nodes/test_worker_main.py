"""What a warm server has ready before it forks, and that forking it stays safe."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sandbox import warm_server

PROGRAM = """
import os, sys
from nodes import worker_main
from sandbox.crypto import he
from sandbox.crypto.rings import RINGS

worker_main.imports(sys.argv[1])
assert len(os.listdir("/proc/self/task")) == 1, "a thread in a process that forks"
if sys.argv[1] == worker_main.ENCRYPTION:
    known = [he._parameters(ring) for ring in RINGS]
    assert he._workspaces.cache_info().currsize == 0, "learnt parameters were made again"
    assert len(os.listdir("/proc/self/task")) == 1
    he._PARAMETERS.clear()
    assert known == [he._parameters(ring) for ring in RINGS], "SEAL says something else"
before = set(sys.modules)
worker_main.PREPARE[sys.argv[1]]()
late = {name.partition(".")[0] for name in set(sys.modules) - before} & {"duckdb", "pyarrow", "tenseal"}
assert not late, late
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
@pytest.mark.parametrize("kind", ["fragment", "encryption", "join"])
def test_a_warm_server_is_ready_and_has_one_thread(kind: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind],
        env=warm_server._FORK_SAFE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
