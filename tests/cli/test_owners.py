"""The everyday commands of owners, of who verifies and of who looks whether all is well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.commands import ok, refused, run
from tests.cli.plant import SPEND, answered, plant, policy_with
from tests.endtoend import deployment

__all__ = ["answered", "plant"]

NOBODY = "fs1" + "a" * 32


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
