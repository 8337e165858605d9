"""The noise of a plan: the same function for the researcher who signs and every node that checks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from sandbox.privacy.accounting import Charge
from sandbox.privacy.allocate import (
    NoisePlan,
    Sensitivity,
    Target,
    Workload,
    matching_plan,
    noise_plan,
)
from sandbox.privacy.derivatives import Reference
from sandbox.privacy.noise import Law, Mechanism, tail_bound
from sandbox.sql.algebra import JoinMode, MeasureKind, Plan
from sandbox.sql.magnitude import reference_measures
from sandbox.sql.runnable import require_room


def job_noise(
    plan: Plan,
    epsilon: Decimal,
    delta: Decimal,
    magnitudes: Mapping[str, Fraction],
    *,
    prepared: bool = False,
) -> NoisePlan:
    """Return the noise of each measure and the charge of the job.

    delta = 0 asks for Laplace noise. A disclosure has no noise and charges nothing; a preparation
    charges what hides how many keys match, and a join over a `prepared` matching nothing of the kind.
    Raises InputError SB-2201/2202 for epsilon or delta, Refusal SB-1101, SB-1104 for a join that so
    many dummies make too large.
    """
    if plan.matched:
        return NoisePlan(Mechanism.LAPLACE, (), Charge(Decimal(0), Decimal(0)))
    if plan.prepares:
        noise = matching_plan(_matched_keys(plan), epsilon, delta)
    else:
        asked = workload(plan, magnitudes, prepared=prepared)
        noise = noise_plan(asked, epsilon, delta, mechanism_for(delta))
    require_room(plan, noise)
    return noise


def member_laws(plan: Plan, noise: NoisePlan, node: str) -> list[Law]:
    """Return what one member of a join draws for each measure: each one's noise suffices alone.

    Of a PSI the receivers draw, whose rows are counted; who sends keys has nothing to add.
    """
    measures = range(len(plan.measures))
    if plan.mode is JoinMode.BLIND:
        return [noise.side_law(plan.side_of(node), measure) for measure in measures]
    receives = any(member.node == node for member in plan.table.members)
    return [noise.node_law(measure, 1, 0) for measure in measures] if receives else []


def noisy_members(plan: Plan, h: int) -> tuple[int, int]:
    """Return how many members add noise, and how many of them are not counted on: what predictions
    take. Each receiver of a PSI draws as if it were alone, so that none is."""
    if plan.mode is JoinMode.PSI:
        receivers = len(plan.table.members)
        return receivers, receivers
    return len(plan.members), h


def mechanism_for(delta: Decimal) -> Mechanism:
    """Return the family of noise that a job of this delta draws."""
    return Mechanism.LAPLACE if delta == 0 else Mechanism.GAUSSIAN


def workload(plan: Plan, magnitudes: Mapping[str, Fraction], *, prepared: bool = False) -> Workload:
    """Return what a plan releases and what its errors are relative to.

    `magnitudes`: typical sizes of outputs by name as the researcher states them; else the card's.
    `prepared`: over a matching that was charged before.
    """
    joined = plan.mode is JoinMode.BLIND
    sensitivities = [
        Sensitivity(
            measure.l1,
            measure.l2_squared,
            plan.cells * measure.width,
            tuple(change.l2_squared for change in measure.changes) if joined else (),
        )
        for measure in plan.measures
    ]
    targets = []
    for output in plan.outputs:
        if output.formula is not None:
            magnitude = magnitudes.get(output.name, output.magnitude)
            targets.append(Target(output.formula, None if magnitude is None else float(magnitude)))
    return Workload(
        tuple(sensitivities),
        tuple(targets),
        cell_reference(plan),
        tuple(len(side.table.members) for side in plan.sides) if joined else (),
        _matched_keys(plan) if joined and not prepared else 0,
    )


def _matched_keys(plan: Plan) -> int:
    """Return how far one unit may move the numbers of keys that sides have in common, over all joins of
    members."""
    members = [len(side.table.members) for side in plan.sides]
    joins = math.prod(members)
    if len(plan.sides) == 2:
        return max(s.keys_per_unit * joins // n for s, n in zip(plan.sides, members, strict=True))
    # A key that a side gains or loses leaves one set's number and enters another's.
    return 2 * max(side.keys_per_unit for side in plan.sides) * (joins // min(members))


def capacity(plan: Plan, noise: NoisePlan) -> int:
    """Return a bound on |sum over all nodes + all noise| of any integer in a share.

    Sums keep it because every node saturates; noise exceeds it with probability < 2^-64.
    """
    if noise.sides:
        return _joined_capacity(plan, noise)
    members = len(plan.table.members)
    rows = plan.table.card.row_bound * members
    largest = 0
    for index, measure in enumerate(plan.measures):
        sums = rows * max(abs(measure.lower), abs(measure.upper))
        # Noise is at its largest where nobody is trusted to add any: h = members.
        law = noise.node_law(index, members, members)
        largest = max(largest, sums + tail_bound([law] * members))
    return largest


def _joined_capacity(plan: Plan, noise: NoisePlan) -> int:
    """Under 2^62, half of what shares modulo 2^64 hold: the planner keeps sums under 2^61, and no
    law's scale exceeds 2^54."""
    return max(
        plan.joined_rows * max(abs(measure.lower), abs(measure.upper))
        + tail_bound(noise.joined_laws(index))
        for index, measure in enumerate(plan.measures)
    )


def cell_reference(plan: Plan) -> Reference:
    """Return one cell's measures if all rows were typical: a number, or a list for bins."""
    flat = reference_measures(plan)
    reference: dict[int, float | Sequence[float]] = {}
    start = 0
    for index, measure in enumerate(plan.measures):
        part = [float(value) for value in flat[start : start + measure.width]]
        reference[index] = part if measure.kind is MeasureKind.BINS else part[0]
        start += measure.width
    return reference
