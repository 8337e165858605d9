"""The kernels of test_kernels.py, run by pytest-benchmark and written down like everything else."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.report import parser, write

SUITES = Path(__file__).resolve().parent


def measured(suite: str) -> dict[str, Any]:
    """Run a file of kernels; return seconds by kernel."""
    with tempfile.TemporaryDirectory() as scratch:
        found = Path(scratch) / "found.json"
        options = ("--benchmark-json", str(found), "--benchmark-warmup=on", "--timeout=0")
        subprocess.run([sys.executable, "-m", "pytest", str(SUITES / suite), *options], check=True)
        benchmarks = json.loads(found.read_text(encoding="utf-8"))["benchmarks"]
    return {
        each["name"].removeprefix("test_"): {
            "median": float(f"{each['stats']['median']:.4g}"),
            "least": float(f"{each['stats']['min']:.4g}"),
            "greatest": float(f"{each['stats']['max']:.4g}"),
            "count": each["stats"]["rounds"],
        }
        for each in benchmarks
    }


def main() -> None:
    """Measure and write."""
    chosen = parser(__doc__ or "").parse_args()
    write("kernels", measured("test_kernels.py"), chosen.json)


if __name__ == "__main__":
    main()
