"""Without the comparison with what a witness knows, an old copy is taken for the newest."""

from __future__ import annotations

from sandbox.audit.journal import Journal


def apply() -> None:
    Journal._require_no_later = lambda *_: None  # type: ignore[method-assign, assignment]
