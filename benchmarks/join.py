"""Joins of two owners' tables, ours and other systems', alternating on the same rows.

`python -m benchmarks.join --rows 65536,1048576 --peers secretflow,openmined,duckdb --json FILE`.
A run is timed from all parties ready to the output closed. FILE has one entry for each single run, and
for each ratio the peer's median seconds by ours, at equal io and the most rows that both joined.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import network, report, serials
from benchmarks.memory import Peak
from benchmarks.ours import Fedsandbox
from benchmarks.systems import PEERS, Kind, NotBuilt, Outcome, Run, System

OURS = (Fedsandbox(),)
"""What --modes chooses from."""
CAPPED = ("openmined",)
"""Peers that --peer-rows bounds: they need minutes where others need seconds."""
TOLERANCE = 2
"""Half-widths of its 95 % interval by which a noised count may be off: one in ten thousand is more."""


@dataclass(frozen=True)
class Measured:
    """One single run; `bytes` is None where nothing could count them."""

    system: System
    kind: Kind
    rows: int
    outcome: Outcome
    bytes: int | None
    peak_mib: float

    @property
    def label(self) -> tuple[str, str, str]:
        """System, mode, io."""
        return self.system.system, self.kind.mode, self.kind.io

    def entry(self) -> dict[str, Any]:
        """Return what FILE says of it."""
        system, mode, io = self.label
        entry: dict[str, Any] = {
            "system": system,
            "mode": mode,
            "io": io,
            "rows": self.rows,
            "matched": self.outcome.matched,
            "seconds": round(self.outcome.seconds, 4),
            "rows_per_s": round(self.rows / self.outcome.seconds),
            "bytes_per_row": None if self.bytes is None else round(self.bytes / self.rows, 1),
            "peak_mib": round(self.peak_mib, 1),
        }
        if self.outcome.interval is not None:
            entry["matched_interval"] = list(self.outcome.interval)
        return entry


class Disagreement(Exception):
    """A system found another number of matches than there are."""


def main() -> None:
    """Measure, print, write."""
    chosen = _options(sys.argv[1:])
    measured: list[Measured] = []
    try:
        separate = network.enter()
        if chosen.network == "wan" and not separate:
            raise network.NoNetwork(
                "--network wan needs root and the command ip (package iproute2)"
            )
        count = network.loopback_bytes if separate else None
        slow = network.wide_area() if chosen.network == "wan" else nullcontext("loopback")
        with slow as how:
            load_before = round(os.getloadavg()[0], 2)
            for rows in chosen.sizes:
                pairs = _fitting(chosen.pairs, rows, chosen.peer_rows)
                with tempfile.TemporaryDirectory() as scratch:
                    measured += measure(pairs, rows, chosen.runs, Path(scratch), count)
    except (NotBuilt, network.NoNetwork) as error:
        raise SystemExit(str(error)) from None
    result = "join" if chosen.json is None else chosen.json.stem
    document = {**report.described("join", result), **summary(measured)}
    document["machine"] |= {
        "peers": _pinned(),
        "network": how,
        "load_average_before": load_before,
    }
    show(document, measured)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if chosen.svg is not None:
        from benchmarks import plots

        plots.draw(document, chosen.svg)


def measure(
    pairs: Sequence[tuple[System, Kind]],
    rows: int,
    runs: int,
    scratch: Path,
    count: Callable[[], int] | None,
) -> list[Measured]:
    """Return `runs` runs of each pair, in turns, every other turn backwards; raises Disagreement.

    `count` returns the bytes that crossed the network so far.
    """
    tables = serials.write(scratch / "tables", rows)
    measured = []
    with ExitStack() as stack:
        running: dict[str, Run] = {}
        for system, _ in pairs:
            if system.name not in running:
                folder = scratch / system.name
                folder.mkdir()
                running[system.name] = stack.enter_context(system.ready(tables, folder))
        # Else collections would walk through all of this process while it waits for an answer.
        gc.freeze()
        for turn in range(runs):
            for system, kind in pairs if turn % 2 == 0 else reversed(pairs):
                with tempfile.TemporaryDirectory(dir=scratch) as own:
                    found = _once(system, kind, rows, running[system.name], Path(own), count)
                _agrees(found[0], tables.matched)
                _remark(found, turn)
                measured += found
    return measured


def _once(
    system: System,
    kind: Kind,
    rows: int,
    run: Run,
    folder: Path,
    count: Callable[[], int] | None,
) -> list[Measured]:
    """Return the run, and its part in memory where the system tells it."""
    before = count() if count else 0
    with Peak() as peak:
        outcome = run(kind, folder)
    crossed = outcome.bytes
    if crossed is None and count is not None:
        crossed = count() - before
    found = [Measured(system, kind, rows, outcome, crossed, peak.largest_mib)]
    if outcome.in_memory_s is not None:
        within = Outcome(outcome.matched, outcome.in_memory_s, outcome.interval)
        memory = Kind(kind.mode, "memory")
        found.append(Measured(system, memory, rows, within, crossed, peak.largest_mib))
    return found


def _agrees(found: Measured, matched: int) -> None:
    low, high = found.outcome.interval or (found.outcome.matched, found.outcome.matched)
    slack = (high - low) / 2 * TOLERANCE
    if abs(found.outcome.matched - matched) > slack:
        raise Disagreement(
            f"{'/'.join(found.label)} found {found.outcome.matched} of {matched} matches"
        )


def summary(measured: Sequence[Measured]) -> dict[str, Any]:
    """Return the runs and the ratios as FILE has them."""
    ratios = {}
    for (mode, name, io), (peer, ours) in _comparable(measured).items():
        ratios[f"{mode}/{name}/{io}"] = round(_median(peer) / _median(ours), 3)
    return {"runs": [each.entry() for each in measured], "ratios": ratios}


def _comparable(
    measured: Sequence[Measured],
) -> dict[tuple[str, str, str], tuple[list[Measured], list[Measured]]]:
    """Return what is compared: (our mode, peer, io) to its runs and ours, at the most rows of both."""
    ours = [each for each in measured if each.system.system == "fedsandbox"]
    peers = [each for each in measured if each.system.system != "fedsandbox"]
    found = {}
    for peer in sorted(peers, key=lambda each: each.rows):
        for own in ours:
            if (
                own.rows == peer.rows
                and own.kind.io == peer.kind.io
                and own.kind.mode in peer.system.against
            ):
                key = (own.kind.mode, peer.system.name, own.kind.io)
                found[key] = (_like(peer, peers), _like(own, ours))
    return found


def _like(one: Measured, others: Iterable[Measured]) -> list[Measured]:
    alike = (one.system.name, one.kind, one.rows)
    return [each for each in others if (each.system.name, each.kind, each.rows) == alike]


def _median(measured: Sequence[Measured]) -> float:
    return median(each.outcome.seconds for each in measured)


def show(document: dict[str, Any], measured: Sequence[Measured]) -> None:
    """Print the medians as a table, and the ratios."""
    from rich.console import Console
    from rich.table import Table

    apart = "medians (least – greatest); start-up of a run's own processes is apart"
    made = Table(caption=f"{document['machine']['network']}: {apart}")
    made.add_column("system, mode, io")
    for head in ("rows", "matched", "s", "M rows/s", "B/row", "peak MiB", "start-up s"):
        made.add_column(head, justify="right")
    groups: dict[tuple[str, str, str, int], list[Measured]] = {}
    for each in measured:
        groups.setdefault((*each.label, each.rows), []).append(each)
    for (*label, rows), group in sorted(groups.items(), key=lambda each: (each[0][3], each[0])):
        seconds = sorted(each.outcome.seconds for each in group)
        crossed = [each.bytes for each in group if each.bytes is not None]
        started = [each.outcome.start_up_s for each in group if each.outcome.start_up_s is not None]
        made.add_row(
            " ".join(label),
            f"{rows:,}",
            f"{round(median(each.outcome.matched for each in group)):,}",
            f"{median(seconds):.3f} ({seconds[0]:.3f} – {seconds[-1]:.3f})",
            f"{rows / median(seconds) / 1e6:.4f}",
            f"{median(crossed) / rows:.1f}" if crossed else "–",
            f"{median(each.peak_mib for each in group):,.0f}",
            f"{median(started):.1f}" if started else "–",
        )
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(made)
    for name, ratio in document["ratios"].items():
        console.print(f"{name}: {ratio}")


def _remark(found: Sequence[Measured], turn: int) -> None:
    for each in found:
        what = " ".join(each.label)
        print(
            f"run {turn + 1}: {what}, {each.rows} rows, {each.outcome.seconds:.3f} s",
            file=sys.stderr,
        )


def _fitting(
    pairs: Sequence[tuple[System, Kind]], rows: int, peer_rows: int
) -> list[tuple[System, Kind]]:
    """Return the pairs that are run with so many rows, and say which are not."""
    left_out = {each.name for each, _ in pairs if each.name in CAPPED and rows > peer_rows}
    for name in sorted(left_out):
        print(f"{name} is not run with {rows} rows (--peer-rows {peer_rows})", file=sys.stderr)
    return [(system, kind) for system, kind in pairs if system.name not in left_out]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options, with `sizes` and `pairs` made of them."""
    modes = sorted({kind.mode for system in OURS for kind in system.kinds})
    parser = report.parser(__doc__ or "")
    parser.add_argument("--rows", default="1048576", help="of each owner; several with commas")
    parser.add_argument("--modes", default=",".join(modes), help="ours, with commas")
    parser.add_argument("--peers", default="", help=f"with commas, of: {', '.join(PEERS)}")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer-rows", type=int, default=65_536, help=f"most for {CAPPED[0]}")
    parser.add_argument("--network", choices=("loopback", "wan"), default="loopback")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw seconds against rows here")
    chosen = parser.parse_args(arguments)
    wanted, peers = _listed(chosen.modes), _listed(chosen.peers)
    for given, known, what in ((wanted, modes, "mode"), (peers, list(PEERS), "peer")):
        for unknown in sorted(set(given) - set(known)):
            parser.error(f"there is no {what} '{unknown}', only: {', '.join(known) or 'none'}")
    sizes = {int(each) for each in _listed(chosen.rows)}
    if set(peers) & set(CAPPED) and min(sizes) > chosen.peer_rows:
        sizes.add(chosen.peer_rows)
    if min(sizes) < 1 or chosen.runs < 1:
        parser.error("--rows, --peer-rows and --runs are positive")
    chosen.sizes = sorted(sizes)
    asked = [
        replace(each, kinds=tuple(kind for kind in each.kinds if kind.mode in wanted))
        for each in OURS
    ]
    chosen.pairs = [(each, kind) for each in asked for kind in each.kinds]
    chosen.pairs += [(PEERS[name], kind) for name in peers for kind in PEERS[name].kinds]
    return chosen


def _listed(written: str) -> list[str]:
    return [each for each in written.split(",") if each]


def _pinned() -> dict[str, str]:
    """Return the versions of the peers' libraries, from what make peers installs."""
    files = sorted((Path(__file__).resolve().parent / "peers").glob("*.txt"))
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    return dict(re.findall(r"^(spu|openmined-psi)==(\S+)$", text, re.MULTILINE))


if __name__ == "__main__":
    main()
