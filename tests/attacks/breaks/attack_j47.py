"""Break j47: members of a verified join send each other hashes of what they compare."""

from __future__ import annotations

import hashlib

from sandbox.crypto.join import blind
from sandbox.crypto.join.channel import Stream
from sandbox.crypto.join.machine import Machine
from sandbox.errors import TrustError


def apply() -> None:
    def hashed(
        stream: Stream, _: bytes, value: bytes, coordinator: str, *__: object, **___: object
    ) -> Machine[None]:
        own = hashlib.sha256(value).digest()
        yield from stream.send(own)
        if (yield from stream.receive(len(own))) != own:
            raise TrustError("SB-3049", party=coordinator)

    blind.compare = hashed  # type: ignore[attr-defined]
