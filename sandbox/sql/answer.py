"""From noised integers to the rows a researcher reads: estimates, HAVING, ORDER BY, LIMIT.

All of it is post-processing: it costs no privacy. Groups that a rule withholds are counted, by
rule, never silently missing; groups that HAVING drops were asked to be dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from sandbox.privacy.intervals import Estimate, estimates
from sandbox.privacy.noise import Law
from sandbox.privacy.statistics import Formula
from sandbox.sql.algebra import CellValue, Comparison, Condition, Junction, MeasureKind, Plan

Cell = dict[int, int | Sequence[int]]
OPERATORS = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@dataclass(frozen=True)
class DisplayRules:
    """What may be shown. `minimum_group_size`: groups of fewer noised rows are withheld.

    A display rule protects nobody by itself (the noise does); `owner` says whose rule it is.
    """

    minimum_group_size: int = 0
    owner: str = ""


@dataclass(frozen=True)
class Withheld:
    """Groups that a rule keeps out of the rows: `groups` of them, by `rule` = `limit` of `owner`."""

    rule: str
    limit: int
    owner: str
    groups: int


@dataclass(frozen=True)
class Row:
    """One group: its values by output (None for formulas) and its estimates (None for groups)."""

    values: tuple[CellValue, ...]
    estimates: tuple[Estimate | None, ...]


@dataclass(frozen=True)
class Answer:
    """Columns and rows. `computed`: whether a column holds estimates or group values; `withheld`:
    what rules keep out of the rows."""

    columns: tuple[str, ...]
    computed: tuple[bool, ...]
    rows: tuple[Row, ...]
    withheld: tuple[Withheld, ...] = ()


def answer(
    plan: Plan,
    noised: Sequence[int],
    noise: Sequence[Sequence[Law]],
    display: DisplayRules | None = None,
    level: float = 0.95,
) -> Answer:
    """Return the answer read off the noised sums.

    `noised`: the vector of plan.length integers. `noise`: per measure, the laws its nodes drew from
    (none for exact sums). `level`: of the intervals, in (0, 1).
    """
    cells = cells_of(plan, noised)
    keys = list(product(*(group.values for group in plan.groups)))
    formulas = {o.formula: estimates(o.formula, cells, noise, level)
                for o in plan.outputs if o.formula is not None}  # fmt: skip
    # What HAVING compares is what would be printed, so that no shown row contradicts it.
    values = {
        f: formulas.get(f) or estimates(f, cells, noise, level) for f in _compared(plan.having)
    }
    kept, hidden = [], 0
    smallest = display.minimum_group_size if display else 0
    counts = row_counts(plan, cells)
    for place, key in enumerate(keys):
        if plan.having is not None and not _holds(plan.having, place, values):
            continue
        if smallest and counts[place] < smallest:
            hidden += 1
            continue
        kept.append((place, key))
    rows = [
        Row(
            tuple(None if o.group is None else key[o.group] for o in plan.outputs),
            tuple(None if o.formula is None else formulas[o.formula][place] for o in plan.outputs),
        )
        for place, key in kept
    ]
    for ordering in reversed(plan.order_by):
        rows = _sorted(rows, plan, ordering.output, ordering.descending)
    withheld: tuple[Withheld, ...] = ()
    if display and hidden:
        withheld = (Withheld("minimum_group_size", smallest, display.owner, hidden),)
    return Answer(
        tuple(o.name for o in plan.outputs),
        tuple(o.formula is not None for o in plan.outputs),
        tuple(rows if plan.limit is None else rows[: plan.limit]),
        withheld,
    )


def cells_of(plan: Plan, noised: Sequence[int]) -> list[Cell]:
    """Return the measures of each cell by index, bins as a sequence."""
    cells: list[Cell] = [{} for _ in range(plan.cells)]
    offset = 0
    for index, measure in enumerate(plan.measures):
        for cell in cells:
            end = offset + measure.width
            binned = measure.kind is MeasureKind.BINS
            cell[index] = noised[offset:end] if binned else noised[offset]
            offset = end
    return cells


def row_counts(plan: Plan, cells: Sequence[Cell]) -> list[int]:
    """Return each cell's noised number of rows: the largest of its counting measures."""
    counting = [i for i, m in enumerate(plan.measures) if m.kind is not MeasureKind.SUM]
    return [max((_count(cell[i]) for i in counting), default=0) for cell in cells]


def _count(value: int | Sequence[int]) -> int:
    return value if isinstance(value, int) else sum(value)


def _compared(condition: Condition | None) -> set[Formula]:
    if condition is None:
        return set()
    if isinstance(condition, Comparison):
        return {condition.left, condition.right}
    return set[Formula]().union(*(_compared(c) for c in condition.operands))


def _holds(
    condition: Condition, place: int, values: Mapping[Formula, Sequence[Estimate]]
) -> bool | None:
    """Return the truth of HAVING for one group; None where SQL says NULL."""
    if isinstance(condition, Comparison):
        left, right = values[condition.left][place].value, values[condition.right][place].value
        if left is None or right is None:
            return None
        return bool(OPERATORS[condition.operator](left, right))
    truths = [_holds(operand, place, values) for operand in condition.operands]
    return _junction(condition, truths)


def _junction(condition: Junction, truths: Sequence[bool | None]) -> bool | None:
    if condition.operator == "NOT":
        return None if truths[0] is None else not truths[0]
    decisive = condition.operator == "OR"
    if decisive in truths:
        return decisive
    return None if None in truths else not decisive


def _sorted(rows: list[Row], plan: Plan, output: int, descending: bool) -> list[Row]:
    """Sort stably by one output, NULLs last (DuckDB's default); groups in their domain's order."""
    group = plan.outputs[output].group

    def sort_key(row: Row) -> float | Fraction | None:
        if group is None:
            estimate = row.estimates[output]
            return None if estimate is None else estimate.value
        value = row.values[output]
        return None if value is None else order[value]

    domain = plan.groups[group].values if group is not None else ()
    ascending = sorted(value for value in domain if value is not None)
    order = {value: place for place, value in enumerate(ascending)}
    present = [row for row in rows if sort_key(row) is not None]
    absent = [row for row in rows if sort_key(row) is None]
    return sorted(present, key=lambda row: sort_key(row) or 0, reverse=descending) + absent
