"""Let people group by the key that names single people."""

from __future__ import annotations

from sandbox.sql import onetable


def apply() -> None:
    onetable.no_keys = lambda *_: None
