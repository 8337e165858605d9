"""Researchers' public encryption contexts: checked once, kept by digest in the node's folder."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from sandbox.crypto import he
from sandbox.crypto.rings import ring_named
from sandbox.errors import TrustError

CONTEXT_FOLDER = "contexts"


class Contexts:
    """Files named by digest. What is in them is public, and nothing but a checked context gets in."""

    def __init__(self, profile: Path) -> None:
        self._directory = profile / CONTEXT_FOLDER
        self._directory.mkdir(exist_ok=True, mode=0o700)

    def has(self, digest: str) -> bool:
        """Whether a context is here; `digest` comes from a validated job (64 hex digits)."""
        return (self._directory / digest).is_file()

    def get(self, digest: str) -> bytes:
        """Return a kept context."""
        return (self._directory / digest).read_bytes()

    async def keep(self, digest: str, ring: str, contexts: bytes) -> None:
        """Keep a context; raises TrustError unless it is one of the menu's and has this digest."""
        checked = await asyncio.to_thread(he.check_context, contexts, ring_named(ring))
        if checked != digest:
            raise TrustError("SB-3120")
        draft = self._directory / f".{digest}.new"
        draft.write_bytes(contexts)
        os.replace(draft, self._directory / digest)
