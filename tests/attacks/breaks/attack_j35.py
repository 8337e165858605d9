"""Break j35: shares leave with whatever lies above their ring."""

from __future__ import annotations

from sandbox.crypto.join.words import WordRing, Words


def apply() -> None:
    def all_of_it(self: WordRing, words: Words) -> Words:
        return words

    WordRing.reduced = all_of_it  # type: ignore[method-assign]
