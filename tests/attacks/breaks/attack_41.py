"""Without looking into a context, a secret key inside it goes unnoticed."""

from __future__ import annotations

from sandbox.crypto import envelope


def apply() -> None:
    envelope._checked_context = lambda context, *_: context
