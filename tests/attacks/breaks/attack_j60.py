"""Break j60: a receipt is not held to what its job asked of the join."""

from __future__ import annotations

from sandbox.audit import receipt


def apply() -> None:
    def believe(*_: object) -> None:
        pass

    receipt.require_stated = believe
