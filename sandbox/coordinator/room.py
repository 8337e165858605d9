"""What the coordinator can tell of a join before any node is asked to take part in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from sandbox.coordinator.progress import Session
from sandbox.crypto.identity import PublicIdentity, Signed
from sandbox.crypto.join.psi import Sizes
from sandbox.errors import SandboxError
from sandbox.jobs import JobSpec
from sandbox.sql.algebra import Plan, Side
from sandbox.sql.matched import plan_of
from sandbox.sql.noise import job_noise
from sandbox.sql.shapes import dummies_of
from sandbox.tables import read_catalogue


@dataclass(frozen=True)
class Foreseen:
    """rows: how many all members of one join send for the coordinator to match, dummies included;
    sessions: the intersections of a PSI."""

    rows: int = 0
    sessions: Sequence[Session] = ()


def foresee(
    spec: JobSpec, catalogue: Iterable[Signed], nodes: Mapping[str, PublicIdentity]
) -> Foreseen:
    """Return what follows from a job and the cards; nothing of what cannot be planned here, which is the
    nodes' to refuse by name.

    catalogue: what `nodes` offer. Members state their shapes themselves (dealer.py): to refuse a job by
    its rows saves charges, and guards nothing.
    """
    if spec.prepared is not None:
        return Foreseen()  # Nothing is matched, and members state what is multiplied.
    try:
        entries = read_catalogue(catalogue, nodes)
        tables = {name: entries[name].table for name in spec.tables}
        disclosed, prepares = spec.disclosure is not None, spec.prepare is not None
        plan = plan_of(
            spec.statement, tables, disclosed=disclosed, prepares=prepares, asked_by=spec.researcher
        )
        if plan.semi is not None:
            return Foreseen(sessions=_sessions(plan.sides[0], plan.semi, malicious=spec.malicious))
        return Foreseen(rows=_matched_rows(spec, plan))
    except (KeyError, SandboxError):
        return Foreseen()


def _sessions(outer: Side, inner: Side, *, malicious: bool) -> list[Session]:
    sizes = Sizes(outer.table.card.row_bound, inner.table.card.row_bound, malicious)
    receivers, senders = (sorted(m.node for m in s.table.members) for s in (outer, inner))
    return [(sizes, *pair) for pair in product(receivers, senders)]


def _matched_rows(spec: JobSpec, plan: Plan) -> int:
    magnitudes = {name: Fraction(value) for name, value in spec.magnitudes.items()}
    noise = job_noise(plan, spec.epsilon_value, spec.delta_value, magnitudes)
    dummies = dummies_of(noise, verify=spec.verify)
    return sum(side.table.card.row_bound + dummies for side in plan.sides)
