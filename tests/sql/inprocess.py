"""Statements answered without processes: each dataset's fragment on DuckDB, summed, no noise."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from sandbox.sql.algebra import Plan
from sandbox.sql.answer import Answer, answer
from sandbox.sql.compile import fragment_sql, vector_from_rows


def sums(
    connections: Mapping[str, duckdb.DuckDBPyConnection], plan: Plan, names: Mapping[str, str]
) -> list[int]:
    """Return the exact measure vector over all members; `names`: relation of "node.dataset"."""
    total = [0] * plan.length
    for member in plan.table.members:
        dataset = f"{member.node}.{member.dataset}"
        rows = connections[dataset].execute(fragment_sql(plan, names[dataset])).fetchall()
        plain = [(int(p), int(v)) for p, v in rows]
        total = [a + b for a, b in zip(total, vector_from_rows(plan, plain), strict=True)]
    return total


def exact_answer(
    connections: Mapping[str, duckdb.DuckDBPyConnection], plan: Plan, names: Mapping[str, str]
) -> Answer:
    """Return the answer without noise."""
    return answer(plan, sums(connections, plan, names), [()] * len(plan.measures))
