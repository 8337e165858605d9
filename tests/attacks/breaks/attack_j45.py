"""Break j45: members compare products, and nothing of the slots."""

from __future__ import annotations

from sandbox.crypto.join.verified import MatchingCheck
from sandbox.crypto.join.words import Words


def apply() -> None:
    def nothing(self: MatchingCheck, share: Words) -> bytes:
        return b""

    MatchingCheck.value = nothing  # type: ignore[method-assign]
