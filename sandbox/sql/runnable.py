"""Which planned joins there is a protocol for."""

from __future__ import annotations

from sandbox.crypto.join.shape import MOST_COLUMNS, MOST_ROWS
from sandbox.errors import Refusal
from sandbox.sql.algebra import JoinMode, Plan
from sandbox.sql.perkey import key_columns


def require_protocol(plan: Plan) -> None:
    """Raise Refusal for a join that no protocol runs yet, before anything is signed or spent.

    SB-1088: more than two tables. SB-1089: two datasets of one node. SB-1087: a table of more rows, or
    more columns of a side (sums in each of its groups), than one join takes.
    """
    if plan.mode is None:
        return
    if len(plan.sides) > 2:
        raise Refusal("SB-1088", tables=len(plan.sides))
    nodes = [member.node for member in plan.members]
    if len(set(nodes)) < len(nodes):
        raise Refusal("SB-1089", table=plan.name)
    for side in (*plan.sides, *((plan.semi,) if plan.semi else ())):
        columns = len(key_columns(plan, side)) if plan.mode is JoinMode.BLIND else 0
        if columns > MOST_COLUMNS or side.table.card.row_bound > MOST_ROWS // 2:
            raise Refusal(
                "SB-1087",
                table=side.table.name,
                columns=columns,
                most_columns=MOST_COLUMNS,
                rows=side.table.card.row_bound,
                most_rows=MOST_ROWS // 2,
            )
