"""Without looking into a vector, TenSEAL parses whatever shape a peer sends."""

from __future__ import annotations

from sandbox.crypto import envelope


def apply() -> None:
    envelope._checked_vector = lambda vector, *_: vector
