"""Processor time by part of a deployment, from /proc (Linux): it does not depend on other work."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from nodes import worker_main
from sandbox.processes import Processes

Parts = Mapping[str, Sequence[int]]
"""Process ids by what they are part of."""


def parts_of(processes: Processes) -> Parts:
    """Return the processes of a running deployment: coordinator, nodes, their two kinds of workers."""
    roles = {"coordinator": "coordinator", "node": "nodes"}
    found: dict[str, list[int]] = {name: [] for name in roles.values()}
    for program in processes.programs:
        found[roles[program.role]].append(processes.pid(program))
    for kind in (worker_main.FRAGMENT, worker_main.ENCRYPTION):
        found[f"{kind} workers"] = [
            pid for pid in _children_of(found["nodes"]) if kind in _command(pid)
        ]
    return found


def seconds(parts: Parts) -> dict[str, float]:
    """Return what each part has used so far, children that have ended included; and this process."""
    used = {name: sum(_used(pid) for pid in pids) for name, pids in parts.items()}
    return {**used, "researcher": time.process_time()}


def each(before: Mapping[str, float], after: Mapping[str, float], count: int) -> dict[str, float]:
    """Return the milliseconds of each part for one of `count` jobs."""
    return {name: round((after[name] - before[name]) / count * 1000, 1) for name in before}


def _used(pid: int) -> float:
    return sum(int(ticks) for ticks in _status(pid)[11:15]) / os.sysconf("SC_CLK_TCK")


def _children_of(parents: Sequence[int]) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        with suppress(OSError):
            if name.isdigit() and int(_status(int(name))[1]) in parents:
                found.append(int(name))
    return found


def _status(pid: int) -> list[str]:
    """Return state, parent and what follows in /proc/PID/stat."""
    return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(") ")[2].split()


def _command(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text("utf-8").split("\0")
