"""How long `sandbox --help` takes in a fresh process, and what an empty Python takes of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.report import parser, spread, write


def main() -> None:
    """Measure and write."""
    options = parser(__doc__ or "")
    options.add_argument("--runs", type=int, default=30)
    chosen = options.parse_args()
    command = str(Path(sys.executable).parent / "sandbox")
    assert shutil.which(command), "the project is not installed beside this Python"
    timed([command, "--help"])  # files are in the system's cache from here on
    measured = {
        "help_s": spread([timed([command, "--help"]) for _ in range(chosen.runs)]),
        "empty_python_s": spread([timed([sys.executable, "-c", ""]) for _ in range(chosen.runs)]),
    }
    write("startup", measured, chosen.json)


def timed(command: list[str]) -> float:
    """Return how many seconds a command takes; raises CalledProcessError where it fails."""
    clock = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - clock


if __name__ == "__main__":
    main()
