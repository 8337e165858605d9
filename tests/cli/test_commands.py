"""The everyday commands against one running deployment: what they print, how they end."""

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
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.ipc
import pytest

from sandbox.cards import card_toml
from sandbox.config import load_researcher
from tests.cli.commands import ok, refused, run, run_bytes
from tests.endtoend import deployment

COUNT = "SELECT kind, COUNT(*) AS n FROM machines GROUP BY kind"
GUARDED = "SELECT COUNT(*) AS n FROM b.spare"
SPEND = ("--epsilon", "0.2", "--delta", "0.000001")
NOBODY = "fs1" + "a" * 32


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("commands") / "plant"
    deployment.make(folder)
    spare = replace(deployment.CARD, name="spare", typical_rows=100)
    (folder / "spare.toml").write_text(card_toml(spare), encoding="utf-8")
    for seed, node in enumerate(deployment.NODES, start=10):
        deployment.write_rows(folder / f"{node}.csv", seed, 100)
        ok(
            *("node", "add-dataset", folder / "nodes" / node, folder / f"{node}.csv"),
            *("--card", folder / "spare.toml"),
        )
    with deployment.running(folder):
        yield folder


@pytest.fixture(scope="module")
def owner_b(plant: Path) -> tuple[str, Path]:
    """The owner of b, who decides by hand on his dataset `spare`."""
    owner = ("--profile", plant / "nodes" / "b")
    manual = policy_with(plant, "b", 2, 'approval = "automatic"', 'approval = "manual"')
    ok("node", "policy", "set", manual, "--dataset", "spare", *owner)
    return owner


@pytest.fixture(scope="module")
def answered(plant: Path) -> dict[str, object]:
    """One query's JSON."""
    document = ok("query", COUNT, *SPEND, "--profile", plant, "--format", "json").json
    assert isinstance(document, dict)
    return document


def policy_with(plant: Path, node: str, version: int, old: str, new: str) -> Path:
    """Write the policy in force at a node with one thing changed; return the file."""
    profile = plant / "nodes" / node
    written = ok("node", "policy", "show", "--profile", profile).stdout
    assert old in written
    file = profile / "policy.toml"
    changed = written.replace(old, new).splitlines()
    lines = [f"version = {version}" if line.startswith("version") else line for line in changed]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


# Asking


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
        job = _waiting_job(plant)
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


def _waiting_job(plant: Path, timeout_s: float = 60) -> str:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        for job in ok("jobs", "--profile", plant, "--format", "json").json["jobs"]:
            if job["waiting"] == ["b"]:
                return str(job["job"])
        time.sleep(0.1)
    raise AssertionError("no job waits for b")


@pytest.mark.parametrize("act", ["reject", "cancel"])
def test_rejected_and_cancelled_jobs_say_so(
    plant: Path, owner_b: tuple[str, Path], act: str
) -> None:
    asking = asking_in_another_process(plant)
    try:
        job = _waiting_job(plant)
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


# Owners


def test_policy_of_one_dataset_differs_from_the_nodes(plant: Path) -> None:
    owner, sql = ("--profile", plant / "nodes" / "c"), "SELECT COUNT(*) AS n FROM c.spare"
    strict = policy_with(plant, "c", 2, 'epsilon_max = "2"', 'epsilon_max = "0.1"')
    tried = ok(
        *("node", "policy", "dry-run", strict, "--sql", sql, "--epsilon", "0.2"),
        *(*owner, "--format", "json"),
    ).json["answers"]
    assert [(each["dataset"], each["found"][:7]) for each in tried] == [("spare", "SB-2018")]
    now = ok(
        *("node", "policy", "dry-run", "--sql", sql, "--epsilon", "0.2", *owner),
        *("--format", "json"),
    ).json["answers"]
    assert now[0]["what_to_do"] == ""
    ok("node", "policy", "set", strict, "--dataset", "spare", *owner)
    shown = ok("node", "policy", "show", "--dataset", "spare", *owner, "--format", "json").json
    assert (shown["version"], shown["dataset"]) == (2, "spare")
    assert ok("node", "policy", "show", *owner, "--format", "json").json["version"] == 1
    refused(4, "SB-2018", "query", sql, *SPEND, "--profile", plant)
    refused(3, "SB-1442", "node", "policy", "set", strict, "--dataset", "spare", *owner)
    refused(3, "SB-1440", "node", "policy", "set", strict, "--dataset", "spar", *owner)


