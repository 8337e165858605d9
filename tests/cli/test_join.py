"""`sandbox join` and `--malicious` at the command line: shown before, told after, refused by name."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import ok, refused, run
from tests.endtoend import deployment, shops
from tests.endtoend.test_disclosures import allow, in_both

JOIN = ("join", "a.people", "b.purchases", "--on", "id=buyer", "--yes")
COUNT = "SELECT COUNT(*) AS n FROM a.people WHERE id IN (SELECT buyer FROM b.purchases)"
SPEND = ("--epsilon", "0.2", "--delta", "0.000001")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("join") / "plant"
    shops.make(folder)
    allow(folder, "b", "purchases", ("a",))
    with deployment.running(folder):
        yield folder


def test_join_says_who_learns_what_before_and_where_the_file_lies_after(plant: Path) -> None:
    ended = ok(*JOIN, "--profile", plant)
    assert "a.people: which of its own ids b.purchases has, exactly" in ended.stderr
    assert "semi-honest" in ended.stderr
    assert "600 keys" in ended.stderr
    assert "joined/" in ended.stdout
    for shown in (ended.stdout, ended.stderr):
        assert str(len(in_both(plant))) not in shown.replace(str(plant), "")
        assert "P0" not in shown


def test_join_as_json_names_job_node_file_and_receipt_and_the_variant_that_ran(plant: Path) -> None:
    document = ok(*JOIN, "--malicious", "--format", "json", "--profile", plant).json
    assert (document["node"], document["malicious"]) == ("a", True)
    assert set(document["who_learns_what"]) == {
        "researcher",
        "provider",
        "coordinator",
        "outsider",
    }
    with (plant / "nodes" / "a" / document["file"]).open(newline="") as file:
        assert sorted(row["id"] for row in csv.DictReader(file)) == in_both(plant)
    shown = ok("audit", "verify", document["receipt"], "--profile", plant).stdout
    assert "Node a learnt which of its own ids match" in shown
    assert ok("result", document["job"], "--profile", plant).stdout.count("joined/") == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("join", "a.people", "b.purchase", "--on", "id=buyer"), "SB-1004"),
        (("join", "a.people", "b.purchases", "--on", "id"), "SB-1005"),
        (("join", "a.people", "b.purchases", "--on", "id="), "SB-1093"),
        (("query", "SELECT COUNT(*) FROM a.people", "--malicious", *SPEND), "SB-1092"),
    ],
)
def test_join_that_cannot_be_is_refused_by_name(
    plant: Path, arguments: tuple[str, ...], error: str
) -> None:
    refused(3, error, *arguments, "--yes", "--profile", plant)


def test_sender_that_names_nobody_is_named_with_its_rule(plant: Path) -> None:
    back = ("join", "b.purchases", "a.people", "--on", "buyer=id", "--yes", "--profile", plant)
    ended = run(*back)
    assert ended.code == 4
    assert "SB-2250" in ended.stderr
    assert "disclose_ids_to" in ended.stderr


def test_explain_says_which_variant_of_a_semi_join_runs(plant: Path) -> None:
    plain = ok("explain", COUNT, *SPEND, "--profile", plant).stdout
    held = ok("explain", COUNT, *SPEND, "--malicious", "--profile", plant).stdout
    assert "semi-honest" in plain
    assert "malicious variant" in held
    assert "semi-honest" not in held
