"""Break j08: a node does not remember the share that it made."""

from __future__ import annotations

from nodes.vault import Vault


def apply() -> None:
    def forgotten(self: Vault, digest: str) -> None:
        return None

    Vault.stored_share = forgotten  # type: ignore[method-assign]