def test_dataset_is_drafted_registered_replaced_and_withdrawn(plant: Path, tmp_path: Path) -> None:
    node = plant / "nodes" / "a"
    deployment.write_rows(tmp_path / "more.csv", 7, 50)
    draft = ok(
        *("node", "inspect", tmp_path / "more.csv", "--unit", "id", "--name", "more"),
        *("--bounds", "torque=0:80", "--bounds", "speed=1000:3000", "--row-bound", "100"),
    ).stdout
    card = tmp_path / "more.toml"
    card.write_text(draft, encoding="utf-8")
    ok("node", "add-dataset", node, tmp_path / "more.csv", "--card", card)
    deployment.write_rows(tmp_path / "newer.csv", 8, 60)
    ok("node", "replace-data", node, "more", tmp_path / "newer.csv")
    rows = ok("node", "datasets", node, "--format", "json").json["datasets"]
    groups = {row["name"]: row["group"] for row in rows}
    assert set(groups) == {"machines", "more", "spare"}
    ok("node", "remove-dataset", node, "more")
    refused(3, "SB-1440", "node", "remove-dataset", node, "more")


def test_pins_are_listed_taken_back_and_given_again(plant: Path) -> None:
    owner = ("--profile", plant / "nodes" / "a")
    peer = ok("identity", "show", "--profile", plant / "nodes" / "b", "--format", "json").json
    ok("node", "untrust", peer["fingerprint"], *owner)
    trusted = ok("node", "trusted", *owner, "--format", "json").json["trusted"]
    assert peer["fingerprint"] not in {each["fingerprint"] for each in trusted}
    ok("node", "trust", peer["fingerprint"], *owner)
    refused(3, "SB-1334", "node", "trust", NOBODY, *owner)
    refused(3, "SB-1335", "node", "trust", plant / "nodes" / "a" / "config.toml", *owner)
    refused(3, "SB-1333", "node", "trusted", "--profile", plant / "researcher")


def test_collection_goes_from_owner_to_owner_until_all_have_signed(
    plant: Path, tmp_path: Path
) -> None:
    file = tmp_path / "pair.json"
    b = plant / "nodes" / "b"
    who = ok("identity", "show", "--profile", b, "--format", "json").json["fingerprint"]
    proposed = ok(
        *("collection", "create", "pair", "--dataset", "machines", "--member", f"{who}:machines"),
        *("-o", file, "--profile", plant / "nodes" / "a"),
    )
    assert "1 of 2" in proposed.stdout
    signed = ok("collection", "show", file, "--format", "json").json["members"]
    assert sorted(member["signed"] for member in signed) == [False, True]
    named = ok("collection", "show", file, "--profile", b, "--format", "json").json["members"]
    assert sorted(member["name"] for member in named) == ["a", "b"]
    refused(3, "SB-1300", "collection", "add", tmp_path / "none.json", "--profile", b)
    refused(3, "SB-1333", "collection", "add", file, "--profile", plant / "researcher")
    refused(3, "SB-1372", "collection", "add", file, "--profile", plant / "nodes" / "c")
    ok("collection", "add", file, "--profile", b)
    at_b = ok("collection", "show", "pair", "--profile", b, "--format", "json").json["members"]
    assert [(member["dataset"], member["signed"]) for member in at_b] == [("machines", True)] * 2
    refused(3, "SB-1388", "collection", "show", "pear", "--profile", b)
    assert all(
        m["signed"] for m in ok("collection", "show", file, "--format", "json").json["members"]
    )
    end = time.monotonic() + 30
    while "pair" not in ok("datasets", "--profile", plant).stdout:
        assert time.monotonic() < end
        time.sleep(0.2)


def test_researcher_is_refused_by_the_node_that_revoked_him_alone(plant: Path) -> None:
    who = ok("identity", "show", "--profile", plant, "--format", "json").json["fingerprint"]
    asked = ("--epsilon", "0.05", "--delta", "0.000001", "--profile", plant)
    ok("researcher", "revoke", who, "--profile", plant / "nodes" / "a")
    try:
        refused(5, "SB-3115", "query", "SELECT COUNT(*) FROM a.spare", *asked)
        ok("query", "SELECT COUNT(*) FROM c.machines", *asked)
    finally:
        ok("node", "trust", who, "--profile", plant / "nodes" / "a")
    ok("query", "SELECT COUNT(*) FROM a.spare", *asked)
    refused(3, "SB-1332", "researcher", "revoke", who, "--profile", plant / "researcher")


