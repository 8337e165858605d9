"""Break j15: dummies are drawn as if a unit could match in one join alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from sandbox.privacy.allocate import Workload
from sandbox.sql import noise
from sandbox.sql.algebra import Plan


def apply() -> None:
    whole = noise.workload

    def one_join(plan: Plan, magnitudes: Mapping[str, Fraction]) -> Workload:
        keys = max(side.keys_per_unit for side in plan.sides)
        return replace(whole(plan, magnitudes), matched_keys=keys)

    noise.workload = one_join
