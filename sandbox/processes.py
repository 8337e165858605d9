"""Start, watch and stop the processes of a local deployment. Every wait has a bound and a name.

One `up` at a time holds a lock on DIR/up.lock; DIR/up.json says what runs, for `down` and `status`.
"Ready" is what a process says of itself after its own health check, not that it is alive.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from sandbox.errors import Unavailable
from sandbox.warm_server import LARGE_VECTORS

LOG_FILE = "process.log"
STATE_FILE = "up.json"
LOCK_FILE = "up.lock"
POLL_S = 0.05
LOG_TAIL_LINES = 8
# -P: a file in the working folder must not stand in for a library.
SANDBOX = (sys.executable, "-P", "-m", "sandbox")

HealthCheck = Callable[[], Unavailable | None]
"""Says what ready processes still lack to serve together; None when they lack nothing."""


@dataclass(frozen=True)
class Program:
    """One process to run: who it is, its folder, its port, and its command."""

    role: str
    name: str
    folder: Path
    port: int
    command: tuple[str, ...]

    @property
    def party(self) -> str:
        """How people call it: "node a"."""
        return self.role if self.role == self.name else f"{self.role} {self.name}"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.folder / LOG_FILE


def serve_command(role: str, folder: Path) -> tuple[str, ...]:
    """Return the command that serves the coordinator or node in `folder`."""
    return (*SANDBOX, role, "serve", str(folder))


@dataclass
class _Running:
    program: Program
    process: subprocess.Popen[bytes]
    log_start: int
    ready: bool = False


@dataclass
class Processes:
    """The processes of the deployment in `folder`; a context manager that stops them all."""

    folder: Path
    programs: Sequence[Program]
    _running: list[_Running] = field(default_factory=list)
    _lock: IO[str] | None = None

    def start(self, timeout_s: float = 30.0, health: HealthCheck | None = None) -> None:
        """Start all and return when each has said it is ready and `health` finds nothing lacking.

        What a killed run left behind is stopped first. Raises Unavailable: SB-5001 it runs already,
        SB-5002 a port is taken, SB-5003 one died (with its last lines), SB-5004 one was not ready in
        time, or what `health` last found lacking. Nothing is left running then.
        """
        self._lock = _take_lock(self.folder)
        try:
            _stop_orphans(self.folder)
            for program in self.programs:
                _refuse_taken_port(program)
            self._running = [_spawn(program) for program in self.programs]
            self._write_state(ready=False)
            end = time.monotonic() + timeout_s
            self._await_ready(end, timeout_s)
            if health is not None:
                self._await_health(end, health)
            self._write_state(ready=True)
        except BaseException:
            self.stop()
            raise

    def deaths(self) -> list[tuple[Program, int]]:
        """Return the programs whose process has ended, each with its exit status."""
        return [
            (each.program, status)
            for each in self._running
            if (status := each.process.poll()) is not None
        ]

    def pid(self, program: Program) -> int:
        """Return the process id of `program`."""
        return next(each.process.pid for each in self._running if each.program is program)

    def stop(self, grace_s: float = 10.0) -> None:
        """Stop all: SIGTERM, and SIGKILL for what is still there after `grace_s`."""
        for each in self._running:
            if each.process.poll() is None:
                each.process.terminate()
        end = time.monotonic() + grace_s
        for each in self._running:
            try:
                each.process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                each.process.kill()
                each.process.wait()
        self._running = []
        if self._lock is not None:
            # Only its own: without up.json, `down` could not stop the `up` that holds the lock.
            (self.folder / STATE_FILE).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _await_ready(self, end: float, timeout_s: float) -> None:
        while missing := [each for each in self._running if not each.ready]:
            for each in missing:
                each.ready = _says_ready(each)
            self._raise_if_dead()
            if time.monotonic() > end:
                late = missing[0].program
                raise Unavailable(
                    "SB-5004", party=late.party, seconds=int(timeout_s), log=str(late.log)
                )
            time.sleep(POLL_S)

    def _await_health(self, end: float, health: HealthCheck) -> None:
        while lacking := health():
            self._raise_if_dead()
            if time.monotonic() > end:
                raise lacking
            time.sleep(POLL_S)

    def _raise_if_dead(self) -> None:
        for each in self._running:
            status = each.process.poll()
            if status is not None:
                raise Unavailable(
                    "SB-5003",
                    party=each.program.party,
                    status=status,
                    lines=last_lines(each.program, since=each.log_start),
                )

    def _write_state(self, ready: bool) -> None:
        processes = [
            {
                "role": each.program.role,
                "name": each.program.name,
                "pid": each.process.pid,
                "port": each.program.port,
                "folder": str(each.program.folder),
            }
            for each in self._running
        ]
        state = {"pid": os.getpid(), "ready": ready, "processes": processes}
        draft = self.folder / (STATE_FILE + ".new")
        draft.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
        draft.replace(self.folder / STATE_FILE)


def last_lines(program: Program, since: int = 0, count: int = LOG_TAIL_LINES) -> str:
    """Return the last lines of a program's log after byte `since`."""
    try:
        with program.log.open("rb") as log:
            log.seek(since)
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-count:])


