"""The everyday commands of who asks: what they print, what they spend, how they end."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.ipc
import pytest

from sandbox.config import load_researcher
from tests.cli.commands import ok, refused, run, run_bytes
from tests.cli.plant import COUNT, SPEND, answered, plant, policy_with
from tests.endtoend import deployment

__all__ = ["answered", "plant"]

GUARDED = "SELECT COUNT(*) AS n FROM b.spare"


@pytest.fixture(scope="module")
def owner_b(plant: Path) -> tuple[str, Path]:
    """The owner of b, who decides by hand on his dataset `spare`."""
    owner = ("--profile", plant / "nodes" / "b")
    manual = policy_with(plant, "b", 2, 'approval = "automatic"', 'approval = "manual"')
    ok("node", "policy", "set", manual, "--dataset", "spare", *owner)
    return owner


def test_datasets_and_show_tell_what_is_declared_and_allowed_and_no_statistic(plant: Path) -> None:
    listed = ok("datasets", "--profile", plant, "--format", "json").json["datasets"]
    assert {row["name"] for row in listed} >= {"a.machines", "c.spare", "machines"}
    shown = ok("show", "machines", "--profile", plant, "--format", "json").json
    assert {c["column"] for c in shown["columns"]} == {"id", "kind", "torque", "speed", "failed"}
    assert [rule["node"] for rule in shown["policies"]] == ["a", "b", "c"]
    assert shown["row_bound"] == deployment.CARD.row_bound
    bounds = {column["column"]: column["bounds"] for column in shown["columns"]}
    assert (bounds["torque"], bounds["kind"]) == ({"low": "0", "high": "80"}, None)
    allowed = {"low": "0.01", "high": "2"}
    assert [rule["epsilon_per_job"] for rule in shown["policies"]] == [allowed] * 3
    assert {str(row["epsilon_per_job"]) for row in listed} == {str(allowed)}
    read = ok("show", "machines", "--profile", plant).stdout
    assert "0.01 … 2" in read
    assert "0 … 80" in read


def test_unknown_table_is_refused_with_the_nearest(plant: Path) -> None:
    ended = refused(3, "SB-1382", "show", "machinez", "--profile", plant)
    assert "machines" in ended.stderr


def test_mock_rows_come_from_the_card_alone(plant: Path, tmp_path: Path) -> None:
    for name in ("mock.csv", "again.csv"):
        ok("mock", "machines", "-o", tmp_path / name, "--rows", "50", "--profile", plant)
    assert (tmp_path / "mock.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()
    rows = list(csv.DictReader((tmp_path / "mock.csv").open()))
    assert len(rows) == 50
    assert all(1000 <= int(row["speed"]) <= 3000 for row in rows)
    refused(3, "SB-1362", "mock", "machines", "-o", tmp_path / "mock.txt", "--profile", plant)
    nowhere = tmp_path / "nowhere" / "mock.csv"
    refused(3, "SB-1391", "mock", "machines", "-o", nowhere, "--profile", plant)


def test_explain_spends_nothing(plant: Path) -> None:
    before = ok("budget", "--profile", plant, "--format", "json").json["budget"]
    explained = ok("explain", COUNT, *SPEND, "--profile", plant, "--format", "json").json
    assert explained["members"] == 3
    after = ok("budget", "--profile", plant, "--format", "json").json["budget"]
    assert [line["epsilon_remaining"] for line in before] == [
        line["epsilon_remaining"] for line in after
    ]


def test_answer_in_json_has_error_bars_levels_spending_and_a_receipt(
    plant: Path, answered: dict[str, object]
) -> None:
    rows = answered["rows"]
    assert isinstance(rows, list)
    for row in rows:
        bar = row["n"]
        assert bar["low"] <= bar["estimate"] <= bar["high"]
        assert 0.95 <= bar["level"] <= 1
    assert (answered["epsilon"], answered["delta"]) == ("0.2", "0.000001")
    ok("audit", "verify", str(answered["receipt"]), "--profile", plant / "researcher")


def test_answer_as_table_shows_error_bars_and_withheld_groups(
    plant: Path, answered: dict[str, object]
) -> None:
    shown = ok("result", str(answered["job"]), "--profile", plant).stdout
    assert " ± " in shown
    withheld = answered["withheld"]
    assert isinstance(withheld, list)
    for rule in withheld:
        assert f"Withheld groups: {rule['groups']}" in shown
    assert f"sandbox result {answered['job']}" in shown


def test_answer_as_csv_and_arrow_is_all_there_is_on_stdout(
    plant: Path, answered: dict[str, object], tmp_path: Path
) -> None:
    job = str(answered["job"])
    ended = ok("result", job, "--profile", plant, "--format", "csv")
    table = list(csv.reader(io.StringIO(ended.stdout)))
    assert table[0] == ["kind", "n", "n_low", "n_high"]
    assert "Spent" in ended.stderr
    code, stream, _ = run_bytes("result", job, "--profile", plant, "--format", "arrow")
    assert code == 0
    assert pyarrow.ipc.open_stream(stream).read_all().num_rows == len(table) - 1
    file = tmp_path / "answer.arrow"
    kept = ok("result", job, "--profile", plant, "--format", "arrow", "-o", file)
    assert kept.stdout == ""
    assert file.read_bytes() == stream


def test_query_that_could_not_be_written_spends_nothing(plant: Path, tmp_path: Path) -> None:
    jobs = ok("jobs", "--profile", plant, "--format", "json").json["jobs"]
    refused(
        *(3, "SB-1384", "query", COUNT, *SPEND, "--profile", plant),
        *("-o", tmp_path / "nowhere" / "x.csv", "--format", "csv"),
    )
    assert ok("jobs", "--profile", plant, "--format", "json").json["jobs"] == jobs


def test_query_that_demands_more_providers_than_there_are_is_refused(plant: Path) -> None:
    demand = ("--on-missing", "present", "--minimum-members", "4")
    ended = refused(3, "SB-3291", "query", COUNT, *SPEND, *demand, "--profile", plant)
    assert "3" in ended.stderr


def test_query_that_states_no_epsilon_is_refused_with_the_policys_range(plant: Path) -> None:
    assert load_researcher(plant / "researcher").epsilon is None
    ended = refused(3, "SB-3130", "query", COUNT, "--profile", plant)
    assert "0.01" in ended.stderr
    assert "2" in ended.stderr


@pytest.mark.parametrize(
    ("code", "error", "arguments"),
    [
        (3, "SB-1351", ("--epsilon", "much", "--delta", "0")),
        (4, "SB-2018", ("--epsilon", "5", "--delta", "0.000001")),
        (3, "SB-3132", (*SPEND, "--magnitude", "nn=3")),
    ],
)
def test_query_with_wrong_spending_ends_with_its_code(
    plant: Path, code: int, error: str, arguments: tuple[str, ...]
) -> None:
    refused(code, error, "query", COUNT, *arguments, "--profile", plant)


def test_error_in_json_has_code_text_and_cure(plant: Path) -> None:
    ended = run("query", COUNT, "--profile", plant, "--format", "json")
    assert ended.stdout == ""
    error = json.loads(ended.stderr.splitlines()[-1])
    assert error["schema_version"] == 1
    assert error["error"]["code"] == "SB-3130"
    assert error["error"]["cure"]


def test_terminal_is_asked_before_anything_is_spent(plant: Path) -> None:
    jobs = ok("jobs", "--profile", plant, "--format", "json").json["jobs"]
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "sandbox", "query", COUNT, *SPEND, "--profile", str(plant)]
    asking = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(theirs)
    os.write(ours, b"n\n")
    out, err = asking.communicate(timeout=60)
    os.close(ours)
    assert (asking.returncode, out) == (1, b"")
    assert b"0.2" in err, "the cost comes first"
    assert ok("jobs", "--profile", plant, "--format", "json").json["jobs"] == jobs


def asking_in_another_process(plant: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sandbox", "query", GUARDED, *SPEND, "--profile", str(plant)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite that runs in the background was given SIGINT to ignore, and hands that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def test_interrupted_query_goes_on_and_says_how_to_come_back(
    plant: Path, owner_b: tuple[str, Path]
) -> None:
    asking = asking_in_another_process(plant)
    try:
        job = _waiting_job(plant, asking)
        time.sleep(0.5)  # until the query has read of its waiting, too
        asking.send_signal(signal.SIGINT)
        out, err = asking.communicate(timeout=30)
    finally:
        asking.kill()
    assert (asking.returncode, out) == (130, "")
    assert f"sandbox result {job}" in err

    state = ok("job", job, "--profile", plant, "--format", "json").json
    assert state["phase"] == "offering"
    assert [(each["party"], each["reason"]) for each in state["waiting"]] == [("b", "approval")]
    assert "approval" in ok("job", job, "--profile", plant).stdout
    refused(3, "SB-3123", "result", job, "--profile", plant)

    waiting = ok("approvals", *owner_b, "--format", "json").json["approvals"]
    assert [each["job"] for each in waiting] == [job]
    watched: list[str] = []
    watching = threading.Thread(
        target=lambda: watched.append(
            ok("job", job, "--watch", "--profile", plant, "--format", "json").stdout
        )
    )
    ok("approve", job, "--reason", "agreed", *owner_b)
    watching.start()
    watching.join(60)
    states = [json.loads(line) for line in watched[0].splitlines()]
    assert states[-1]["phase"] == "done"
    ok("result", job, "--profile", plant)
    refused(3, "SB-1450", "approve", job, "--reason", "again", *owner_b)


def _waiting_job(plant: Path, asking: subprocess.Popen[str], timeout_s: float = 60) -> str:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and asking.poll() is None:
        for job in ok("jobs", "--profile", plant, "--format", "json").json["jobs"]:
            if job["waiting"] == ["b"]:
                return str(job["job"])
        time.sleep(0.1)
    asking.kill()
    raise AssertionError(f"no job waits for b: {asking.communicate()}")


@pytest.mark.parametrize("act", ["reject", "cancel"])
def test_rejected_and_cancelled_jobs_say_so(
    plant: Path, owner_b: tuple[str, Path], act: str
) -> None:
    asking = asking_in_another_process(plant)
    try:
        job = _waiting_job(plant, asking)
        if act == "reject":
            ok("reject", job, "--reason", "not our purpose", *owner_b)
        else:
            ok("cancel", job, "--profile", plant)
        out, err = asking.communicate(timeout=60)
    finally:
        asking.kill()
    assert out == ""
    phase = ok("job", job, "--profile", plant, "--format", "json").json["phase"]
    if act == "reject":
        assert (asking.returncode, phase) == (4, "failed")
        assert "not our purpose" in err
        assert "Refused by: b" in err
    else:
        assert phase == "cancelled"
        assert (asking.returncode, err.count("SB-3290")) == (3, 1)
        refused(3, "SB-3290", "result", job, "--profile", plant)
