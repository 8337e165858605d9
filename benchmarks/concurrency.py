"""Fifty jobs at once from five researchers, each his own process: how long, how fair, how exact.

`python -m benchmarks.concurrency` starts one process of itself for each researcher
(`--researcher PROFILE`), which submits all its jobs when told to and opens every result.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks import deployment, meters
from benchmarks.phases import verified
from benchmarks.report import parser, spread, write
from nodes.vault import Vault
from sandbox.audit.receipt import Receipt
from sandbox.audit.statements import Release
from sandbox.client import Session
from sandbox.crypto.identity import Identity
from sandbox.query import Wishes

ROWS = 10_000
RESEARCHERS = 5
JOBS = 10
EPSILON = "0.1"
INTEGERS = 16
"""Cells times measures of SMALL_QUERY: each pays the correction for sums of discrete Gaussians."""
LOOK_S = 0.1
SETTLE_S = 0.01
ANSWER_S = 120.0


@dataclass
class Lookout:
    """How many workers each node had at work at once, as seen every LOOK_S.

    A node talks to a worker through a Unix socket that it opens for one request and closes at the
    answer; those it has when nothing runs are not counted.
    """

    nodes: Sequence[int]
    most: int = 0
    looks: int = 0
    _idle: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._idle = {pid: len(_unix_sockets(pid)) for pid in self.nodes}

    def look(self) -> None:
        """Count once: sockets found twice, SETTLE_S apart. While one is being made there are two."""
        self.looks += 1
        first = {pid: _unix_sockets(pid) for pid in self._idle}
        time.sleep(SETTLE_S)
        for pid, idle in self._idle.items():
            self.most = max(self.most, len(first[pid] & _unix_sockets(pid)) - idle)


def main() -> None:
    """Measure and write, or be one of the researchers."""
    options = parser(__doc__ or "")
    options.add_argument("--researcher", type=Path, help="submit and open jobs with this profile")
    options.add_argument("--jobs", type=int, default=JOBS, help="of each researcher")
    options.add_argument("--runs", type=int, default=3, help="each with a new deployment")
    chosen = options.parse_args()
    if chosen.researcher is not None:
        ask(chosen.researcher, chosen.jobs)
        return
    runs = []
    for _ in range(chosen.runs):
        with tempfile.TemporaryDirectory() as scratch:
            runs.append(measure(Path(scratch), chosen.jobs))
    runs.sort(key=lambda run: run["seconds_until_all_opened"])
    worst = {
        name: max(run[name] for run in runs) for name in ("workers_at_work_most", "largest_lead")
    }
    all_s = spread([run["seconds_until_all_opened"] for run in runs])
    middle = runs[len(runs) // 2]
    write("concurrency", {**middle, **worst, "runs_s": all_s}, chosen.json)


def measure(scratch: Path, jobs: int) -> dict[str, Any]:
    """Run all jobs and return what was seen."""
    folder = scratch / "deployment"
    seeds = {name: seed for seed, name in enumerate(deployment.NODES)}
    deployment.make(folder, meters.card(ROWS), meters.write(scratch / "data", seeds, ROWS))
    with deployment.running(folder) as processes:
        profiles = [folder / "researcher"]
        profiles += [deployment.enrol(folder, f"researcher-{n}") for n in range(2, RESEARCHERS + 1)]
        lookout = Lookout([processes.pid(p) for p in processes.programs if p.role == "node"])
        with _watching(lookout):
            began, ended, opened = _ask_all(profiles, jobs)
    receipts = [Receipt.from_json(Path(each["receipt"]).read_text("utf-8")) for each in opened]
    return {
        "researchers": RESEARCHERS,
        "jobs": len(opened),
        "rows_per_node": ROWS,
        "seconds_until_all_opened": round(ended - began, 3),
        "seconds_until": milestones(receipts, began),
        "seconds_to_answer": spread([each["opened"] - began for each in opened]),
        "workers_at_work_most": lookout.most,
        "looks": lookout.looks,
        "largest_lead": largest_lead(receipts),
        "budgets_checked": check_budgets(folder, receipts),
    }


def ask(profile: Path, jobs: int) -> None:
    """Say that the session is ready, wait for a line, submit everything, open everything."""
    with Session.open(profile) as session:
        query = session.sql(meters.SMALL_QUERY)
        wishes = Wishes(epsilon=EPSILON, delta=deployment.DELTA)
        terms, planned = query.terms(wishes), query.plan
        print("ready", flush=True)
        sys.stdin.readline()
        names = [session.submit(planned, terms) for _ in range(jobs)]
        opened: list[dict[str, Any]] = []
        for name in names:
            view = session.wait(name, None)
            assert view.problem is None, view.problem
            receipt = session.result(name).receipt
            opened.append({"job": name, "opened": time.time(), "receipt": str(receipt)})
        for each in opened:
            verified(session, Path(each["receipt"]))
    print(json.dumps(opened), flush=True)


def largest_lead(receipts: Sequence[Receipt]) -> int:
    """Return by how many more released jobs anybody got ahead of a researcher who was waiting.

    At each node, as its log records it: a researcher waits from the reservation of a job until none
    of his is left to release.
    """
    researchers = {receipt.job.signer for receipt in receipts}
    return max(
        _lead(_acts(receipts, node), ahead, behind)
        for node in range(len(deployment.NODES))
        for ahead in researchers
        for behind in researchers - {ahead}
    )


def _acts(receipts: Sequence[Receipt], position: int) -> list[tuple[str, str]]:
    """Return (act, researcher) of one node's reservations and releases in the order of its log."""
    signer = sorted(node.release.signer for node in receipts[0].nodes)[position]
    found = [
        (each.entry.sequence, each.entry.kind, receipt.job.signer)
        for receipt in receipts
        for node in receipt.nodes
        if node.release.signer == signer
        for each in node.log.entries
        if each.entry.kind in ("reservation", "release")
    ]
    return [(kind, researcher) for _, kind, researcher in sorted(found)]


