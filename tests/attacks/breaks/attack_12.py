"""Open a session without taking away its access to files."""

from __future__ import annotations

from nodes import sources
from tests.attacks.breaks import sql


def apply() -> None:
    sources.open_locked = sql.opened_without("SET enable_external_access", "SET lock_configuration")
