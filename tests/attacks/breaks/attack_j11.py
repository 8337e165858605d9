"""Break j11: a dealer takes messages of any length."""

from __future__ import annotations

from sandbox.crypto.join import dealer
from sandbox.crypto.join.machine import Machine, Receive


def apply() -> None:
    def any_length(party: str, length: int) -> Machine[bytes]:
        return (yield Receive(party))

    dealer.receive = any_length  # type: ignore[attr-defined]
