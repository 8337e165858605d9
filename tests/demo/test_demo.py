"""`sandbox demo`: the contract of its JSON, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.audit.receipt import Receipt, verify_receipt
from sandbox.processes import port_is_free

SANDBOX = Path(sys.executable).parent / "sandbox"


def demo(*arguments: str, temporary: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(temporary), "SANDBOX_LANG": "en"}
    return subprocess.run(
        [str(SANDBOX), "demo", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("demo") / "kept"
    ran = demo("--format", "json", "--keep", str(folder), temporary=folder.parent)
    assert ran.returncode == 0, ran.stderr
    return folder, json.loads(ran.stdout)


def test_json_names_processes_and_queries(kept: tuple[Path, dict[str, Any]]) -> None:
    _, shown = kept
    assert shown["schema_version"] == 1
    roles = [process["role"] for process in shown["processes"]]
    assert roles == ["coordinator", "node", "node", "node"]
    assert len(shown["queries"]) == 5
    for query in shown["queries"]:
        assert query["epsilon"] == 1
        assert query["delta"] == 1e-6
        assert query["rows"]
        for row in query["rows"]:
            assert {"group", "estimate", "low", "high", "exact"} <= set(row)
            assert row["low"] <= row["estimate"] <= row["high"]


def test_exact_answers_lie_near_the_estimates(kept: tuple[Path, dict[str, Any]]) -> None:
    """Noise at 5 times the half width has a chance below 1e-9 for each of some 25 numbers."""
    _, shown = kept
    for query in shown["queries"]:
        for row in query["rows"]:
            half = (row["high"] - row["low"]) / 2
            assert abs(row["exact"] - row["estimate"]) <= 5 * half + 1e-9, row


def test_receipts_lie_in_the_kept_folder_and_verify(kept: tuple[Path, dict[str, Any]]) -> None:
    folder, shown = kept
    for query in shown["queries"]:
        receipt = Path(query["receipt"])
        assert receipt.is_relative_to(folder)
        assert verify_receipt(Receipt.from_json(receipt.read_text()), None).ok


def test_processes_are_gone_and_ports_free(kept: tuple[Path, dict[str, Any]]) -> None:
    _, shown = kept
    for process in shown["processes"]:
        with pytest.raises(ProcessLookupError):
            os.kill(process["pid"], 0)
        assert port_is_free(process["port"])


def test_without_keep_nothing_is_left_behind(tmp_path: Path) -> None:
    ran = demo(temporary=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert list(tmp_path.iterdir()) == []
    assert "Who learns what" in ran.stdout
    assert ran.stdout.count("The receipt was checked") == 5


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    ran = demo("--keep", str(tmp_path), temporary=tmp_path)
    assert ran.returncode == 3
    assert "SB-1320" in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
