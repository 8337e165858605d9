"""Without the proof of growth, a witness cosigns two histories of one log."""

from __future__ import annotations

from sandbox.audit import journal


def apply() -> None:
    journal.check_extends = lambda *_: None
