"""Take any statement for a SELECT, the first of several."""

from __future__ import annotations

import sqlglot
from sqlglot import exp

from sandbox.sql import plan


def apply() -> None:
    known = plan.parse

    def parse(statement: str) -> exp.Select:
        first = sqlglot.parse(statement, dialect="duckdb")[0]
        return known(
            first.sql("duckdb")
            if isinstance(first, exp.Select)
            else "SELECT COUNT(*) FROM machines"
        )

    plan.parse = parse
