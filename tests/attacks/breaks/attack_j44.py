"""Break j44: members take whatever the coordinator returns; nobody compares anything."""

from __future__ import annotations

from sandbox.crypto.join import blind
from sandbox.crypto.join.machine import Machine


def apply() -> None:
    def trusting(*_: object, **__: object) -> Machine[None]:
        return
        yield

    blind.compare = trusting  # type: ignore[attr-defined]
