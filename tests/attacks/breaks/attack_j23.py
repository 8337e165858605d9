"""Break j23: a disclosure's statement may be written in any way that has the same tables and columns."""

from __future__ import annotations

from sandbox.sql import matched


class _Whatever(str):
    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def apply() -> None:
    written = matched.matched_statement
    matched.matched_statement = lambda *given: _Whatever(written(*given))
