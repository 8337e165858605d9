"""`sandbox local`: a whole deployment on this machine, every party a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.terminal import (
    Format,
    FormatOption,
    console,
    remark,
    say,
    show_json,
    show_rows,
    waiting,
)
from sandbox.errors import InputError, Unavailable
from sandbox.messages import text

if TYPE_CHECKING:
    from rich.table import Table

    from sandbox.processes import Processes, Program

app = Commands(
    "local",
    help=text("help.local.root"),
    epilog=examples(
        "sandbox local init plant --nodes a,b,c",
        "sandbox local up plant --detach",
        "sandbox local down plant",
    ),
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help=text("option.deployment"))]


@app.command(
    help=text("help.local.init"), epilog=examples("sandbox local init plant --nodes a,b,c")
)
def init(
    folder: Folder,
    nodes: Annotated[str, typer.Option("--nodes", metavar="NAMES", help=text("option.nodes"))],
    researcher: Annotated[
        str, typer.Option("--researcher", metavar="NAME", help=text("option.researcher"))
    ] = "researcher",
    base_port: Annotated[
        int | None, typer.Option("--base-port", metavar="PORT", help=text("option.base_port"))
    ] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Make a deployment."""
    from sandbox.local import init as make

    names = [name.strip() for name in nodes.split(",") if name.strip()]
    parties = make(folder, names, researcher=researcher, base_port=base_port)
    rows = [
        {
            "role": party.identity.role.value,
            "name": party.identity.name,
            "port": party.port,
            "fingerprint": party.identity.fingerprint,
            "folder": str(party.folder),
        }
        for party in parties
    ]
    show_rows(format, "parties", rows, ("role", "name", "port", "fingerprint", "folder"))
    if format is Format.TABLE:
        say("local.initialised", folder=folder)


@app.command(
    help=text("help.local.up"),
    epilog=examples("sandbox local up plant", "sandbox local up plant --detach"),
)
def up(
    folder: Folder,
    detach: Annotated[bool, typer.Option("--detach", help=text("option.detach"))] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help=text("option.timeout"))
    ] = 30,
    format: FormatOption = Format.TABLE,
) -> None:
    """Run a deployment."""
    from sandbox.local import health_check, programs
    from sandbox.processes import Processes

    served = programs(folder)
    if detach:
        _detach(folder, timeout_s, format)
        return
    with _stopped_by_signals(), Processes(folder, served) as processes:
        try:
            with waiting("local.starting"):
                processes.start(timeout_s, health_check(folder))
            if _is_live(format):
                _watch_live(processes)
            _show_processes(format, folder)
            _watch(processes)
        except _Stop:
            remark("local.stopping")
            processes.stop()
    remark("local.stopped")


@app.command(help=text("help.local.down"), epilog=examples("sandbox local down plant"))
def down(folder: Folder) -> None:
    """Stop a deployment."""
    from sandbox.processes import stop_running

    _require_deployment(folder)
    say("local.stopped" if stop_running(folder) else "local.nothing_ran")


@app.command(help=text("help.local.status"), epilog=examples("sandbox local status plant"))
def status(folder: Folder, format: FormatOption = Format.TABLE) -> None:
    """Show what runs."""
    _require_deployment(folder)
    _show_processes(format, folder)


@app.command(
    help=text("help.local.logs"),
    epilog=examples("sandbox local logs plant", "sandbox local logs plant --party a --lines 50"),
)
def logs(
    folder: Folder,
    party: Annotated[
        str | None, typer.Option("--party", metavar="NAME", help=text("option.party"))
    ] = None,
    lines: Annotated[
        int, typer.Option("--lines", metavar="COUNT", min=1, help=text("option.lines"))
    ] = 20,
) -> None:
    """Show the last lines of each process."""
    from sandbox.local import programs
    from sandbox.processes import last_lines

    served = programs(folder)
    if party is not None and party not in {program.name for program in served}:
        known = ", ".join(program.name for program in served)
        raise InputError("SB-1322", party=party, known=known)
    for program in served:
        if party in (None, program.name):
            typer.echo(f"==> {program.party} ({program.log})")
            typer.echo(last_lines(program, count=lines))


