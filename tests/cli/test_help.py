"""Help is quick, complete and has examples; version, exit codes and usage errors are as promised."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import typer

from sandbox.cli.app import COMMANDS, app
from sandbox.cli.help import cells, wrapped
from sandbox.errors import BY_NAME
from sandbox.messages import LANGUAGES
from sandbox.version import __version__
from tests.cli.commands import ok, run

HEAVY = (
    "cryptography",
    "duckdb",
    "grpc",
    "numpy",
    "opendp",
    "pyarrow",
    "pydantic",
    "rich",
    "sqlglot",
    "tenseal",
)


def command_at(path: tuple[str, ...]) -> Any:
    """Return the command that `sandbox PATH` runs."""
    found: Any = ROOT.get_command(None, path[0])  # type: ignore[attr-defined, arg-type]
    for name in path[1:]:
        found = found.commands[name]
    return found


def leaves(command: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield every command below `command`, groups themselves included."""
    yield path
    for name in getattr(command, "commands", {}):
        yield from leaves(command.commands[name], (*path, name))  # type: ignore[attr-defined]


ROOT = typer.main.get_command(app)
ALL = [
    path
    for name in COMMANDS
    for path in leaves(ROOT.get_command(None, name), (name,))  # type: ignore[attr-defined, arg-type]
]


def test_root_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['sandbox', '--help']\n"
        "from sandbox.cli.app import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n"
        f"    print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stderr.strip() == "[]"
    assert all(name in ended.stdout for name in COMMANDS)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_says_what_it_does_with_an_example(path: tuple[str, ...]) -> None:
    helped = ok(*path, "--help").stdout
    typed = "sandbox " + " ".join(path)
    assert f"Usage: {typed} " in helped
    shown = helped.partition("\n\nExamples:\n")[2].splitlines()
    assert any(f"{line} ".startswith(f"  {typed} ") for line in shown)


def test_version_is_printed() -> None:
    assert ok("--version").stdout == f"fedsandbox {__version__}\n"


def test_exit_codes_are_listed_as_errors_have_them() -> None:
    rows = ok("exit-codes", "--format", "json").json["exit_codes"]
    listed = {row["name"]: row["exit_code"] for row in rows}
    assert {name: kind.exit_code for name, kind in BY_NAME.items()}.items() <= listed.items()
    assert len(set(listed.values())) == len(listed)
    assert (listed["ok"], listed["usage"], listed["interrupted"]) == (0, 2, 130)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("quer",), "query"), (("explain", "--epsilom", "1"), "--epsilon"), (("node",), "join")],
)
def test_usage_errors_end_with_two_and_name_what_exists(
    arguments: tuple[str, ...], named: str
) -> None:
    ended = run(*arguments)
    assert ended.code == 2
    assert named in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("quer",), "没有命令“quer”。是否想写“query”？"),
        (("node", "polcy"), "没有命令“polcy”。是否想写“policy”？"),
        (("query", "x", "--epsilonn", "1"), "没有选项 --epsilonn。是否想写 --epsilon？"),
        (("query", "x", "--epsilon"), "--epsilon 之后需要一个值。"),
        (("query", "x", "--yes=3"), "--yes 不带值。"),
        (("query",), "缺少 SQL。"),
        (("query", "x", "--format", "yaml"), "--format 不接受所给的值。"),
        (("mock", "a", "-o", "f", "--rows", "x"), "--rows 不接受所给的值。"),
        (("budget", "more"), "多余的参数：more。"),
    ],
)
def test_mistyped_command_is_told_in_the_readers_language(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.setenv("SANDBOX_LANG", "zh")
    ended = run(*arguments)
    assert (ended.code, ended.stdout) == (2, "")
    assert told in ended.stderr
    for english in ("Error", "Try", "Invalid", "Missing", "No such"):
        assert english not in ended.stderr


def test_no_profile_is_an_error_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SANDBOX_PROFILE", raising=False)
    ended = run("datasets")
    assert (ended.code, ended.stdout) == (3, "")
    assert ended.stderr.startswith("SB-1310 ")
    assert "SANDBOX_PROFILE" in ended.stderr


@pytest.fixture(scope="module")
def pages() -> Callable[[str, int], dict[str, str]]:
    """Return every page by command, as a terminal of a width shows it in a language."""

    @cache
    def shown(lang: str, width: int) -> dict[str, str]:
        code = (
            "import json\nfrom tests.cli.test_help import ALL\nfrom tests.cli.commands import ok\n"
            "print(json.dumps({' '.join(p): ok(*p, '--help').stdout for p in [(), *ALL]}))"
        )
        ended = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env={**os.environ, "SANDBOX_LANG": lang, "COLUMNS": str(width)},
        )
        read: dict[str, str] = json.loads(ended.stdout)
        return read

    return shown


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_pages_fit_and_cut_nothing(
    pages: Callable[[str, int], dict[str, str]], lang: str, width: int
) -> None:
    for command, page in pages(lang, width).items():
        assert max(map(cells, page.splitlines())) <= width, command
        assert "..." not in page, command


def test_what_a_parameter_means_is_a_sentence() -> None:
    for path in ALL:
        for parameter in command_at(path).params:
            meaning = parameter.help or ""
            assert meaning.endswith((".", "。")), (path, parameter.name)
            assert not meaning[0].islower(), (path, parameter.name)


def test_chinese_pages_have_no_heading_of_typers(
    pages: Callable[[str, int], dict[str, str]],
) -> None:
    for command, page in pages("zh", 80).items():
        for english in ("Usage", "Options", "Arguments", "Commands", "default", "required", "Show"):
            assert english not in page, command


def test_long_example_is_what_it_says_once_a_shell_has_read_it(
    pages: Callable[[str, int], dict[str, str]],
) -> None:
    whole = 'sandbox node policy dry-run policy.toml --sql "SELECT COUNT(*) FROM a.meters" --epsilon 0.5'
    page = pages("en", 80)["node policy dry-run"]
    assert whole not in page
    assert whole in re.sub(r" \\\n +", " ", page)


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        ("one two three", ["one two", "three"]),
        ("unbreakable word", ["unbreakable", "word"]),
        ("查询（语句）。", ["查询（语", "句）。"]),
        ("按 Ctrl-C 停止", ["按", "Ctrl-C", "停止"]),
    ],
)
def test_lines_break_between_words_and_between_chinese_characters(
    written: str, lines: list[str]
) -> None:
    assert wrapped(written, 8) == lines


def test_examples_that_ask_say_what_they_would_spend(
    pages: Callable[[str, int], dict[str, str]],
) -> None:
    """None of these is stated by a new profile, and an example should do as it stands."""
    shown = {
        line.strip()
        for page in pages("en", 80).values()
        for line in re.sub(r" \\\n +", " ", page).splitlines()
        if re.match(r"  sandbox (query|explain|join prepare) ", line)
    }
    assert len(shown) >= 7
    for example in shown:
        assert "--delta" in example, example
        assert "--epsilon" in example or "--error" in example, example
