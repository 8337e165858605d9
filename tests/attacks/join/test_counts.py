"""Attack j15: a coordinator that counts matches in every join of a collection's members."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal

import pytest

from sandbox.sql.noise import job_noise
from sandbox.sql.plan import plan
from tests.sql.town import catalogue

EPSILON, DELTA = Decimal(20), Decimal("0.01")
STATEMENTS = (
    "SELECT COUNT(*) FROM visits v JOIN a.people p USING (person)",
    "SELECT COUNT(*) FROM a.people p JOIN visits v USING (person)",
)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_attack_j15_counts_of_all_joins_together_cost_what_is_charged(statement: str) -> None:
    """A person may match at each member of the other side, and each join has dummies of its own: the
    exact hockey-stick divergence of both counts, as the unit comes or goes, at what is charged."""
    planned = plan(statement, catalogue())
    noise = job_noise(planned, EPSILON, DELTA, {})
    assert noise.matching is not None
    people = next(s for s in planned.sides if len(s.table.members) == 1)
    joins = math.prod(len(side.table.members) for side in planned.sides)
    assert joins == 2
    shift, t = people.keys_per_unit, noise.matching.most_dummies // 2
    rate = float(noise.matching.epsilon) / noise.matching.keys
    weights = {x: math.exp(-rate * abs(x)) for x in range(-t, t + 1)}
    total = sum(weights.values())
    (epsilon,), delta = noise.charge.pure, noise.charge.extra_delta
    gain = math.exp(float(epsilon))
    excess = sum(
        max(0.0, p * q - gain * weights.get(x - shift, 0.0) * weights.get(y - shift, 0.0))
        for (x, p), (y, q) in itertools.product(weights.items(), repeat=2)
    ) / (total * total)  # fmt: skip
    assert excess <= float(delta)
