"""Whether the coordinator can match a join, before any node is asked to take part in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from sandbox.crypto.identity import PublicIdentity, Signed
from sandbox.crypto.join.dealer import Room
from sandbox.errors import SandboxError
from sandbox.jobs import JobSpec
from sandbox.sql.algebra import JoinMode
from sandbox.sql.matched import plan_of
from sandbox.sql.noise import job_noise
from sandbox.sql.shapes import dummies_of
from sandbox.tables import read_catalogue


def refuse_oversized(
    spec: JobSpec,
    catalogue: Iterable[Signed],
    nodes: Mapping[str, PublicIdentity],
    room: Room,
) -> None:
    """Raise Refusal SB-1110 for a job that would have this coordinator match more rows than it may.

    catalogue: what `nodes` offer. What cannot be planned here is the nodes' to refuse by name. Members
    state their shapes themselves (dealer.py): this saves charges, and guards nothing.
    """
    try:
        rows = _matched_rows(spec, catalogue, nodes)
    except (KeyError, SandboxError):
        return
    room.require(rows)


def _matched_rows(
    spec: JobSpec, catalogue: Iterable[Signed], nodes: Mapping[str, PublicIdentity]
) -> int:
    """Return how many rows all members of one join send, dummies included: 0 if nothing is matched."""
    if spec.prepared is not None:
        return 0
    entries = read_catalogue(catalogue, nodes)
    tables = {name: entries[name].table for name in spec.tables}
    disclosed, prepares = spec.disclosure is not None, spec.prepare is not None
    plan = plan_of(spec.statement, tables, disclosed=disclosed, prepares=prepares)
    if plan.mode is not JoinMode.BLIND:
        return 0
    magnitudes = {name: Fraction(value) for name, value in spec.magnitudes.items()}
    noise = job_noise(plan, spec.epsilon_value, spec.delta_value, magnitudes)
    dummies = dummies_of(noise, verify=spec.verify)
    return sum(side.table.card.row_bound + dummies for side in plan.sides)
