"""`sandbox join`: tables without a command join ids; its commands do what their names say."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox.cli import join


class Asked(Exception):
    """What a session would have been asked."""

    def __init__(self, what: str, *given: object) -> None:
        super().__init__(what)
        self.said = (what, *given)


class Session:
    """Raises whatever it is asked."""

    def __getattr__(self, name: str) -> Any:
        def ask(*given: object, **named: object) -> None:
            raise Asked(name, *given, *(named[key] for key in sorted(named)))

        return ask


@pytest.fixture(autouse=True)
def session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "session_of", lambda profile: Session())


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("a.people b.buys --on id", ("join", "a.people", "b.buys", "id", "csv", False)),
        ("--on id a.people b.buys", ("join", "a.people", "b.buys", "id", "csv", False)),
        ("ids a.people b.buys --on id", ("join", "a.people", "b.buys", "id", "csv", False)),
        ("grants a.people b.buys --on id", ("join", "a.people", "b.buys", "id", False)),
        ("forget shops", ("forget", "shops")),
        ("prepared", ("matchings",)),
    ],
)
def test_commands_ask_what_they_say(written: str, said: tuple[object, ...]) -> None:
    ended = CliRunner().invoke(join.app, written.split())
    assert isinstance(ended.exception, Asked)
    assert ended.exception.said == said


def test_preparation_passes_on_its_price_its_days_and_its_check() -> None:
    written = "prepare shops a.people b.buys --on id=buyer --epsilon 0.05 --delta 1e-10 --days 7"
    ended = CliRunner().invoke(join.app, [*written.split(), "--verify"])
    assert isinstance(ended.exception, Asked)
    what, *given = ended.exception.said
    assert what == "prepare"
    expected = ["shops", "a.people", "b.buys", "id=buyer", "7", "1E-10", "0.05", "True"]
    assert list(map(str, given)) == expected


def test_without_anything_it_says_what_there_is() -> None:
    assert "prepare" in CliRunner().invoke(join.app, ["--help"]).output
