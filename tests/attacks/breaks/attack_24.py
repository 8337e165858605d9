"""Admit every job, whatever is spent."""

from __future__ import annotations

from sandbox.privacy import budget


def apply() -> None:
    budget.within = lambda spent, limits: True
