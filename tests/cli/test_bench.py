"""`sandbox bench` measures in a checkout and says kindly what it lacks elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import run


def test_bench_writes_every_run_and_a_plot(tmp_path: Path) -> None:
    file = tmp_path / "joins.json"
    ended = run("bench", "--rows", "100,200", "--runs", "1", "--output", file)
    assert ended.code == 0, ended.stderr
    runs = json.loads(file.read_text("utf-8"))["runs"]
    exact = {(each["rows"], each["matched"]) for each in runs if "matched_interval" not in each}
    assert exact == {(100, 50), (200, 100)}
    ours = {(each["mode"], each["rows"]) for each in runs if each["system"] == "fedsandbox"}
    modes = ("blind", "prepared", "verified", "psi")
    assert ours == {(mode, rows) for mode in modes for rows in (100, 200)}
    assert (tmp_path / "joins.svg").read_text("utf-8").startswith("<?xml")


def test_bench_that_fails_ends_with_the_same_status(tmp_path: Path) -> None:
    ended = run("bench", "--peers", "nobody", "--output", tmp_path / "joins.json")
    assert ended.code == 2
    assert not list(tmp_path.iterdir())


def test_bench_of_an_installed_package_names_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.cli.bench.CHECKOUT", tmp_path)
    ended = run("bench")
    assert ended.code == 7
    assert "SB-5060" in ended.stderr
    assert "Clone the repository" in ended.stderr
