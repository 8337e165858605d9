"""Wanted errors, and the epsilon that meets them.

A target is written "2%" (relative to a magnitude that the researcher states or the card declares),
"0.5" (absolute, the half width of the 95% interval), or by output: "mean=0.5, n=3%". Nothing here
reads rows. After a pilot, which is a paid release, errors are predicted at what the pilot showed.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from sandbox.errors import InputError
from sandbox.privacy.allocate import Release
from sandbox.privacy.derivatives import Reference
from sandbox.sql.algebra import MeasureKind, Plan
from sandbox.sql.answer import cells_of, row_counts
from sandbox.sql.noise import mechanism_for, noisy_members, workload
from sandbox.sql.parse import nearest


@dataclass(frozen=True)
class Pilot:
    """What a pilot showed: its noised integers, and the outputs' typical sizes read off them."""

    noised: tuple[int, ...]
    magnitudes: Mapping[str, Fraction]


@dataclass(frozen=True)
class _Target:
    size: Fraction
    relative: bool


def release_of(
    plan: Plan,
    delta: Decimal,
    magnitudes: Mapping[str, Fraction],
    collusion: int,
    pilot: Pilot | None = None,
    *,
    prepared: bool = False,
) -> Release:
    """Return the release whose epsilon is sought; prepared: over a matching that was charged before."""
    return Release(
        workload(plan, magnitudes, prepared=prepared),
        delta,
        mechanism_for(delta),
        *noisy_members(plan, collusion),
        None if pilot is None else typical_cell(plan, pilot.noised),
    )


def wanted_errors(
    plan: Plan, written: str, magnitudes: Mapping[str, Fraction]
) -> list[float | None]:
    """Return the wanted absolute error of each computed output, None where none is wanted.

    Raises InputError SB-3131 for what is no target, SB-3132 for an unknown output, SB-3133 for a
    relative target of an output without a magnitude.
    """
    targets = _read(written)
    outputs = [output for output in plan.outputs if output.formula is not None]
    names = [output.name for output in outputs]
    for name in targets:
        if name and name not in names:
            raise InputError("SB-3132", output=name, nearest=nearest(name, names))
    wanted: list[float | None] = []
    for output in outputs:
        target = targets.get(output.name, targets.get(""))
        if target is None:
            wanted.append(None)
            continue
        size = magnitudes.get(output.name, output.magnitude) if target.relative else Fraction(1)
        if not size:
            raise InputError("SB-3133", output=output.name)
        wanted.append(float(target.size * abs(size)))
    return wanted


def typical_cell(plan: Plan, noised: Sequence[int]) -> Reference:
    """Return the measures of the cell with the median number of rows, counts at least 1."""
    cells = cells_of(plan, noised)
    counts = row_counts(plan, cells)
    order = sorted(range(len(cells)), key=counts.__getitem__)
    cell = cells[order[len(order) // 2]]
    reference: dict[int, float | Sequence[float]] = {}
    for index, measure in enumerate(plan.measures):
        value = cell[index]
        if not isinstance(value, int):
            reference[index] = [float(max(count, 0)) for count in value]
        elif measure.kind is MeasureKind.SUM:
            reference[index] = float(value)
        else:
            reference[index] = float(max(value, 1))
    return reference


def typical_sizes(
    names: Sequence[str], columns: Sequence[Sequence[float | int | None]]
) -> dict[str, Fraction]:
    """Return the median absolute value of each column that has any but zero."""
    sizes = {}
    for name, column in zip(names, columns, strict=True):
        known = [abs(value) for value in column if value]
        if known:
            sizes[name] = Fraction(statistics.median(known))
    return sizes


def _read(written: str) -> dict[str, _Target]:
    """Return targets by output name, "" for all outputs."""
    targets: dict[str, _Target] = {}
    for part in written.split(","):
        name, _, size = part.rpartition("=")
        number = size.strip()
        relative = number.endswith("%")
        try:
            value = Fraction(number.removesuffix("%").strip()) / (100 if relative else 1)
        except (ValueError, ZeroDivisionError):
            raise InputError("SB-3131", written=written[:80]) from None
        if value <= 0:
            raise InputError("SB-3131", written=written[:80])
        targets[name.strip()] = _Target(value, relative)
    return targets
