"""Break j40: a member takes whatever matching its peer has kept for its own."""

from __future__ import annotations

from types import SimpleNamespace

from sandbox.crypto.join import blind


def apply() -> None:
    blind.hmac = SimpleNamespace(compare_digest=lambda one, other: True)  # type: ignore[attr-defined, assignment]
