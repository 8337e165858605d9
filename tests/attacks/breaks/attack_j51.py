"""Break j51: a bucket may take whatever its members' tags make of it."""

from __future__ import annotations

from types import SimpleNamespace

from sandbox import _native
from sandbox.crypto.join import spilled


def apply() -> None:
    def all_of_them(keys: int, buckets: int) -> int:
        return keys

    changed = SimpleNamespace(**vars(_native))
    changed.bucket_keys = all_of_them
    spilled._native = changed  # type: ignore[attr-defined, assignment]
