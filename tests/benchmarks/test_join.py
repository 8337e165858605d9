"""The join benchmark: equal rows for all, every run kept, no system that miscounts, honest ratios."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest

from benchmarks import join, plots, serials
from benchmarks.join import Disagreement, measure, summary
from benchmarks.memory import Peak
from benchmarks.peers import parties
from benchmarks.peers.secretflow_psi import crypto_seconds
from benchmarks.serials import Tables
from benchmarks.systems import (
    ENVIRONMENTS,
    PEERS,
    Kind,
    NotBuilt,
    OpenMined,
    Outcome,
    Run,
    SecretFlow,
)

ENTRY = {
    "system",
    "mode",
    "io",
    "rows",
    "matched",
    "seconds",
    "rows_per_s",
    "bytes_per_row",
    "peak_mib",
}
PSI = Kind("psi", "csv")


@dataclass
class Pretended:
    """A system whose seconds are given, for each kind anew; it writes down when it was asked."""

    system: str
    seconds: tuple[float, ...]
    asked: list[str] = field(default_factory=list)
    kinds: tuple[Kind, ...] = (PSI,)
    against: tuple[str, ...] = ("psi",)
    off_by: int = 0
    half_width: int | None = None
    in_memory_s: float | None = None

    @property
    def name(self) -> str:
        return self.system

    @contextmanager
    def ready(self, tables: Tables, folder: Path) -> Iterator[Run]:
        later = {kind: itertools.cycle(self.seconds) for kind in self.kinds}

        def run(kind: Kind, scratch: Path) -> Outcome:
            self.asked.append(self.system)
            found = tables.matched + self.off_by
            wide = self.half_width
            interval = None if wide is None else (found - wide, found + wide)
            return Outcome(found, next(later[kind]), interval, 40 * tables.rows, self.in_memory_s)

        yield run


def measured(
    folder: Path, *systems: Pretended, rows: int = 10, runs: int = 3
) -> list[join.Measured]:
    pairs = [(system, kind) for system in systems for kind in system.kinds]
    return measure(pairs, rows, runs, folder / str(rows), None)


@pytest.mark.parametrize("rows", [1, 2, 7, 1000])
def test_half_of_each_owners_serial_numbers_are_the_others_too(tmp_path: Path, rows: int) -> None:
    tables = serials.write(tmp_path, rows)
    for files in itertools.product(tables.left.values(), tables.right.values()):
        sizes = duckdb.execute(
            f"""SELECT (SELECT count(DISTINCT id) FROM '{files[0]}'),
                (SELECT count(DISTINCT id) FROM '{files[1]}'),
                (SELECT count(*) FROM '{files[0]}' JOIN '{files[1]}' USING (id))"""
        ).fetchone()
        assert sizes == (rows, rows, tables.matched)
    assert tables.matched == math.ceil(rows / 2)


def test_files_of_both_formats_hold_the_same_rows_in_the_same_order(tmp_path: Path) -> None:
    tables = serials.write(tmp_path, 1000)
    for owner in (tables.left, tables.right):
        one, other = (duckdb.execute(f"FROM '{file}'").fetchall() for file in owner.values())
        assert one == other


def test_tables_are_the_same_each_time_and_shuffled(tmp_path: Path) -> None:
    one, two = serials.write(tmp_path / "1", 1000), serials.write(tmp_path / "2", 1000)
    assert one.left["csv"].read_bytes() == two.left["csv"].read_bytes()
    assert one.right["csv"].read_bytes() == two.right["csv"].read_bytes()
    left = [row[0] for row in duckdb.execute(f"SELECT id FROM '{one.left['csv']}'").fetchall()]
    right = [row[0] for row in duckdb.execute(f"SELECT id FROM '{one.right['csv']}'").fetchall()]
    both = set(left) & set(right)
    assert left != sorted(left)
    assert [each for each in left if each in both] != [each for each in right if each in both]


def test_every_single_run_is_kept_in_the_form_of_the_file(tmp_path: Path) -> None:
    found = summary(measured(tmp_path, Pretended("fedsandbox", (0.5, 1.0, 2.0))))
    assert [run["seconds"] for run in found["runs"]] == [0.5, 1.0, 2.0]
    assert all(set(run) == ENTRY for run in found["runs"])
    assert [run["rows_per_s"] for run in found["runs"]] == [20, 10, 5]
    assert {(run["matched"], run["bytes_per_row"]) for run in found["runs"]} == {(5, 40.0)}


def test_systems_alternate_and_none_is_always_first(tmp_path: Path) -> None:
    asked: list[str] = []
    measured(tmp_path, Pretended("fedsandbox", (1,), asked), Pretended("duckdb", (1,), asked))
    assert asked == ["fedsandbox", "duckdb", "duckdb", "fedsandbox", "fedsandbox", "duckdb"]


def test_ratio_is_the_peers_median_by_ours_at_equal_io_only(tmp_path: Path) -> None:
    ours = Pretended("fedsandbox", (1.0, 2.0, 30.0), kinds=(PSI, Kind("blind", "parquet")))
    peer = Pretended("secretflow", (9.0, 12.0, 1.0), in_memory_s=0.5)
    assert summary(measured(tmp_path, ours, peer))["ratios"] == {"psi/secretflow/csv": 4.5}


def test_ratio_is_taken_at_the_most_rows_that_both_joined(tmp_path: Path) -> None:
    ours, peer = Pretended("fedsandbox", (1.0,)), Pretended("openmined", (50.0,))
    found = measured(tmp_path, ours, peer, rows=10)
    found += measured(tmp_path, ours, Pretended("openmined", (300.0,)), rows=20)
    found += measured(tmp_path, Pretended("fedsandbox", (7.0,)), rows=40)
    assert summary(found)["ratios"] == {"psi/openmined/csv": 300.0}


def test_part_in_memory_is_an_entry_of_its_own(tmp_path: Path) -> None:
    found = summary(measured(tmp_path, Pretended("secretflow", (2.0,), in_memory_s=0.5), runs=1))
    assert [(run["io"], run["seconds"]) for run in found["runs"]] == [("csv", 2.0), ("memory", 0.5)]


@pytest.mark.parametrize("off_by", [-1, 1])
def test_a_system_that_miscounts_ends_the_benchmark(tmp_path: Path, off_by: int) -> None:
    with pytest.raises(Disagreement):
        measured(tmp_path, Pretended("fedsandbox", (1.0,), off_by=off_by))


def test_a_noised_count_may_be_off_by_two_half_widths_and_no_more(tmp_path: Path) -> None:
    near = Pretended("fedsandbox", (1.0,), off_by=10, half_width=5)
    (run,) = summary(measured(tmp_path, near, runs=1))["runs"]
    assert run["matched_interval"] == [10, 20]
    with pytest.raises(Disagreement):
        measured(tmp_path / "far", Pretended("fedsandbox", (1.0,), off_by=11, half_width=5))


def test_rows_that_no_capped_peer_joins_bring_its_size_along() -> None:
    chosen = join._options(["--rows", "1048576", "--peers", "openmined,duckdb"])
    assert chosen.sizes == [65_536, 1_048_576]
    names = [system.name for system, _ in join._fitting(chosen.pairs, 1_048_576, chosen.peer_rows)]
    assert list(dict.fromkeys(names)) == ["fedsandbox", "duckdb"]
    assert join._options(["--rows", "1000", "--peers", "openmined"]).sizes == [1000]


@pytest.mark.parametrize("options", [["--peers", "duck"], ["--modes", "circuit"], ["--rows", "0"]])
def test_what_does_not_exist_is_refused_before_anything_runs(options: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        join._options(options)
    assert refused.value.code == 2


def test_duckdb_joins_both_formats(tmp_path: Path) -> None:
    system = PEERS["duckdb"]
    found = measure([(system, kind) for kind in system.kinds], 1000, 1, tmp_path, None)
    assert [(each.label, each.outcome.matched) for each in found] == [
        (("duckdb", "plain", "csv"), 500),
        (("duckdb", "plain", "parquet"), 500),
    ]


@pytest.mark.parametrize("system", [SecretFlow(), OpenMined()], ids=["secretflow", "openmined"])
def test_peer_finds_every_match(tmp_path: Path, system: SecretFlow | OpenMined) -> None:
    if not (ENVIRONMENTS / system.system / ".ready").exists():
        pytest.skip("make peers has not run")
    found = measure([(system, kind) for kind in system.kinds], 300, 1, tmp_path, None)
    assert [each.kind.io for each in found] == ["csv", "memory"]
    assert found[1].outcome.seconds < found[0].outcome.seconds


def test_peer_that_is_not_installed_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.systems.ENVIRONMENTS", tmp_path / "nowhere")
    with pytest.raises(NotBuilt, match="make peers"):
        measure([(SecretFlow(), PSI)], 10, 1, tmp_path, None)


def test_clock_starts_when_the_last_party_is_ready() -> None:
    party = "import sys, time; time.sleep({}); print('ready', flush=True); input(); print('{{}}')"
    commands = [[sys.executable, "-c", party.format(seconds)] for seconds in (0.0, 1.0)]
    ran = parties.run(commands)
    assert ran.start_up_s > 1.0
    assert ran.seconds < ran.start_up_s


def test_party_that_fails_ends_the_others() -> None:
    waits = "print('ready', flush=True); input(); import time; time.sleep(600)"
    dies = "print('ready', flush=True); input(); raise SystemExit(3)"
    with pytest.raises(subprocess.CalledProcessError) as failed:
        parties.run([[sys.executable, "-c", dies], [sys.executable, "-c", waits]])
    assert failed.value.returncode == 3


def test_phase_of_rr22_is_the_sum_over_its_buckets() -> None:
    stamp = "[2026-11-24 18:00:0{}.{}] [info] [rr22_psi.cc:1] {}\n"
    events = [
        (1, "000", "mask size: 10"),
        (2, "500", "get intersection begin"),
        (3, "250", "get intersection end"),
        (5, "000", "mask size: 10"),
        (5, "500", "get intersection end"),
    ]
    log = "".join(stamp.format(*event) for event in events)
    assert crypto_seconds(log) == pytest.approx(2.75)
    with pytest.raises(ValueError, match="began"):
        crypto_seconds(log.partition("get intersection end")[0])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_peak_is_of_the_largest_process_even_when_it_has_let_go_again() -> None:
    takes = "x = bytearray(200 << 20); del x; import time; time.sleep(0.5)"
    with Peak() as peak:
        subprocess.run(
            ["/bin/sh", "-c", f'{sys.executable} -c "{takes}"; exit 0'], check=True, timeout=60
        )
    assert 200 < peak.largest_mib < 300


def test_plot_has_a_line_for_each_system_mode_and_io_ours_first(tmp_path: Path) -> None:
    peer = Pretended("duckdb", (3.0,), kinds=(Kind("plain", "csv"),))
    found = measured(tmp_path, peer, Pretended("fedsandbox", (1.0, 5.0, 2.0)), rows=10)
    found += measured(tmp_path, peer, Pretended("fedsandbox", (4.0,)), rows=20)
    document = json.loads(json.dumps(summary(found)))
    assert plots.lines(document) == {
        "fedsandbox psi csv": [(10, 2.0), (20, 4.0)],
        "duckdb plain csv": [(10, 3.0), (20, 3.0)],
    }
    files = [tmp_path / "1.svg", tmp_path / "2.svg"]
    for file in files:
        plots.draw(document, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert all(f">{label}<" in files[0].read_text("utf-8") for label in plots.lines(document))
