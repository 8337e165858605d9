"""From rows to a share: sum, add noise, frame with checks, mask, encrypt, sign."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from nodes.assessment import Assessment, collusion, minimum_group_size
from nodes.ledger import exact_loss
from nodes.registry import Registry
from nodes.workers import FragmentRequest, Workers
from sandbox.audit.assumptions import stated
from sandbox.audit.statements import Release
from sandbox.crypto.identity import Identity, Signed
from sandbox.crypto.masks import add_modulo, pairwise_masks
from sandbox.crypto.rings import Ring, Slots, frame, ring_named
from sandbox.crypto.seal import open_sealed
from sandbox.jobs import JobSpec, Roster, seed_aad
from sandbox.privacy.noise import Law, Sampler
from sandbox.sql.algebra import Plan


@dataclass(frozen=True)
class Accepted:
    """A job that was verified and assessed, kept in memory between its steps."""

    signed: Signed
    spec: JobSpec
    assessment: Assessment


@dataclass(frozen=True)
class Shared:
    """A share and the node's signed statement about it."""

    release: Signed
    payload: bytes


class Sharing:
    """Makes shares of one node."""

    def __init__(
        self, identity: Identity, registry: Registry, workers: Workers, sampler: Sampler
    ) -> None:
        self._identity = identity
        self._registry = registry
        self._workers = workers
        self._sampler = sampler

    async def make(
        self,
        job: Accepted,
        roster: Roster,
        roster_digest: str,
        secret: X25519PrivateKey,
        contexts: bytes,
    ) -> Shared:
        """Return this node's share. Raises Unavailable SB-5201 whatever a row made fail.

        secret: the one-time key of this node's offer. contexts: the researcher's public ones.
        """
        plan, ring = job.assessment.plan, ring_named(job.spec.ring)
        h = collusion(job.spec, job.assessment, self._registry)
        laws = [
            job.assessment.noise.node_law(measure, len(roster.members), h)
            for measure in range(len(plan.measures))
        ]
        sums, noise = await asyncio.gather(
            self._sums(job),
            asyncio.to_thread(draw, self._sampler, laws, plan),
        )
        values = [s + drawn for s, drawn in zip(sums, noise, strict=True)]
        transcript = bytes.fromhex(job.signed.digest + roster_digest)
        slots = self._slots(job, roster, transcript, secret, ring, values)
        payload = await self._workers.encrypt(
            job.spec.researcher, contexts, ring, plan.length, slots
        )
        statement = release(
            job, roster, roster_digest, payload, laws, self._registry, self._sampler
        )
        return Shared(statement.sign(self._identity), payload)

    def _slots(
        self,
        job: Accepted,
        roster: Roster,
        transcript: bytes,
        secret: X25519PrivateKey,
        ring: Ring,
        values: Sequence[int],
    ) -> Slots:
        """Lay the values out with their keyed checks and add the masks shared with every member."""
        own = self._identity.public.fingerprint
        sealed = bytes.fromhex(job.spec.checksum_seeds[own])
        seed = open_sealed(self._identity, seed_aad(job.spec.job), sealed)
        slots = frame(values, ring, seed=seed, transcript=transcript, member=own)
        peers = {m.node: bytes.fromhex(m.ephemeral) for m in roster.members if m.node != own}
        masks = pairwise_masks(
            secret, own, peers, transcript=transcript, ring=ring, length=len(values)
        )
        return add_modulo(slots, masks, ring)

    async def _sums(self, job: Accepted) -> list[int]:
        """Return the sums over this node's datasets, each bounded by its own card: where datasets
        lie does not change what UNION ALL of them means."""
        plan = job.assessment.plan
        parts = await asyncio.gather(
            *(
                self._workers.sum_fragment(
                    FragmentRequest(
                        job.spec.researcher, name, self._registry.dataset(name).source, plan
                    )
                )
                for name in job.assessment.datasets
            )
        )
        return [sum(values) for values in zip(*(saturate(p, plan) for p in parts), strict=True)]


def release(
    job: Accepted,
    roster: Roster,
    roster_digest: str,
    payload: bytes,
    laws: Sequence[Law],
    registry: Registry,
    sampler: Sampler,
) -> Release:
    """Return a node's statement about a share: whose job, under which noise, for which loss."""
    return Release(
        job=job.signed.digest,
        roster=roster_digest,
        attempt=roster.attempt,
        share=hashlib.sha256(payload).hexdigest(),
        ring=job.spec.ring,
        mechanism=job.assessment.noise.mechanism.value,
        scales=[str(law.scale) for law in laws],
        loss=exact_loss(job.assessment.noise.charge),
        minimum_group_size=minimum_group_size(job.assessment, registry),
        protected=sampler.protected,
        **stated(job.spec.body()),
    )


def draw(sampler: Sampler, laws: Sequence[Law], plan: Plan) -> list[int]:
    """Return noise for every integer of a share, fresh."""
    return [
        drawn
        for law, measure in zip(laws, plan.measures, strict=True)
        for drawn in sampler.draw(law, plan.cells * measure.width)
    ]


def saturate(sums: Sequence[int], plan: Plan) -> list[int]:
    """Clamp each sum to what the card's row bound allows: rows beyond it must not wrap the ring."""
    rows = plan.table.card.row_bound
    saturated: list[int] = []
    start = 0
    for measure in plan.measures:
        count = plan.cells * measure.width
        low, high = min(0, measure.lower) * rows, max(0, measure.upper) * rows
        saturated += [min(max(value, low), high) for value in sums[start : start + count]]
        start += count
    return saturated
