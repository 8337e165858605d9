"""Joins of tables that exceed memory: seconds, and the most memory that each party's processes took.

`python -m benchmarks.join_large --rows 16777216,67108864 --json FILE`. Real nodes and the coordinator on
this machine, from `q.run()` to the opened answer, of a join of ids to the file closed at the receiver.
--keep DIR keeps tables and deployments there: registering them takes longer than joining them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from benchmarks import ours, serials
from benchmarks.memory import Peak
from benchmarks.report import parser, write
from nodes import worker_main
from sandbox import local
from sandbox.client import Session
from sandbox.config import CONFIG_FILE
from sandbox.processes import Processes

MODES = ("blind", "psi", "ids")
"""COUNT and SUM by `blind`, COUNT by `psi`, and the ids that match, from CSV to CSV."""
WORKER_MEMORY_MB = 2048
"""What a node's owner allows DuckDB; a worker may map twice that and 1 GiB more."""
TOLERANCE = 2
"""Half-widths of its 95 % interval by which a noised count may be off."""


def main() -> None:
    """Measure and write."""
    chosen = _options()
    runs = []
    with ExitStack() as stack:
        kept = nullcontext(chosen.keep) if chosen.keep else tempfile.TemporaryDirectory()
        folder = Path(stack.enter_context(kept))
        for rows in map(int, chosen.rows.split(",")):
            runs += measured(folder / str(rows), rows, chosen.modes.split(","))
    write("join_large", {"runs": runs}, chosen.json)


def measured(folder: Path, rows: int, modes: list[str]) -> list[dict[str, Any]]:
    """Return one run of each mode with `rows` rows of each owner."""
    plant = _plant(folder)
    if not plant.exists():
        # Elsewhere: this process is the researcher, whose peak must not be that of writing tables.
        making = multiprocessing.get_context("spawn").Process(target=make, args=(folder, rows))
        making.start()
        making.join()
        assert making.exitcode == 0, "tables and deployment could not be made"
    found = []
    with Processes(plant, local.programs(plant)) as processes:
        processes.start(health=local.health_check(plant))
        with Session.open(plant / "researcher") as session:
            for mode in modes:
                found.append(_once(session, plant, mode, rows, folder))
                print({key: found[-1][key] for key in ("mode", "rows", "seconds", "peak_mib")})
    return found


def make(folder: Path, rows: int) -> None:
    """Write both owners' tables, and make a deployment whose nodes have little memory."""
    plant = _plant(folder)
    ours.make(plant, serials.write(folder, rows))
    for owner in ours.OWNERS:
        with (plant / "nodes" / owner / CONFIG_FILE).open("a", encoding="utf-8") as config:
            config.write(f"worker_memory_mb = {WORKER_MEMORY_MB}\n")


def _plant(folder: Path) -> Path:
    return folder / "deployment"


def _once(session: Session, plant: Path, mode: str, rows: int, scratch: Path) -> dict[str, Any]:
    with Peak() as peak:
        ids = mode == "ids"
        outcome = ours.join_ids(session, plant) if ids else ours.ask(session, mode, scratch)
    low, high = outcome.interval or (outcome.matched, outcome.matched)
    slack = (high - low) / 2 * TOLERANCE
    assert abs(outcome.matched - (rows - rows // 2)) <= slack, (mode, outcome)
    return {
        "mode": mode,
        "rows": rows,
        "matched": outcome.matched,
        "seconds": round(outcome.seconds, 3),
        "peak_mib": by_part(peak.mib),
    }


def by_part(mib: Mapping[bytes, float]) -> dict[str, float]:
    """Return the peak of the largest process of each part; a process is known by its command line."""
    found: dict[str, float] = {"researcher": _own_peak_mib()}
    for command, peak in mib.items():
        words = command.decode("utf-8", "replace").split("\0")
        if worker_main.__name__ in words:
            part = f"{words[words.index(worker_main.__name__) + 1]} worker"
        else:
            part = next((role for role in ("coordinator", "node") if role in words), "other")
        found[part] = max(found.get(part, 0.0), round(peak, 1))
    return found


def _own_peak_mib() -> float:
    status = Path(f"/proc/{os.getpid()}/status").read_text("utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return round(int(line.split()[1]) / 1024, 1)


def _options() -> argparse.Namespace:
    options = parser(__doc__ or "")
    options.add_argument("--rows", default="16777216,67108864", help="of each owner, with commas")
    options.add_argument("--modes", default=",".join(MODES), help="with commas")
    options.add_argument("--keep", type=Path, metavar="DIR", help="keep what was made, and use it")
    return options.parse_args()


if __name__ == "__main__":
    main()
