"""The base install: seconds from pip's warm cache into a fresh virtual environment, and bytes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import parser, spread, write

PROJECT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure and write."""
    options = parser(__doc__ or "")
    options.add_argument("--runs", type=int, default=3)
    chosen = options.parse_args()
    seconds, found = [], {}
    for number in range(1 + chosen.runs):  # the first one warms the cache
        with tempfile.TemporaryDirectory() as scratch:
            took = install(Path(scratch))
            found = sizes(Path(scratch))
        if number:
            seconds.append(took)
    largest = sorted(found.items(), key=lambda each: -each[1])[:8]
    measured = {
        "install_s": spread(seconds),
        "megabytes": round(sum(found.values()) / 1e6, 1),
        "largest_megabytes": {name: round(size / 1e6, 1) for name, size in largest},
    }
    write("install", measured, chosen.json)


def install(environment: Path) -> float:
    """Make a virtual environment and install the project without extras; return the seconds."""
    clock = time.perf_counter()
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    subprocess.run(
        [
            str(environment / "bin" / "python"),
            *("-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(PROJECT)),
        ],
        check=True,
    )
    return time.perf_counter() - clock


def sizes(environment: Path) -> dict[str, int]:
    """Return the bytes of all that lies in site-packages, by its first name; pip is one of them."""
    (packages,) = environment.glob("lib/python*/site-packages")
    found: dict[str, int] = {}
    for file in packages.rglob("*"):
        if file.is_file():
            name = file.relative_to(packages).parts[0].partition(".")[0]
            found[name] = found.get(name, 0) + file.stat().st_size
    return found


if __name__ == "__main__":
    main()