def test_words_of_the_protocol_in_tables_are_in_the_readers_language(
    plant: Path, answered: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_LANG", "zh")
    node = plant / "nodes" / "a"
    trusted = ok("node", "trusted", "--profile", node).stdout
    assert "协调方" in trusted
    assert "节点" in trusted
    assert "已完成" in ok("job", str(answered["job"]), "--profile", plant).stdout
    assert "已完成" in ok("jobs", "--profile", plant).stdout
    document = ok("node", "trusted", "--profile", node, "--format", "json").json
    assert {one["role"] for one in document["trusted"]} >= {"coordinator", "node"}


# Evidence and keys


def test_logs_are_verified_and_the_first_altered_entry_is_named(
    plant: Path, tmp_path: Path
) -> None:
    for party in ("nodes/a", "coordinator", "."):
        assert ok("audit", "verify", "--profile", plant / party, "--format", "json").json["ok"]
    file = tmp_path / "a.log"
    ok("audit", "export", file, "--profile", plant / "nodes" / "a")
    keys = plant / "nodes" / "a" / "identity.json"
    report = ok("audit", "verify", file, "--keys", keys, "--format", "json").json
    assert (report["ok"], report["trusted"]) == (True, True)
    lines = file.read_text().splitlines()
    lines[4] = lines[4].replace('"sequence":3,"time":', '"sequence":3,"time":1')
    file.write_text("\n".join(lines))
    ended = run("audit", "verify", file, "--format", "json")
    assert ended.code == 5
    assert "Entry 3 " in json.loads(ended.stdout)["found"]
    refused(3, "SB-1385", "audit", "verify", "--profile", plant / "researcher")


def test_altered_receipt_ends_with_five(
    plant: Path, answered: dict[str, object], tmp_path: Path
) -> None:
    receipt = json.loads(Path(str(answered["receipt"])).read_text())
    receipt["roster"][0]["signature"] = receipt["roster"][1]["signature"]
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(receipt))
    ended = run("audit", "verify", file)
    assert ended.code == 5
    assert "SB-" in ended.stdout


def test_restored_keys_open_old_results(
    plant: Path, answered: dict[str, object], tmp_path: Path
) -> None:
    archive = tmp_path / "keys.tar"
    ok("identity", "backup", archive, "--profile", plant / "researcher")
    assert archive.stat().st_mode & 0o077 == 0
    refused(8, "SB-3008", "identity", "backup", archive, "--profile", plant / "researcher")
    copy = tmp_path / "copy"
    ok("identity", "restore", archive, "--profile", copy)
    again = ok("result", str(answered["job"]), "--profile", copy, "--format", "json").json
    assert again["rows"] == answered["rows"]
    refused(3, "SB-1381", "identity", "restore", archive, "--profile", copy)
    refused(
        3, "SB-1380", "identity", "restore", plant / "ca" / "ca.crt", "--profile", tmp_path / "x"
    )


# Health


def test_doctor_finds_every_party_and_peer_in_order(plant: Path) -> None:
    checks = ok("doctor", "--profile", plant, "--format", "json").json["checks"]
    assert {check["state"] for check in checks} == {"ok"}
    assert {check["party"] for check in checks} >= {"coordinator", "a", "b", "c", "researcher"}
    names = {check["check"] for check in checks}
    assert names >= {
        *("python", "packages", "disk", "configuration", "certificate", "port", "peer"),
        *("clock", "version"),
    }
    refused(3, "SB-1311", "doctor", "--profile", plant / "nowhere")


def test_config_check_names_file_line_key_and_nearest(plant: Path, tmp_path: Path) -> None:
    good = plant / "nodes" / "a" / "config.toml"
    assert ok("config", "check", good, "--format", "json").json["role"] == "node"
    bad = tmp_path / "nodes" / "a" / "config.toml"
    bad.parent.mkdir(parents=True)
    bad.write_text(good.read_text().replace("listen", "lisen"))
    ended = refused(3, "SB-1302", "config", "check", bad)
    assert "line 2" in ended.stderr
    assert "'listen'" in ended.stderr


def test_chinese_is_spoken_where_it_is_chosen(plant: Path) -> None:
    environment = {**os.environ, "SANDBOX_LANG": "zh"}
    command = [sys.executable, "-m", "sandbox", "show", "nix", "--profile", str(plant)]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 3
    assert "没有" in ended.stderr
