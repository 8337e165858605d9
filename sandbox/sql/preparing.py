"""`sandbox join prepare`: a plan that matches the keys of two tables and sums nothing.

Its statement is the count of their joined rows, written in one way only, so that the planner holds
tables and keys to all that it demands of a join; the count itself is never taken
(docs/decisions/017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sandbox.catalog import Table
from sandbox.errors import InputError
from sandbox.sql.algebra import JoinMode, Plan, Side
from sandbox.sql.columns import identifier
from sandbox.sql.plan import plan


def preparing_statement(left: str, right: str, on: Sequence[tuple[str, str]]) -> str:
    """Return the statement that matches two tables; on: the key's columns in either."""
    equal = " AND ".join(f"l.{identifier(a)} = r.{identifier(b)}" for a, b in on)
    names = [".".join(identifier(part) for part in name.split(".")) for name in (left, right)]
    return f"SELECT COUNT(*) FROM {names[0]} AS l JOIN {names[1]} AS r ON {equal}"


def preparing_plan(statement: str, catalogue: Mapping[str, Table]) -> Plan:
    """Return the plan of a preparation.

    Raises InputError SB-1120 for any other statement, SB-1121 where a table is of several members, and
    what joins raise.
    """
    planned = plan(statement, catalogue)
    if planned.mode is not JoinMode.BLIND or len(planned.sides) != 2:
        raise InputError("SB-1120")
    if statement != _joining(*planned.sides):
        raise InputError("SB-1120")
    require_two_members(planned)
    return replace(planned, measures=(), outputs=(), prepares=True)


def require_two_members(planned: Plan) -> None:
    """Raise InputError SB-1121 unless the plan joins the datasets of two nodes."""
    if planned.mode is not JoinMode.BLIND or len(planned.members) != 2:
        raise InputError("SB-1121", table=planned.name)


def same_key(planned: Plan, statement: str) -> bool:
    """Tell whether a plan joins the tables that a preparation's statement names on the same columns, in
    the same order; which table comes first does not matter."""
    if planned.mode is not JoinMode.BLIND or len(planned.sides) != 2:
        return False
    return statement in {_joining(*sides) for sides in (planned.sides, planned.sides[::-1])}


def _joining(left: Side, right: Side) -> str:
    """Return the statement that prepares a join of two sides."""
    on = [(a.name, b.name) for a, b in zip(left.keys, right.keys, strict=True)]
    return preparing_statement(left.table.name, right.table.name, on)
