"""Break j32: tags are made with the same key in every join of a job."""

from __future__ import annotations

from sandbox.crypto.join import many

derived = many.derive_key


def apply() -> None:
    def same(secret: bytes, salt: bytes, *labels: bytes) -> bytes:
        return derived(bytes(32), salt, *labels)

    many.derive_key = same  # type: ignore[attr-defined, assignment]
