"""Break 40: text beyond ASCII is compared byte for byte."""

from __future__ import annotations

from sandbox.sql import keys


def apply() -> None:
    def as_it_is(text: str) -> str:
        return text

    keys._nfkc = as_it_is
