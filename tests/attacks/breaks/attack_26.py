"""Let people group by the key that names single people."""

from __future__ import annotations

from sandbox.sql import plan


def apply() -> None:
    plan.no_keys = lambda *_: None
