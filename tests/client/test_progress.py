"""Progress moves a bar by phases and names whom a job waits for; elsewhere it is silent."""

from __future__ import annotations

import io
import sys
from types import ModuleType, SimpleNamespace

import pytest
from rich.console import Console

from sandbox.client import JobView, WaitingFor
from sandbox.messages import text
from sandbox.progress import PHASES, bar, in_notebook, notebook_progress


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


def test_every_phase_a_job_can_have_is_shown_in_both_languages() -> None:
    for phase in (*PHASES, "failed", "cancelled"):
        assert text(f"phase.{phase}")


def test_outside_of_a_notebook_nothing_is_shown() -> None:
    assert not in_notebook()
    with notebook_progress(None) as move:
        assert move is None


def test_in_a_notebook_a_bar_is_shown_unless_a_progress_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = ModuleType("IPython")
    shell = type("ZMQInteractiveShell", (), {})()
    kernel.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    assert in_notebook()
    seen: list[object] = []
    with notebook_progress(seen.append) as move:
        assert move is not None
        move(SimpleNamespace())  # type: ignore[arg-type]
    assert len(seen) == 1
