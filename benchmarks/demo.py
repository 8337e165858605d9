"""`sandbox demo` from nothing to four verified answers, once everything is installed."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.report import parser, spread, write
from benchmarks.startup import timed


def main() -> None:
    """Measure and write."""
    options = parser(__doc__ or "")
    options.add_argument("--runs", type=int, default=5)
    chosen = options.parse_args()
    command = [str(Path(sys.executable).parent / "sandbox"), "demo"]
    measured = {"demo_s": spread([timed(command) for _ in range(chosen.runs)])}
    write("demo", measured, chosen.json)


if __name__ == "__main__":
    main()
