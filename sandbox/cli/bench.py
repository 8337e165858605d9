"""`sandbox bench`: encrypted joins beside other systems, measured here; from a checkout."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.terminal import remark, say
from sandbox.errors import Unavailable
from sandbox.messages import text

app = Commands()
CHECKOUT = Path(__file__).resolve().parent.parent.parent


@app.command(
    "bench",
    help=text("help.bench"),
    epilog=examples(
        "sandbox bench --rows 65536,1048576",
        "sandbox bench --peers secretflow,duckdb --output joins.json",
    ),
)
def bench(
    rows: Annotated[str, typer.Option("--rows", help=text("option.bench_rows"))] = "1048576",
    modes: Annotated[
        str | None, typer.Option("--modes", metavar="MODES", help=text("option.bench_modes"))
    ] = None,
    peers: Annotated[
        str, typer.Option("--peers", metavar="SYSTEMS", help=text("option.bench_peers"))
    ] = "duckdb",
    runs: Annotated[
        int, typer.Option("--runs", metavar="COUNT", min=1, help=text("option.bench_runs"))
    ] = 3,
    network: Annotated[
        str, typer.Option("--network", metavar="loopback|wan", help=text("option.bench_network"))
    ] = "loopback",
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help=text("option.bench_output"))
    ] = Path("bench.json"),
) -> None:
    """Measure, print the table, write the runs and a plot beside them."""
    if not (CHECKOUT / "benchmarks" / "join.py").exists():
        raise Unavailable("SB-5060")
    if importlib.util.find_spec("matplotlib") is None:
        raise Unavailable("SB-5061")
    file = output.resolve()
    options = ["--rows", rows, "--peers", peers, "--runs", str(runs), "--network", network]
    options += [] if modes is None else ["--modes", modes]
    options += ["--json", str(file), "--svg", str(file.with_suffix(".svg"))]
    remark("bench.measuring")
    command = [sys.executable, "-m", "benchmarks.join", *options]
    ended = subprocess.run(command, cwd=CHECKOUT, check=False)
    if ended.returncode != 0:
        raise typer.Exit(ended.returncode)
    say("bench.written", file=str(file), plot=str(file.with_suffix(".svg")))
