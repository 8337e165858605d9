"""What a node makes of a job: its own plan, its own noise, its owner's rules, its budgets.

Everything here follows from the signed job, the catalogue the owner pinned and his policy. Nothing
comes from the coordinator, and no row is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from sandbox.sql.noise import capacity, job_noise
from sandbox.sql.plan import plan

from sandbox.crypto.identity import PublicIdentity
from sandbox.crypto.rings import ring_named
from sandbox.errors import Refusal, TrustError
from sandbox.jobs import JobSpec
from sandbox.privacy.allocate import NoisePlan
from sandbox.sql.algebra import Plan
from sandbox.tables import Entry


@dataclass(frozen=True)
class Assessment:
    """A job as this node understands it. `dataset`: which of the node's own it reads."""

    plan: Plan
    noise: NoisePlan
    dataset: str


def assess(spec: JobSpec, catalogue: Mapping[str, Entry], node: PublicIdentity) -> Assessment:
    """Plan a job again; raises InputError for SQL, TrustError SB-3118 for another catalogue."""
    for name, digest in spec.tables.items():
        entry = catalogue.get(name)
        if entry is None or entry.digest != digest:
            raise TrustError("SB-3118", table=name)
    tables = {name: catalogue[name].table for name in spec.tables}
    own_plan = plan(spec.statement, tables)
    members = {member.node: member.dataset for member in own_plan.table.members}
    if set(spec.members) != set(members) or node.fingerprint not in members:
        raise TrustError("SB-3117", reason="members")
    magnitudes = {name: Fraction(value) for name, value in spec.magnitudes.items()}
    noise = job_noise(own_plan, spec.epsilon_value, spec.delta_value, magnitudes)
    ring = ring_named(spec.ring)
    if 2 * capacity(own_plan, noise) >= ring.modulus:
        raise Refusal("SB-2220", ring=ring.name)
    return Assessment(own_plan, noise, members[node.fingerprint])
