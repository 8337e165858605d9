"""Break j24: keys of a pair do not depend on job and roster."""

from __future__ import annotations

from sandbox.crypto.join.channel import Pair


def apply() -> None:
    made = Pair.__init__

    def init(self: Pair, secret: bytes, transcript: bytes, own: str, peer: str) -> None:
        made(self, secret, b"", own, peer)

    Pair.__init__ = init  # type: ignore[method-assign]
