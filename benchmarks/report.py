"""What every measurement is written down with: the machine, the versions, the command, the spread."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("duckdb", "grpcio", "numpy", "opendp", "pyarrow", "sqlglot", "tenseal")

WRITING = ("--json", "--svg")
"""Options that name a file to write."""


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the option that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", type=Path, metavar="FILE", help="write the result here")
    return made


def machine() -> dict[str, Any]:
    """Return what the figures depend on, without anything that names this very machine."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def spread(seconds: Sequence[float]) -> dict[str, Any]:
    """Return count, median, least, greatest, and the 95th percentile (nearest rank) of timings."""
    ordered = sorted(seconds)
    return {
        "count": len(ordered),
        "median": _rounded(statistics.median(ordered)),
        "p95": _rounded(ordered[-(-95 * len(ordered) // 100) - 1]),
        "least": _rounded(ordered[0]),
        "greatest": _rounded(ordered[-1]),
    }


def described(benchmark: str, result: str) -> dict[str, Any]:
    """Return what every result says of how it was made, were it committed under the name `result`. The
    load is what other work the machine had."""
    options = ["DIR" if Path(argument).is_dir() else argument for argument in _measuring()]
    command = ["python", "-m", f"benchmarks.{benchmark}", *options]
    return {
        "schema_version": SCHEMA_VERSION,
        "benchmark": benchmark,
        "command": " ".join([*command, "--json", f"benchmarks/results/{result}.json"]),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def write(name: str, measured: dict[str, Any], file: Path | None) -> None:
    """Write a result to `file`, or print it."""
    document = {**described(name, name), "measured": measured}
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if file is None:
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8")


def read(name: str) -> dict[str, Any]:
    """Return a committed result."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _measuring() -> list[str]:
    """Return the arguments but those that only say where to write."""
    found = list(sys.argv[1:])
    for place in reversed(range(len(found))):
        name, written, _ = found[place].partition("=")
        if name in WRITING:
            del found[place : place + (1 if written else 2)]
    return found


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.4g}")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")
