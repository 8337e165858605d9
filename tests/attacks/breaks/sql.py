"""What the breaks of SQL attacks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import duckdb

from nodes import sources
from nodes.sources import Source


class _Leaving:
    """A connection that leaves out statements that begin in certain ways."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, out: tuple[str, ...]) -> None:
        self._connection = connection
        self._out = out

    def execute(self, statement: str) -> object:
        if not statement.startswith(self._out):
            return self._connection.execute(statement)
        return None


def opened_without(*out: str) -> Callable[..., None]:
    """Return `sources.open_locked` without the statements that begin with one of `out`."""
    original = sources.open_locked

    def opened(
        connection: duckdb.DuckDBPyConnection,
        source: Source,
        columns: Sequence[str] | None,
        settings: Mapping[str, str | int],
    ) -> None:
        original(_Leaving(connection, out), source, columns, settings)  # type: ignore[arg-type]

    return opened
