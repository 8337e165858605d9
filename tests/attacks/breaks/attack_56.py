"""Without RFC 6962's prefixes, an inner node is the hash of some leaf."""

from __future__ import annotations

from hashlib import sha256

from sandbox.audit import log


def apply() -> None:
    log.leaf_hash = lambda leaf: sha256(leaf).digest()
    log.node_hash = lambda left, right: sha256(left + right).digest()