class _Stop(Exception):
    """Ctrl-C, SIGTERM or a closed terminal: stop in order."""


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        # Once is enough: a second signal must not interrupt the stopping.
        for each in caught:
            signal.signal(each, signal.SIG_IGN)
        raise _Stop

    caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {each: signal.signal(each, stop) for each in caught}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _require_deployment(folder: Path) -> None:
    if not (folder / "ca").is_dir():
        raise InputError("SB-1321", folder=str(folder))


def _detach(folder: Path, timeout_s: float, format: Format) -> None:
    """Start `local up` in a session of its own and return once it is up, or say why it is not."""
    from sandbox.processes import POLL_S, SANDBOX, is_up, left_state

    if is_up(folder):
        raise Unavailable("SB-5001", folder=str(folder))
    log_path = folder / "up.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*SANDBOX, "local", "up", str(folder), "--timeout", str(timeout_s)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    end = time.monotonic() + timeout_s + 15
    while True:
        if process.poll() is not None:
            reason = log_path.read_text(encoding="utf-8", errors="replace").strip()
            raise Unavailable("SB-5006", reason=reason)
        state = left_state(folder)
        # A killed run's file is still there while this one stops what that left behind.
        if state.get("ready") and state.get("pid") == process.pid:
            break
        if time.monotonic() > end:
            process.terminate()
            raise Unavailable("SB-5006", reason=str(log_path))
        time.sleep(POLL_S)
    _show_processes(format, folder)
    if format is Format.TABLE:
        say("local.stop_with", folder=folder)


def _show_processes(format: Format, folder: Path) -> None:
    from sandbox.processes import runs, state_of

    state: dict[str, Any] = state_of(folder) or {"ready": False, "processes": []}
    processes = [process | {"runs": runs(process)} for process in state["processes"]]
    gone = [process for process in processes if not process["runs"]]
    if format is Format.JSON:
        ready = state["ready"] and not gone
        show_json(folder=str(folder), ready=ready, pid=state.get("pid"), processes=processes)
        sys.stdout.flush()
        return
    if not processes:
        say("local.nothing_runs")
        return
    show_rows(format, "processes", processes, ("role", "name", "pid", "port", "runs"))
    for process in gone:
        say("local.gone", **process)
    if not gone:
        say("local.started" if state["ready"] else "local.starting")
    if sum(process["role"] == "node" for process in processes) == 1:
        say("local.alone")
    sys.stdout.flush()


def _is_live(format: Format) -> bool:
    return sys.stdout.isatty() and format is Format.TABLE


def _watch(processes: Processes) -> None:
    """Tell of deaths until a signal stops it, or until no process is left."""
    told: set[str] = set()
    while len(told) < len(processes.programs):
        for program, code in processes.deaths():
            if program.party not in told:
                told.add(program.party)
                _tell_death(program, code)
        time.sleep(0.25)
    raise Unavailable("SB-5007")


def _watch_live(processes: Processes) -> None:
    """Show the state in one view until a signal stops it, or until no process is left."""
    from rich.live import Live

    say("local.started")
    with Live(_table(processes), console=console(), auto_refresh=False, transient=True) as live:
        told: set[str] = set()
        while len(told) < len(processes.programs):
            for program, code in processes.deaths():
                if program.party not in told:
                    told.add(program.party)
                    live.console.print(_death(program, code), markup=False)
            live.update(_table(processes), refresh=True)
            time.sleep(0.25)
    raise Unavailable("SB-5007")


def _table(processes: Processes) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=text("local.live"), title_justify="left")
    for column in ("party", "port", "state", "last_line"):
        table.add_column(text(f"column.{column}"))
    dead = {program.party: status for program, status in processes.deaths()}
    for program in processes.programs:
        if program.party in dead:
            state = f"[red]{text('local.dead', status=dead[program.party])}[/red]"
        else:
            state = f"[green]{text('local.alive', pid=processes.pid(program))}[/green]"
        table.add_row(program.party, str(program.port), state, _last_line(program))
    return table


def _last_line(program: Program) -> str:
    from rich.markup import escape

    from sandbox.processes import last_lines

    line = last_lines(program, count=1)
    # The line by which a process says that it is ready tells people nothing more.
    return "" if line.startswith('{"ready"') else escape(line[:80])


def _death(program: Program, status: int) -> str:
    from sandbox.processes import last_lines

    facts = {"party": program.party, "status": status, "role": program.role}
    return text("local.died", **facts, folder=program.folder, lines=last_lines(program))


def _tell_death(program: Program, status: int) -> None:
    typer.echo(_death(program, status), err=True)
