"""Progress of a job where people look: a bar on a terminal or in a notebook, nothing elsewhere."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING

from sandbox.messages import text

if TYPE_CHECKING:
    from rich.console import Console

    from sandbox.jobview import JobView, JoinProgress

PHASES = ("submitted", "offering", "roster", "computing", "adding", "witnessing", "done")


@contextmanager
def bar(console: Console) -> Iterator[Callable[[JobView], None]]:
    """Show a bar on `console`; what is yielded moves it. It is gone afterwards."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("", total=len(PHASES) - 1)

        def move(view: JobView) -> None:
            shown.update(task, completed=done(view), description=description(view))

        yield move


@contextmanager
def notebook_bar() -> Iterator[Callable[[JobView], None]]:
    """Show a bar under a notebook's cell, with HTML alone; it is gone afterwards."""
    display = importlib.import_module("IPython.display")
    shown = display.display(display.HTML(""), display_id=True)

    def move(view: JobView) -> None:
        drawn = f'<progress value="{done(view):g}" max="{len(PHASES) - 1}"></progress>'
        shown.update(display.HTML(f"{drawn} {escape(description(view))}"))

    try:
        yield move
    finally:
        shown.update(display.HTML(""))


@contextmanager
def notebook_progress(
    given: Callable[[JobView], None] | None,
) -> Iterator[Callable[[JobView], None] | None]:
    """Yield `given`, or in a notebook a bar, or None."""
    if given is not None or not in_notebook():
        yield given
        return
    with notebook_bar() as move:
        yield move


def in_notebook() -> bool:
    """Tell whether this code runs in a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def done(view: JobView) -> float:
    """Return how far a job is, in phases; a join that runs is as far as its slowest member."""
    at = PHASES.index(view.phase) if view.phase in PHASES else len(PHASES) - 1
    return at + min((each.moved / each.all for each in view.progress if each.all), default=0)


def description(view: JobView) -> str:
    """Return a job's phase, and what its members do or for whom it waits."""
    phase = text("progress.phase", phase=text(f"phase.{view.phase}"))
    if view.progress:
        return text("progress.joining", members="; ".join(map(member_at, view.progress)))
    if not view.waiting:
        return phase
    parties = ", ".join(waiting.party for waiting in view.waiting)
    return f"{phase}; {text('progress.waiting', parties=parties)}"


def member_at(progress: JoinProgress) -> str:
    """Return where one member of a join is; a phase of another version's coordinator reads as it is."""
    try:
        phase = text(f"join_phase.{progress.phase}")
    except KeyError:
        phase = progress.phase
    if not progress.total:
        return text("progress.member", party=progress.party, phase=phase)
    percent = 100 * progress.done // progress.total
    return text("progress.share", party=progress.party, phase=phase, percent=percent)
