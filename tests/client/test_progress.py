"""Progress moves a bar by phases and names whom a job waits for; elsewhere it is silent."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest
from rich.console import Console

from sandbox.crypto.join.legs import JoinPhase
from sandbox.jobview import JobView, JoinProgress, WaitingFor
from sandbox.messages import LANGUAGES, catalogue, text
from sandbox.progress import PHASES, bar, done, in_notebook, member_at, notebook_progress


def view(phase: str, *waiting: str) -> JobView:
    parties = tuple(WaitingFor(party, "computing", 0) for party in waiting)
    return JobView("ab" * 16, phase, "SELECT 1", 0, 0, 0, parties, (), None)


def test_the_bar_names_phase_and_parties() -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=200)
    with bar(console) as move:
        move(view("computing", "north"))
    assert "north" in written.getvalue()
    assert text("phase.computing") in written.getvalue()


def test_the_bar_shows_where_members_of_a_join_are_and_moves_with_the_slowest() -> None:
    fast = JoinProgress("north", "multiplying", 30, 40, 90, 100)
    slow = JoinProgress("south", "reading", 0, 0, 25, 100)
    joining = replace(view("computing", "north"), progress=(fast, slow))
    assert done(joining) == PHASES.index("computing") + 0.25
    written = io.StringIO()
    with bar(Console(file=written, force_terminal=True, width=200)) as move:
        move(joining)
    assert "north sends masked columns 75%" in written.getvalue()
    assert "south reads its rows" in written.getvalue()


def test_every_phase_of_a_join_has_words_in_both_languages_and_an_unknown_one_is_shown() -> None:
    for lang in LANGUAGES:
        for phase in JoinPhase:
            assert f"join_phase.{phase}" in catalogue(lang)
    assert "juggling" in member_at(JoinProgress("north", "juggling", 0, 0, 0, 1))


def test_every_phase_a_job_can_have_is_shown_in_both_languages() -> None:
    for phase in (*PHASES, "failed", "cancelled"):
        assert text(f"phase.{phase}")


def test_outside_of_a_notebook_nothing_is_shown() -> None:
    assert not in_notebook()
    with notebook_progress(None) as move:
        assert move is None


class Notebook:
    """What a cell shows: the HTML of each update of its one display."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[str] = []
        kernel, display = ModuleType("IPython"), ModuleType("IPython.display")
        shell = type("ZMQInteractiveShell", (), {})()
        kernel.get_ipython = lambda: shell  # type: ignore[attr-defined]
        display.HTML = str  # type: ignore[attr-defined]
        display.display = self.display  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "IPython", kernel)
        monkeypatch.setitem(sys.modules, "IPython.display", display)

    def display(self, html: str, *, display_id: bool) -> Notebook:
        assert display_id
        self.shown.append(html)
        return self

    def update(self, html: str) -> None:
        self.shown.append(html)


def test_in_a_notebook_a_bar_moves_and_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook(monkeypatch)
    assert in_notebook()
    with notebook_progress(None) as move:
        assert move is not None
        move(view("computing", "<north>"))
        assert 'value="3" max="6"' in notebook.shown[-1]
        assert text("phase.computing") in notebook.shown[-1]
        assert "&lt;north&gt;" in notebook.shown[-1]
    assert notebook.shown[-1] == ""


def test_in_a_notebook_a_given_progress_is_told_and_nothing_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notebook = Notebook(monkeypatch)
    seen: list[object] = []
    with notebook_progress(seen.append) as move:
        assert move is not None
        move(SimpleNamespace())  # type: ignore[arg-type]
    assert (len(seen), notebook.shown) == (1, [])
