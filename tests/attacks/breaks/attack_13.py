"""Open a session without locking its settings."""

from __future__ import annotations

from nodes import sources
from tests.attacks.breaks import sql


def apply() -> None:
    sources.open_locked = sql.opened_without("SET lock_configuration")
