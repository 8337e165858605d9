"""Without looking into a context, TenSEAL would make or take whatever keys it asks for."""

from __future__ import annotations

from sandbox.crypto import envelope


def apply() -> None:
    envelope._checked_context = lambda context, *_: context
