"""Let every row of a person count."""

from __future__ import annotations

from sandbox.sql import compile as compiling
from sandbox.sql.algebra import Plan


def apply() -> None:
    def unbounded(plan: Plan) -> str:
        return "SELECT *, 0 AS copy FROM rows"

    compiling._bounded = unbounded
