"""Make the clamped copy, and sum the raw column."""

from __future__ import annotations

from dataclasses import replace

from sandbox.sql import plan
from sandbox.sql.algebra import Fragment
from sandbox.sql.bind import Relation
from sandbox.sql.measures import Measures


def apply() -> None:
    clamped = plan._fragment

    def fragment(relation: Relation, measures: Measures) -> Fragment:
        found = clamped(relation, measures)
        raw = "coalesce(TRY_CAST(TRY_CAST(torque AS DOUBLE) * 10 AS BIGINT), 0)"
        columns = ", ".join(
            f"{raw if c.name.startswith('v') else c.name} AS {c.name}" for c in found.columns
        )
        mixed = found.rows_sql.replace("SELECT unit,", "SELECT unit, torque,", 1)
        mixed = mixed.replace(" AS unit,", " AS unit, torque,", 1)
        return replace(found, rows_sql=f"SELECT unit, {columns} FROM ({mixed})")

    plan._fragment = fragment
