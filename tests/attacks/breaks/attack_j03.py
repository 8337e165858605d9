"""Break j03: keys of a pair follow from what everybody sees."""

from __future__ import annotations

from sandbox.crypto.join.channel import Pair


def apply() -> None:
    key = Pair.key

    def public(self: Pair, purpose: str) -> bytes:
        return key(Pair(b"", self.transcript, self._own, self.peer), purpose)

    Pair.key = public  # type: ignore[method-assign]
