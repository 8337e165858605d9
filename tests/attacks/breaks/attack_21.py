"""Make the clamped copy, and sum the raw column."""

from __future__ import annotations

from dataclasses import replace

from sandbox.sql import onetable
from sandbox.sql.algebra import Fragment, RowColumn
from sandbox.sql.bind import Relation


def apply() -> None:
    clamped = onetable._fragment

    def fragment(relation: Relation, columns: list[RowColumn]) -> Fragment:
        found = clamped(relation, columns)
        raw = "coalesce(TRY_CAST(TRY_CAST(torque AS DOUBLE) * 10 AS BIGINT), 0)"
        summed = ", ".join(
            f"{raw if c.name.startswith('v') else c.name} AS {c.name}" for c in found.columns
        )
        mixed = found.rows_sql.replace("SELECT unit,", "SELECT unit, torque,", 1)
        mixed = mixed.replace(" AS unit,", " AS unit, torque,", 1)
        return replace(found, rows_sql=f"SELECT unit, {summed} FROM ({mixed})")

    onetable._fragment = fragment
