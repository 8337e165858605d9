"""Which planned joins there is a protocol for."""

from __future__ import annotations

from sandbox.crypto.join.machine import FRAME_BYTES
from sandbox.crypto.join.schedule import shared_columns
from sandbox.crypto.join.shape import (
    MOST_COLUMNS,
    MOST_JOINS,
    MOST_PRODUCTS,
    MOST_ROWS,
    write_shapes,
)
from sandbox.errors import InputError, Refusal
from sandbox.privacy.allocate import NoisePlan
from sandbox.sql.algebra import JoinMode, Plan
from sandbox.sql.perkey import key_columns
from sandbox.sql.shapes import entries, shapes_of

MOST_SHARED = 1 << 26
"""Words that a member keeps of partial products: 512 MiB, and as much again while they are made."""

MOST_DUMMIES = 1 << 22
"""Of one member in one join: as many as a worker of the memory it has by default can carry."""


def require_protocol(plan: Plan) -> None:
    """Raise Refusal for a join that no protocol runs yet, before anything is signed or spent.

    SB-1089: two datasets of one node. SB-1087: a table of more rows, or more columns of a side (sums in
    each of its groups), than one join takes. SB-1102: conditions under which nothing is left to sum.
    SB-1103: more joins of members (and products of each) than their first frame can name. Of more than
    two tables, SB-1100 and SB-1101: more products, or more partial products over all rows, than one
    join takes.
    """
    if plan.mode is None:
        return
    nodes = [member.node for member in plan.members]
    if len(set(nodes)) < len(nodes):
        raise Refusal("SB-1089", table=plan.name)
    for side in (*plan.sides, *((plan.semi,) if plan.semi else ())):
        columns = len(key_columns(plan, side)) if plan.mode is JoinMode.BLIND else 1
        if not columns:
            raise Refusal("SB-1102", table=side.table.name)
        if columns > MOST_COLUMNS or side.table.card.row_bound > MOST_ROWS // 2:
            raise Refusal(
                "SB-1087",
                table=side.table.name,
                columns=columns,
                most_columns=MOST_COLUMNS,
                rows=side.table.card.row_bound,
                most_rows=MOST_ROWS // 2,
            )
    if len(plan.sides) > 2:
        _require_products(plan)
    if plan.mode is JoinMode.BLIND:
        shapes = shapes_of(plan, MOST_ROWS)
        if len(shapes) > MOST_JOINS or len(write_shapes(shapes)) > FRAME_BYTES:
            raise Refusal("SB-1103", joins=len(shapes), table=plan.name)


def require_verifiable(plan: Plan) -> None:
    """Raise InputError SB-1096 for a plan in which the coordinator neither matches nor multiplies,
    Refusal SB-1105 for one of more than two tables."""
    if plan.mode is not JoinMode.BLIND:
        raise InputError("SB-1096", table=plan.name)
    if len(plan.sides) > 2:
        raise Refusal("SB-1105", table=plan.name, tables=len(plan.sides))


def _require_products(plan: Plan) -> None:
    wanted = set()
    for entry in entries(plan):
        wanted.add(entry.columns)
        if len(wanted) > MOST_PRODUCTS:
            raise Refusal("SB-1100", most=MOST_PRODUCTS)
    _require_shares(plan, 0)


def require_room(plan: Plan, noise: NoisePlan) -> None:
    """Raise Refusal for a join that has too many dummies to run, before anything is signed or spent.

    SB-1104: to hide how many keys a unit may match, a member would add more than MOST_DUMMIES. SB-1101:
    of more than two tables, partial products take too much over all rows with the dummies.
    """
    if noise.matching is None:
        return
    if noise.member_dummies > MOST_DUMMIES:
        most = max(plan.sides, key=lambda side: side.keys_per_unit)
        raise Refusal(
            "SB-1104",
            table=most.table.name,
            keys=noise.matching.keys,
            dummies=noise.member_dummies,
            most=MOST_DUMMIES,
            epsilon=str(noise.matching.epsilon),
        )
    if len(plan.sides) > 2:
        _require_shares(plan, noise.member_dummies)


def _require_shares(plan: Plan, dummies: int) -> None:
    shape = shapes_of(plan, dummies)[0]
    shared = shared_columns(shape)
    if shared * shape.slots > MOST_SHARED:
        raise Refusal("SB-1101", columns=shared, rows=shape.slots, most=MOST_SHARED // shape.slots)