def _lead(acts: Sequence[tuple[str, str]], ahead: str, behind: str) -> int:
    waiting = lead = most = 0
    for act, researcher in acts:
        if researcher == behind:
            waiting += 1 if act == "reservation" else -1
        if act == "release" and researcher in (ahead, behind):
            lead = max(0, lead + (1 if researcher == ahead else -1))
        lead = lead if waiting else 0
        most = max(most, lead)
    return most


def check_budgets(folder: Path, receipts: Sequence[Receipt]) -> int:
    """Hold every budget against the losses that nodes signed; return how many were compared.

    A job loses order * (rho + 10^-16 * integers / 4) nats, in units of 10^-12, rounded up.
    """
    compared = 0
    for name in deployment.NODES:
        identity = Identity.load(folder / "nodes" / name)
        signed = [
            (receipt.job.signer, Release.read(node.release, identity.public).loss)
            for receipt in receipts
            for node in receipt.nodes
            if node.release.signer == identity.public.fingerprint
        ]
        vault = Vault.open(folder / "nodes" / name, identity)
        for researcher in ["", *sorted({who for who, _ in signed})]:
            spent = vault.spent("data:meters", researcher)
            assert spent is not None
            assert spent.order is not None
            losses = [loss for who, loss in signed if researcher in ("", who)]
            expected = sum(_units(Fraction(loss), spent.order) for loss in losses)
            assert spent.loss == expected, (name, researcher, spent.loss, expected)
            compared += 1
        vault.close()
    return compared


def _units(rho: Fraction, order: Fraction) -> int:
    return math.ceil(order * (rho + Fraction(INTEGERS, 4 * 10**16)) * 10**12)


def _ask_all(profiles: Sequence[Path], jobs: int) -> tuple[float, float, list[dict[str, Any]]]:
    command = (sys.executable, "-m", "benchmarks.concurrency", "--jobs", str(jobs))
    askers = [
        subprocess.Popen(
            [*command, "--researcher", str(profile)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for profile in profiles
    ]
    for asker in askers:
        assert asker.stdout is not None
        assert asker.stdout.readline() == "ready\n"
    began = time.time()
    for asker in askers:
        assert asker.stdin is not None
        asker.stdin.write("go\n")
        asker.stdin.flush()
    answers = [asker.communicate(timeout=ANSWER_S)[0] for asker in askers]
    assert all(asker.returncode == 0 for asker in askers)
    opened = [each for answer in answers for each in json.loads(answer)]
    return began, max(each["opened"] for each in opened), opened


def milestones(receipts: Sequence[Receipt], began: float) -> dict[str, dict[str, float]]:
    """Return when the first and the last job reached each state, in seconds from the start."""
    found: dict[str, list[float]] = {}
    for receipt in receipts:
        logs = {"coordinator": receipt.coordinator} | {
            f"node {node.release.signer}": node.log for node in receipt.nodes
        }
        for name, log in logs.items():
            for each in log.entries:
                where = f"{each.entry.kind} ({name.partition(' ')[0]})"
                found.setdefault(where, []).append(each.entry.time / 1000 - began)
    return {
        where: {"first": round(min(times), 2), "last": round(max(times), 2)}
        for where, times in sorted(found.items(), key=lambda each: max(each[1]))
    }


@contextmanager
def _watching(lookout: Lookout) -> Iterator[None]:
    end = threading.Event()

    def watch() -> None:
        while not end.wait(LOOK_S):
            lookout.look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        end.set()
        watcher.join()


def _unix_sockets(pid: int) -> set[str]:
    """Return the Unix sockets that a process has open (Linux)."""
    lines = Path("/proc/net/unix").read_text("ascii", "replace").splitlines()[1:]
    unix = {f"socket:[{line.split()[6]}]" for line in lines}
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.add(str(descriptor.readlink()))
    return found & unix


if __name__ == "__main__":
    main()
