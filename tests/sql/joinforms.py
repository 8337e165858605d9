"""What a generated statement exercises, read off its plan and text, so that tests can demand each."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sandbox.catalog import Column
from sandbox.errors import Refusal
from sandbox.sql.algebra import JoinMode, Plan, Side
from sandbox.sql.runnable import require_protocol

ALIAS = re.compile(r"\b([a-z])\.")
PRODUCT = re.compile(r"\b([a-z])\.\w+\)? \* \(?([a-z])\.")
EQUAL_LEVELS = re.compile(r"\w\.(level|weight) = \w\.(level|weight)")
EQUAL_KEYS = re.compile(r"\w\.(\w+) = \w\.\1")


def too_large(planned: Plan) -> bool:
    """Tell whether a join has more columns, or products of them, than one job runs."""
    try:
        require_protocol(planned)
    except Refusal as refusal:
        return refusal.code in ("SB-1087", "SB-1100", "SB-1101")
    return False


def forms(planned: Plan) -> frozenset[str]:
    """Return what a plan over joined tables is an example of."""
    found = {f"{len(planned.members)} providers", *planned.operations}
    sides = planned.sides if planned.semi is None else (*planned.sides, planned.semi)
    if any(len(side.table.members) > 1 for side in sides):
        found.add("collection")
    if any(len(side.keys) > 1 for side in sides):
        found.add("composite key")
    if any(column.normaliser for side in sides for column in _key(side)):
        found.add("normalised key")
    if planned.mode is JoinMode.PSI:
        return frozenset(found | _of_semi_join(planned.statement))
    return frozenset(found | _of_join(planned))


def _key(side: Side) -> Iterator[Column]:
    names = {key.name for key in side.keys}
    return (column for column in side.table.card.columns if column.name in names)


def _of_semi_join(text: str) -> set[str]:
    form = "EXISTS" if " EXISTS " in text else "IN (SELECT"
    outer, _, asked = text.partition(form)
    found = {form}
    if len(outer.partition(" WHERE ")[2].split()) > 1 and " AND " in outer:
        found.add("filter beside the subquery")
    if ALIAS.search(EQUAL_KEYS.sub("", asked.partition(" WHERE ")[2].partition(")")[0])):
        found.add("filter in the subquery")
    return found


def _of_join(planned: Plan) -> set[str]:
    text = planned.statement
    found = {f"{len(planned.sides)} tables"}
    found.add("left join" if " LEFT JOIN " in text else "inner join")
    repeated = sum(side.multiplicity > 1 for side in planned.sides)
    found.add(("one to one", "many to one", "many to many")[min(repeated, 2)])
    grouping = sum(bool(side.groups) for side in planned.sides)
    found.add(("ungrouped", "grouped by one side", "grouped by several sides")[min(grouping, 2)])
    if any(one != other for one, other in PRODUCT.findall(text)):
        found.add("product across sides")
    where = text.partition(" WHERE ")[2].partition(" GROUP BY ")[0]
    aliases = set(ALIAS.findall(where))
    places = {n for n, side in enumerate(planned.sides) if side.name in aliases}
    found |= {
        "filter on the first side" if place == 0 else "filter on a later side" for place in places
    }
    if len(places) > 1 and " OR " in where:
        found.add("disjunction across sides")
    if EQUAL_LEVELS.search(where):
        found.add("equal small domains")
    return found
