"""Break j01: a researcher opens whatever was sealed to him, whoever signed for it."""

from __future__ import annotations

from sandbox.crypto.join import shares


class _Any(str):
    __slots__ = ()
    __hash__ = str.__hash__

    def __ne__(self, other: object) -> bool:
        return False


class _Agreeing:
    def sha256(self, _: bytes) -> _Agreeing:
        return self

    def hexdigest(self) -> str:
        return _Any()


def apply() -> None:
    shares.hashlib = _Agreeing()  # type: ignore[attr-defined, assignment]
