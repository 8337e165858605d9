"""What people give wrongly ends with a code and a cure, never with a traceback; nothing need run."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import local
from tests.cli.commands import ok, run


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mistakes") / "plant"
    local.init(folder, ("a", "b"))
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ("audit", "export", "{nowhere}", "--profile", "{plant}/nodes/a"),
        ("identity", "backup", "{nowhere}", "--profile", "{plant}"),
        ("local", "init", "{nowhere}", "--nodes", "a"),
    ],
)
def test_file_that_cannot_be_written_is_named(
    plant: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "inside"
    ended = run(*(part.format(nowhere=nowhere, plant=plant) for part in command))
    assert (ended.code, ended.stderr[:8]) == (3, "SB-1391 ")
    assert str(nowhere.parent) in ended.stderr


def test_policy_that_is_no_text_is_refused(plant: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_bytes(b"\xff\xfe")
    ended = run(
        "node", "policy", "set", tmp_path / "policy.toml", "--profile", plant / "nodes" / "a"
    )
    assert (ended.code, ended.stderr[:8]) == (3, "SB-1300 ")


READERS: list[tuple[str, ...]] = [
    ("node", "policy", "set", "{file}", "--profile", "{plant}/nodes/a"),
    ("node", "add-dataset", "{plant}/nodes/a", "rows.csv", "--card", "{file}"),
    ("config", "check", "{file}"),
    ("audit", "verify", "{file}"),
    ("collection", "add", "{file}", "--profile", "{plant}/nodes/a"),
]


@pytest.mark.parametrize("command", READERS, ids=lambda command: " ".join(command[:3]))
@pytest.mark.parametrize("bytes_there", [None, b"\xff\xfe"], ids=["missing", "no text"])
def test_why_a_file_cannot_be_read_is_told_in_the_readers_language(
    plant: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    bytes_there: bytes | None,
) -> None:
    file = tmp_path / "given.toml"
    if bytes_there is not None:
        file.write_bytes(bytes_there)
    monkeypatch.setenv("SANDBOX_LANG", "zh")
    ended = run(*(part.format(file=file, plant=plant) for part in command))
    assert (ended.code, ended.stderr[:8]) in {(3, "SB-1300 "), (3, "SB-1200 ")}
    assert ("不存在" if bytes_there is None else "不是 UTF-8 文本") in ended.stderr


@pytest.mark.parametrize("command", ["datasets", "jobs", "budget"])
@pytest.mark.parametrize("party", ["nodes/a", "coordinator"])
def test_profile_of_another_role_is_named_as_such(plant: Path, command: str, party: str) -> None:
    ended = run(command, "--profile", plant / party)
    assert (ended.code, ended.stderr[:8]) == (3, "SB-1392 ")
    assert party.partition("s/")[0] in ended.stderr


def test_name_that_is_like_no_other_since_there_is_none_is_told_plainly(plant: Path) -> None:
    ended = run("node", "remove-dataset", plant / "nodes" / "a", "meters")
    assert (ended.code, ended.stderr[:8]) == (3, "SB-1393 ")
    assert ok("node", "datasets", plant / "nodes" / "a").stdout


def test_what_is_no_jobs_id_cannot_be_cancelled(plant: Path) -> None:
    ended = run("cancel", "nope", "--profile", plant)
    assert (ended.code, ended.stderr[:8]) == (3, "SB-3124 ")