def state_of(folder: Path) -> dict[str, object] | None:
    """Return what up.json of a running deployment says, or None where nothing runs."""
    if not is_up(folder):
        return None
    return left_state(folder) or None


def runs(process: Mapping[str, Any]) -> bool:
    """Tell whether a process that up.json lists is still there."""
    return str(process["folder"]) in _command_of(int(process["pid"]))


def is_up(folder: Path) -> bool:
    """Tell whether some `up` holds the deployment's lock."""
    try:
        _take_lock(folder).close()
    except Unavailable:
        return True
    return False


def stop_running(folder: Path, timeout_s: float = 20.0) -> bool:
    """Stop what `up` started in `folder`, also what a killed `up` left; False if nothing ran.

    Raises Unavailable SB-5005 if it is still there after `timeout_s`.
    """
    if not is_up(folder):
        return _stop_orphans(folder)
    told: set[int] = set()
    end = time.monotonic() + timeout_s
    while is_up(folder):
        # Read anew each time: an `up` that has just begun still has a killed one's file before it.
        supervisor = left_state(folder).get("pid")
        if isinstance(supervisor, int) and supervisor not in told:
            told.add(supervisor)
            _signal(supervisor, signal.SIGTERM)
        if time.monotonic() > end:
            raise Unavailable("SB-5005", folder=str(folder), seconds=int(timeout_s))
        time.sleep(POLL_S)
    return True


def _stop_orphans(folder: Path, grace_s: float = 10.0) -> bool:
    """Stop what a killed `up` left running; False if it left nothing."""
    listed = left_state(folder).get("processes")
    orphans = {
        int(each["pid"]): str(each["folder"])
        for each in (listed if isinstance(listed, list) else [])
        if runs(each)
    }
    for pid in orphans:
        _signal(pid, signal.SIGTERM)
    end = time.monotonic() + grace_s
    for pid, own in orphans.items():
        while own in _command_of(pid):
            if time.monotonic() > end:
                _signal(pid, signal.SIGKILL)
            time.sleep(POLL_S)
    (folder / STATE_FILE).unlink(missing_ok=True)
    return bool(orphans)


def _signal(pid: int, number: signal.Signals) -> None:
    """Signal a process that may have ended by itself."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def left_state(folder: Path) -> dict[str, object]:
    """Return what up.json says, be it of a killed run; asks for no lock, so it delays no `up`."""
    try:
        state: dict[str, object] = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state


def _command_of(pid: int) -> str:
    """Return a process's command line, so that a reused id is never taken for ours."""
    asked = subprocess.run(
        # Twice w: however narrow the terminal is said to be, the folder stands at the end.
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        timeout=5,
    )
    return asked.stdout


def _take_lock(folder: Path) -> IO[str]:
    lock = (folder / LOCK_FILE).open("a", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise Unavailable("SB-5001", folder=str(folder)) from None
    return lock


def _refuse_taken_port(program: Program) -> None:
    if program.port and not port_is_free(program.port):
        raise Unavailable("SB-5002", port=program.port, party=program.party)


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT after a stop is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _spawn(program: Program) -> _Running:
    with program.log.open("ab") as log:
        start = log.tell()
        process = subprocess.Popen(
            program.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=LARGE_VECTORS | os.environ,
            # Its own group: Ctrl-C reaches `up` alone, which stops its children in order.
            process_group=0,
        )
    return _Running(program, process, start)


def _says_ready(each: _Running) -> bool:
    with each.program.log.open("rb") as log:
        log.seek(each.log_start)
        return any(_is_ready_line(line) for line in log)


def _is_ready_line(line: bytes) -> bool:
    if not line.startswith(b"{") or not line.endswith(b"\n"):
        return False
    try:
        return json.loads(line).get("ready") is True
    except ValueError:
        return False
