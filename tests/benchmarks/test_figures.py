"""docs/performance.md says what the committed results say, and they do not say whose machine it was."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import figures, report

ROOT = Path(__file__).resolve().parent.parent.parent
MACHINE = {"cpu", "cores", "memory_gib", "system", "python", "packages"}


def test_performance_page_is_what_the_results_render() -> None:
    page = figures.PAGE.read_text(encoding="utf-8")
    assert figures.render(page) == page, "run make figures"


def test_page_shows_every_figure_and_marks_it_once() -> None:
    page = figures.PAGE.read_text(encoding="utf-8")
    marked = re.findall(r"<!-- figure (\w+) -->", page)
    assert len(marked) == len(set(marked)) == page.count("<!-- end -->")


def test_a_changed_result_changes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*figures.RESULTS, *figures.WITH_DATA, *figures.WITH_PEERS):
        result = report.read(name)
        if name == "latency":
            result["measured"]["seconds"]["median"] = 1.234
        (tmp_path / f"{name}.json").write_text(json.dumps(result), encoding="utf-8")
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    assert "1.234 s" in figures.render(figures.PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [*figures.RESULTS, *figures.WITH_DATA])
def test_result_names_machine_and_command_and_nobody(name: str) -> None:
    result: dict[str, Any] = report.read(name)
    assert result["schema_version"] == report.SCHEMA_VERSION
    assert set(result["machine"]) == MACHINE
    written = f"--json benchmarks/results/{name}.json"
    assert re.fullmatch(
        rf"python -m benchmarks\.{name}( --[a-z]+ (\d+|DIR))* {written}", result["command"]
    )
    assert names_nobody(result)


@pytest.mark.parametrize("name", figures.WITH_PEERS)
def test_result_of_joins_names_peers_and_network_too(name: str) -> None:
    result: dict[str, Any] = report.read(name)
    assert result["schema_version"] == report.SCHEMA_VERSION
    assert set(result["machine"]) == MACHINE | {"peers", "network", "load_average_before"}
    written = f"--json benchmarks/results/{name}.json"
    assert re.fullmatch(
        rf"python -m benchmarks\.join( --[a-z-]+ [\w,]+)+ {written}", result["command"]
    )
    assert names_nobody(result)


def names_nobody(result: dict[str, Any]) -> bool:
    """Whether nothing but the command looks like a place on somebody's machine."""
    without = json.dumps(result).replace(result["command"], "")
    return not re.search(r"/(home|root|tmp|Users|work)/", without)


def test_make_bench_measures_every_result() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^BENCHMARKS := (.*)$", makefile, re.MULTILINE)
    assert set(listed.split()) == set(figures.RESULTS)
    for name in figures.RESULTS:
        assert (ROOT / "benchmarks" / f"{name}.py").exists()


def test_spread_is_of_the_timings_given() -> None:
    seconds = [0.5, 0.1, 0.3, 0.2, 0.4]
    assert report.spread(seconds) == {
        "count": 5,
        "median": 0.3,
        "p95": 0.5,
        "least": 0.1,
        "greatest": 0.5,
    }
    hundred = report.spread([number / 100 for number in range(1, 101)])
    assert (hundred["p95"], hundred["median"]) == (0.95, 0.505)
