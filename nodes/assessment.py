"""What a node makes of a job: its own plan, its own noise, its owner's rules, its budgets.

Everything here follows from the signed job, the catalogue the owner pinned and his policy. Nothing
comes from the coordinator, and no row is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from nodes.ledger import Demand
from nodes.registry import Registry
from nodes.workers import Limits
from sandbox.catalog import Member, Table
from sandbox.crypto.identity import PublicIdentity
from sandbox.crypto.join.words import words_named
from sandbox.crypto.rings import ring_named
from sandbox.errors import InputError, Refusal, TrustError
from sandbox.jobs import JobSpec
from sandbox.privacy.allocate import NoisePlan
from sandbox.privacy.budget import strictest
from sandbox.privacy.policy import Decision, check
from sandbox.sql.algebra import JoinMode, Plan
from sandbox.sql.cost import run_s
from sandbox.sql.matched import plan_of
from sandbox.sql.noise import capacity, job_noise
from sandbox.sql.preparing import require_two_members
from sandbox.sql.request import request
from sandbox.sql.runnable import require_protocol, require_verifiable
from sandbox.tables import Entry


@dataclass(frozen=True)
class Assessment:
    """A job as this node understands it. `own`: which of the node's datasets it reads; `run_s`: for how
    long a worker may take part in its join, at least."""

    plan: Plan
    noise: NoisePlan
    own: tuple[Member, ...]
    run_s: int

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of `own`."""
        return tuple(member.dataset for member in self.own)


def tables(spec: JobSpec, catalogue: Mapping[str, Entry]) -> dict[str, Table]:
    """Return the tables a job was planned on; raises TrustError SB-3118 for another catalogue."""
    for name, digest in spec.tables.items():
        entry = catalogue.get(name)
        if entry is None or entry.digest != digest:
            raise TrustError("SB-3118", table=name)
    return {name: catalogue[name].table for name in spec.tables}


def assess(spec: JobSpec, catalogue: Mapping[str, Entry], node: PublicIdentity) -> Assessment:
    """Plan a job again; raises InputError for SQL, TrustError SB-3118 for another catalogue, Refusal
    SB-2252 for a receiver that the statement does not make one, SB-2266 for a mode that is not its own,
    SB-1105, SB-1107, SB-2270 for one that is to be waited for longer than its sizes ask; InputError
    SB-1092, SB-1096, SB-1121."""
    disclosed, prepares = spec.disclosure is not None, spec.prepare is not None
    named = tables(spec, catalogue)
    own_plan = plan_of(
        spec.statement, named, disclosed=disclosed, prepares=prepares, asked_by=spec.researcher
    )
    require_protocol(own_plan)
    if spec.prepared is not None:
        require_two_members(own_plan)
    if spec.malicious and own_plan.mode is not JoinMode.PSI:
        raise InputError("SB-1092", table=own_plan.name)
    if spec.verify:
        require_verifiable(own_plan)
    _require_receiver(spec, own_plan)
    mode = own_plan.mode.value if own_plan.mode else ""
    if (spec.mode, spec.receivers) != (mode, own_plan.receivers):
        # What receipts say of learning and trust follows from it.
        raise Refusal("SB-2266", stated=spec.mode)
    members = own_plan.members
    own = tuple(member for member in members if member.node == node.fingerprint)
    if set(spec.members) != {member.node for member in members} or not own:
        raise TrustError("SB-3117", reason="members")
    magnitudes = {name: Fraction(value) for name, value in spec.magnitudes.items()}
    prepared = spec.prepared is not None
    noise = job_noise(own_plan, spec.epsilon_value, spec.delta_value, magnitudes, prepared=prepared)
    bound = capacity(own_plan, noise)
    if spec.joined != (own_plan.mode is not None):
        raise Refusal("SB-2220", ring=spec.ring)
    ring = words_named(spec.ring) if spec.joined else ring_named(spec.ring)
    if 2 * bound >= ring.modulus:
        raise Refusal("SB-2220", ring=spec.ring)
    longest = run_s(
        own_plan, noise, malicious=spec.malicious, verify=spec.verify, prepared=prepared
    )
    if spec.run_s > max(longest, Limits.join_deadline_s):
        raise Refusal("SB-2270", asked=spec.run_s, most=longest)
    return Assessment(own_plan, noise, own, longest)


def _require_receiver(spec: JobSpec, own_plan: Plan) -> None:
    """Raise Refusal SB-2252 unless the node that is told keeps rows of its own."""
    told = spec.disclosure.receiver if spec.disclosure else None
    if told is not None and told != own_plan.table.members[0].node:
        raise Refusal("SB-2252", receiver=told)


def decide(spec: JobSpec, assessment: Assessment, registry: Registry, node: str) -> Decision:
    """Hold a job against the policy of each dataset it reads; the strictest decision counts.

    Raises Refusal SB-2010..SB-2021, SB-2250, SB-2251, SB-2253 naming the rule, whose it is and what
    would pass.
    """
    decisions = set()
    receiver = spec.disclosure.receiver if spec.disclosure else None
    for member in assessment.own:
        name = member.dataset
        asked = request(
            assessment.plan,
            member,
            registry.dataset(name).card,
            spec.researcher,
            spec.purpose,
            spec.epsilon_value,
            spec.delta_value,
            datetime.now(UTC),
            malicious=spec.malicious,
            verify=spec.verify,
            receiver=() if receiver is None else registry.known_as(receiver),
        )
        decisions.add(check(registry.policy(name), asked, f"{node}.{name}"))
    return Decision.NEEDS_APPROVAL if Decision.NEEDS_APPROVAL in decisions else Decision.ALLOW


def demands(spec: JobSpec, assessment: Assessment, registry: Registry) -> list[Demand]:
    """Return every budget that the job must fit: each group's own and the researcher's on it."""
    names = {group: name for name in assessment.datasets for group in registry.dataset(name).groups}
    return [
        demand
        for group in sorted(names)
        for demand in group_demands(group, names[group], spec.researcher, registry)
    ]


def group_demands(
    group: str, name: str, researcher: str, registry: Registry
) -> tuple[Demand, Demand]:
    """Return a group's own budget and the researcher's on it, named after dataset `name`.

    The strictest limits of all datasets in the group hold: a view with a generous policy of its own
    must not spend what the policy of the data below it forbids.
    """
    policies = registry.budget_policies(group)
    whole = strictest([policy.dataset_budget for policy in policies])
    own = strictest([policy.researcher_budget for policy in policies])
    return Demand(group, "", whole, name), Demand(group, researcher, own, f"{name} ({researcher})")


def collusion(spec: JobSpec, assessment: Assessment, registry: Registry) -> int:
    """Return h: the largest that the job or an owner's policy states."""
    return max(spec.collusion, *(registry.policy(name).collusion for name in assessment.datasets))


def minimum_group_size(assessment: Assessment, registry: Registry) -> int:
    """Return the largest minimum group size among the policies of the datasets read."""
    return max(registry.policy(name).minimum_group_size for name in assessment.datasets)
