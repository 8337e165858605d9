"""Without fresh one-time keys, an attempt after a crash has the masks of the one before."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from nodes import tasks


class Reused:
    """One key for every attempt."""

    from_private_bytes = staticmethod(X25519PrivateKey.from_private_bytes)

    @staticmethod
    def generate() -> Any:
        return X25519PrivateKey.from_private_bytes(bytes(range(32)))


def apply() -> None:
    tasks.X25519PrivateKey = Reused  # type: ignore[misc, assignment]
