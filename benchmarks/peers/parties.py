"""Runs the parties of a peer as processes that start together: no import of theirs is measured.

A party prints "ready" once it has imported what it needs and is connected, waits for a line,
does its work, and prints one line of JSON.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TextIO

END_S = 20.0


@dataclass(frozen=True)
class Ran:
    """What the parties printed, seconds from "go" to the last of them, seconds until "ready"."""

    said: tuple[dict[str, Any], ...]
    seconds: float
    start_up_s: float


def run(commands: Sequence[Sequence[str]]) -> Ran:
    """Run one process a command; raises CalledProcessError where one fails."""
    with ExitStack() as stack:
        clock = time.perf_counter()
        parties = [stack.enter_context(_started(command)) for command in commands]
        stack.callback(_kill, parties)
        for party in parties:
            _line(party, "ready")
        began = time.perf_counter()
        for party in parties:
            _stdin(party).write("go\n")
            _stdin(party).flush()
        said = tuple(json.loads(_line(party)) for party in parties)
        ended = time.perf_counter()
        for party in parties:
            party.wait(END_S)
    return Ran(said, ended - began, began - clock)


def free_ports(count: int) -> list[int]:
    """Return different ports of the loopback that nobody listens on."""
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [int(listener.getsockname()[1]) for listener in listeners]


def _started(command: Sequence[str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


def _line(party: subprocess.Popen[str], expected: str | None = None) -> str:
    assert party.stdout is not None
    line = party.stdout.readline().strip()
    if not line or expected not in (None, line):
        party.kill()
        raise subprocess.CalledProcessError(party.wait(), party.args, line)
    return line


def _stdin(party: subprocess.Popen[str]) -> TextIO:
    assert party.stdin is not None
    return party.stdin  # type: ignore[return-value]


def _kill(parties: Sequence[subprocess.Popen[str]]) -> None:
    for party in parties:
        if party.poll() is None:
            party.kill()
