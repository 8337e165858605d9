"""Render the figures of docs/performance.md from the committed results: `python -m benchmarks.figures`.

A figure stands between `<!-- figure NAME -->` and `<!-- end -->`; everything else is prose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import log
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

from benchmarks.published import figure
from benchmarks.report import read, spread

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
RESULTS = (
    "large_query",
    "latency",
    "concurrency",
    "startup",
    "install",
    "demo",
    "kernels",
    "join_kernels",
    "many",
)
WITH_DATA = ("published", "join_large")
"""Results that `make bench` does not make: of tables that are not the project's, or fill gigabytes."""
CLAIMED_ROWS = 1 << 20
"""Of each owner, in what the join's claims are about."""
WITH_PEERS = ("join", "join_growth", "join_wan")
"""Results of benchmarks.join, which needs what `make peers` builds."""
_FIGURE = re.compile(r"(<!-- figure (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def render(page: str) -> str:
    """Return the page with every figure made from the results; raises KeyError for an unknown one."""
    results = {name: read(name) for name in (*RESULTS, *WITH_DATA, *WITH_PEERS)}
    figures = {
        "claims": _claims,
        "machine": _machine,
        "phases": _phases,
        "processor": _processor,
        "jobs": _jobs,
        "install": _install,
        "kernels": _kernels,
        "join_kernels": _join_kernels,
        "many": _many,
        "join": lambda found: _joins(found["join"]),
        "join_claims": _join_claims,
        "join_growth": lambda found: _join_growth(found["join_growth"]),
        "join_large": _join_large,
        "join_wan": lambda found: _joins(found["join_wan"]),
        "published": lambda found: _table(figure.HEAD, figure.rows(found["published"]["measured"])),
    }
    return _FIGURE.sub(
        lambda found: f"{found[1]}{figures[found[2]](results)}\n{found[3]}",
        page,
    )


def _claims(results: Mapping[str, Any]) -> str:
    measured = {name: results[name]["measured"] for name in RESULTS}
    large, latency = measured["large_query"], measured["latency"]
    jobs, install = measured["concurrency"], measured["install"]
    seconds = jobs["runs_s"]
    rows = [
        (
            "3 × 1 M rows in Parquet, 8 groups, COUNT, SUM, AVG, STDDEV, CORR",
            f"3 × {_s(large['plain_s']['median'])} + 1 s = {_s(large['limit_s'])}",
            _spread(large["joint_s"]),
            "large_query",
        ),
        (
            "a small query, `q.run()` to the opened answer: median",
            "< 0.4 s",
            _spread(latency["seconds"]),
            "latency",
        ),
        (
            "the same: 95th percentile",
            "< 0.8 s",
            f"{_s(latency['seconds']['p95'])} of {latency['seconds']['count']}",
            "latency",
        ),
        (
            f"{jobs['jobs']} jobs at once from {jobs['researchers']} researchers, all opened",
            "≤ 30 s",
            _spread(seconds),
            "concurrency",
        ),
        (
            "the same: workers of a node at work at once",
            "≤ 2",
            str(jobs["workers_at_work_most"]),
            "concurrency",
        ),
        (
            "the same: budgets equal to the last bit",
            "all",
            f"{jobs['budgets_checked']} of {jobs['budgets_checked']}",
            "concurrency",
        ),
        ("`sandbox --help`, cold", "< 0.3 s", _spread(measured["startup"]["help_s"]), "startup"),
        ("base install from a warm cache", "< 60 s", _spread(install["install_s"]), "install"),
        ("base install, bytes", "< 1,200 MB", f"{install['megabytes']:,.0f} MB", "install"),
        ("`sandbox demo`", "< 60 s", _spread(measured["demo"]["demo_s"]), "demo"),
    ]
    table = [(what, limit, found, f"`{name}`") for what, limit, found, name in rows]
    return _table(("claim", "limit", "measured", "benchmark"), table)


def _machine(results: Mapping[str, Any]) -> str:
    rows = [
        (
            f"`{result['command']}`",
            result["date"],
            str(result["load_average"]),
            _named(result["machine"]),
        )
        for result in results.values()
    ]
    lines = [_table(("command", "date", "load", "machine"), rows)]
    versions = results["latency"]["machine"]["packages"]
    lines.append("\nVersions: " + ", ".join(f"{name} {v}" for name, v in versions.items()) + ".")
    return "\n".join(lines)


def _phases(results: Mapping[str, Any]) -> str:
    small = results["latency"]["measured"]["phases_median_s"]
    large = results["large_query"]["measured"]["phases_median_s"]
    rows = [(phase, _ms(small[phase]), _ms(large[phase])) for phase in small]
    return _table(("median of each phase", "small query", "3 × 1 M rows"), rows)


def _processor(results: Mapping[str, Any]) -> str:
    small = results["latency"]["measured"]["cpu_ms"]
    large = results["large_query"]["measured"]["cpu_ms"]
    rows = [
        (part, f"{small[part]:,.0f} ms", f"{large[part]:,.0f} ms" if part in large else "–")
        for part in small
    ]
    total = [("all", f"{sum(small.values()):,.0f} ms", f"{sum(large.values()):,.0f} ms")]
    return _table(("processor time of one job", "small query", "3 × 1 M rows"), rows + total)


def _jobs(results: Mapping[str, Any]) -> str:
    measured = results["concurrency"]["measured"]
    rows = [
        (state, f"{when['first']:.1f} s", f"{when['last']:.1f} s")
        for state, when in measured["seconds_until"].items()
    ]
    lead = (
        f"\nThe most released jobs that anybody got ahead of a researcher who was waiting: "
        f"{measured['largest_lead']}."
    )
    table = _table(("logged (by whom)", "first job", "last job"), rows)
    return f"{table}\n{lead}"


def _install(results: Mapping[str, Any]) -> str:
    largest = results["install"]["measured"]["largest_megabytes"]
    return _table(("in site-packages", "MB"), [(n, f"{size:,.0f}") for n, size in largest.items()])


def _kernels(results: Mapping[str, Any]) -> str:
    rows = [
        (name.replace("[", " (").replace("]", ")").replace("_", " "), _spread(each))
        for name, each in results["kernels"]["measured"].items()
    ]
    return _table(("kernel", "median (least – greatest)"), rows)


def _join_kernels(results: Mapping[str, Any]) -> str:
    rows: dict[str, list[str]] = {}
    for name, each in results["join_kernels"]["measured"].items():
        kernel, _, size = name.removesuffix("]").replace("[", "-").rpartition("-")
        row = rows.setdefault(kernel.replace("_", " ").replace("-", ", ", 1), [])
        row.append(_spread(each))
        if size == "2^20":
            row.append(f"{each['least'] * 1e9 / 2**20:,.0f} ns")
    head = ("kernel", "2^16 keys", "2^20 keys", "a key, at least")
    return _table(head, [(kernel, *found) for kernel, found in rows.items()])


def _many(results: Mapping[str, Any]) -> str:
    rows = [
        (
            str(run["tables"]),
            f"2^{run['rows'].bit_length() - 1}",
            str(run["groups"]),
            _spread(run["seconds"]),
            _s(run["predicted_s"]),
            f"{run['predicted_bytes'] / 1e6:,.0f} MB",
            f"{run['peak_mib']:,.0f} MiB",
        )
        for run in results["many"]["measured"]["runs"]
    ]
    head = ("tables", "rows of each", "groups", "seconds", "predicted", "moved", "largest process")
    return _table(head, rows)


def _join_large(results: Mapping[str, Any]) -> str:
    parts = ("join worker", "coordinator", "node", "researcher")
    rows = [
        (
            run["mode"],
            f"2^{run['rows'].bit_length() - 1}",
            _s(run["seconds"]),
            *(f"{run['peak_mib'][part]:,.0f} MiB" for part in parts),
        )
        for run in results["join_large"]["measured"]["runs"]
    ]
    return _table(("join", "rows of each", "seconds", *parts), rows)


def _join_claims(results: Mapping[str, Any]) -> str:
    """What the fastest join is held to at 2^20 rows, and what it does."""
    found = results["join"]
    seconds = _medians(found, CLAIMED_ROWS)

    def rate(mode: str, io: str) -> float:
        return CLAIMED_ROWS / seconds["fedsandbox", mode, io] / 1e6

    def slower(mode: str) -> float:
        return seconds["fedsandbox", mode, "parquet"] / seconds["duckdb", "plain", "parquet"]

    ratios = found["ratios"]
    rows = [
        ("`psi`, CSV to CSV", "≥ 1.0 M rows/s", f"{rate('psi', 'csv'):.2f} M rows/s"),
        ("the same against SecretFlow RR22", "≥ 6 ×", f"{ratios['psi/secretflow/csv']:.2f} ×"),
        (
            "`psi` in memory, SecretFlow's crypto",
            "≥ 2 ×",
            f"{ratios['psi/secretflow/memory']:.2f} ×",
        ),
        ("`blind`, COUNT and SUM", "≥ 2.0 M rows/s", f"{rate('blind', 'parquet'):.2f} M rows/s"),
        ("`blind`, times plain DuckDB's join", "≤ 15 ×", f"{slower('blind'):.1f} ×"),
        (
            "`blind` over a prepared matching",
            "≥ 3 M rows/s",
            f"{rate('prepared', 'parquet'):.2f} M rows/s",
        ),
    ]
    return _table((f"{CLAIMED_ROWS:,} rows of each owner", "asked", "measured"), rows)


def _join_growth(found: Mapping[str, Any]) -> str:
    """Medians by rows, and the slope of their logarithms (least squares): all sizes, the last two."""
    sizes = sorted({run["rows"] for run in found["runs"]})
    by_size = [_medians(found, size) for size in sizes]
    rows = []
    for label in sorted(by_size[0]):
        times = [each[label] for each in by_size]
        slopes = (_slope(sizes, times), _slope(sizes[-2:], times[-2:]))
        rows.append((" ".join(label), *map(_s, times), *(f"{slope:.2f}" for slope in slopes)))
    powers = [f"2^{size.bit_length() - 1}" for size in sizes]
    return _table(("system, mode, io", *powers, "slope", "last step"), rows)


def _slope(sizes: Sequence[int], times: Sequence[float]) -> float:
    return linear_regression([*map(log, sizes)], [*map(log, times)]).slope


def _medians(found: Mapping[str, Any], size: int) -> dict[tuple[str, str, str], float]:
    seconds: dict[tuple[str, str, str], list[float]] = {}
    for run in found["runs"]:
        if run["rows"] == size:
            label = (run["system"], run["mode"], run["io"])
            seconds.setdefault(label, []).append(run["seconds"])
    return {label: median(each) for label, each in seconds.items()}


def _joins(result: Mapping[str, Any]) -> str:
    """One row for each system, mode, io and number of rows."""
    groups: dict[tuple[int, str, str, str], list[Mapping[str, Any]]] = {}
    for run in result["runs"]:
        key = (run["rows"], run["system"], run["mode"], run["io"])
        groups.setdefault(key, []).append(run)
    rows = []
    for (size, *label), runs in sorted(groups.items()):
        crossed = median(run["bytes_per_row"] for run in runs)
        rows.append(
            (
                " ".join(label),
                f"2^{size.bit_length() - 1}",
                _spread(spread([run["seconds"] for run in runs])),
                f"{crossed:,.1f}",
                f"{median(run['peak_mib'] for run in runs):,.0f} MiB",
            )
        )
    head = ("system, mode, io", "rows of each", "seconds", "bytes a row", "largest process")
    ratios = ", ".join(f"{name} {ratio:.3g}" for name, ratio in result["ratios"].items())
    lines = [_table(head, rows), f"\nNetwork: {result['machine']['network']}."]
    peers = ", ".join(f"{name} {v}" for name, v in result["machine"]["peers"].items())
    lines += [f"Peers: {peers}.", f"The peer's median by ours: {ratios}."]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _spread(each: Mapping[str, float]) -> str:
    return f"{_s(each['median'])} ({_s(each['least'])} – {_s(each['greatest'])})"


def _s(seconds: float) -> str:
    if seconds < 0.01:
        return f"{seconds * 1e6:,.0f} µs" if seconds < 0.001 else f"{seconds * 1e3:.1f} ms"
    return f"{seconds:.3f} s" if seconds < 10 else f"{seconds:.1f} s"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def _named(machine: Mapping[str, Any]) -> str:
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}, Python {machine['python']}"
    )


if __name__ == "__main__":
    main()
