"""The joins of members that a plan's joined measures need, and what each measure takes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from sandbox.crypto.join.shape import CHECK_KEYS, Shape
from sandbox.crypto.join.words import WIDEST
from sandbox.privacy.allocate import NoisePlan
from sandbox.sql.algebra import FactorKind, Plan
from sandbox.sql.perkey import key_columns, named, takes

Columns = tuple[int | None, ...]
"""A column (by its place in `key_columns`) of every side that takes part."""


@dataclass(frozen=True)
class Entry:
    """`coefficient` times the sum over keys of a product of columns, in one cell of one measure."""

    measure: int
    cell: int
    coefficient: int
    columns: Columns


def entries(plan: Plan) -> Iterator[Entry]:
    """Yield what terms of two and more sides say, cell by cell."""
    places = [{pair: n for n, pair in enumerate(key_columns(plan, s))} for s in plan.sides]
    for index, measure in enumerate(plan.measures):
        for term in measure.terms:
            if len(named(term.factors)) < 2:
                continue
            for cell in range(plan.cells):
                if takes(plan, term.factors, cell):
                    columns = tuple(
                        None if factor is None else place[factor, _own_cell(plan, n, factor, cell)]
                        for n, (place, factor) in enumerate(zip(places, term.factors, strict=True))
                    )
                    yield Entry(index, cell, term.coefficient, columns)


def products(plan: Plan) -> tuple[Columns, ...]:
    """Return all products of columns that the measures of more than two sides need, none twice."""
    return tuple(dict.fromkeys(entry.columns for entry in entries(plan)))


def shapes_of(
    plan: Plan, dummies: int, width: int = WIDEST.width, *, verify: bool = False
) -> list[Shape]:
    """Return the joins that a plan consists of: each combination of one member per side.

    dummies: all keys that a member adds. width: bytes of a word of the job's ring, which joins of two
    send. verify: whether members check the coordinator.
    """
    rows = tuple(side.table.card.row_bound for side in plan.sides)
    columns = tuple(len(key_columns(plan, side)) for side in plan.sides)
    wanted = products(plan) if len(plan.sides) > 2 else ()
    combinations = product(*([member.node for member in s.table.members] for s in plan.sides))
    two = len(plan.sides) == 2
    width = width if two else WIDEST.width
    common = Shape((), rows, columns, dummies, wanted, width=width, verify=verify)
    return [replace(common, members=members) for members in sorted(combinations)]


def dummies_of(noise: NoisePlan, *, verify: bool) -> int:
    """Return how many keys a member adds: what hides how many match, and what checks the matching."""
    return noise.member_dummies + (CHECK_KEYS if verify else 0)


def _own_cell(plan: Plan, place: int, factor: int, cell: int) -> int:
    side = plan.sides[place]
    if side.factors[factor].kind is FactorKind.FOUND:
        return side.absent_cell or 0
    return plan.own_cell(side, cell)
