"""The names of a statement's tables, before anything is bound."""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from sandbox.sql.parse import parse


def table_names(statement: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return which of the `known` tables a statement reads, in order, each once."""
    by_lower = {name.lower(): name for name in known}
    named = (
        ".".join(part.name for part in table.parts).lower()
        for table in parse(statement).find_all(exp.Table)
    )
    return tuple(dict.fromkeys(by_lower[name] for name in named if name in by_lower))
