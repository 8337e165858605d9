"""Plots for docs/performance.md, as SVG: `python -m benchmarks.plots FILE.json … FILE.svg`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

OURS = "fedsandbox"


def main() -> None:
    """Draw what `python -m benchmarks.join --json FILE` measured, of several files together."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("json", type=Path, nargs="+")
    options.add_argument("svg", type=Path)
    chosen = options.parse_args()
    found = [json.loads(file.read_text(encoding="utf-8"))["runs"] for file in chosen.json]
    draw({"runs": [run for runs in found for run in runs]}, chosen.svg)


def lines(document: Mapping[str, Any]) -> dict[str, list[tuple[int, float]]]:
    """Return (rows, median seconds) by system, mode and io, by increasing rows; ours come first."""
    seconds: dict[tuple[str, str, str], dict[int, list[float]]] = {}
    for run in document["runs"]:
        at = seconds.setdefault((run["system"], run["mode"], run["io"]), {})
        at.setdefault(run["rows"], []).append(run["seconds"])
    return {
        " ".join(label): [(rows, median(at[rows])) for rows in sorted(at)]
        for label, at in sorted(seconds.items(), key=lambda each: (each[0][0] != OURS, each[0]))
    }


def draw(document: Mapping[str, Any], file: Path) -> None:
    """Write seconds against rows, both logarithmic, the same file for the same document."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "fedsandbox"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for label, points in lines(document).items():
        rows, seconds = zip(*points, strict=True)
        own = label.startswith(OURS)
        axes.plot(
            rows,
            seconds,
            marker="o" if own else "s",
            linewidth=2.4 if own else 1.2,
            linestyle="--" if label.endswith(" memory") else "-",
            label=label,
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("rows of each owner, half of them in common")
    axes.set_ylabel("seconds, median")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize="small")
    figure.savefig(file, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
