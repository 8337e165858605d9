"""Charge nothing for a job."""

from __future__ import annotations

from typing import Any

from nodes import ledger


def apply() -> None:
    def free(*_: Any) -> None:
        return None

    ledger.reserve = free
