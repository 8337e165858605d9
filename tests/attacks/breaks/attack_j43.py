"""Break j43: a node serves any job with whatever matching it has."""

from __future__ import annotations

from nodes.matchings import Matching, Matchings
from nodes.prepared_worker import facts_of


def apply() -> None:
    def any_of_them(self: Matchings, *_: object) -> Matching:
        file = next(self._files.folder.glob("*.slots"))
        return Matching(file, facts_of(file))

    Matchings.find = any_of_them  # type: ignore[assignment, method-assign]
