"""From rows to a share: sum, add noise, frame with checks, mask, encrypt, sign."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sandbox.sql.compile import fragment_sql

from nodes.assessment import Assessment, collusion_bound
from nodes.vault import Vault
from nodes.workers import FragmentRequest, Workers
from sandbox.audit.receipt import Release
from sandbox.crypto.identity import Identity, Signed
from sandbox.crypto.masks import add_modulo, pairwise_masks
from sandbox.crypto.rings import frame, ring_named
from sandbox.crypto.seal import open_sealed
from sandbox.jobs import JobSpec, Roster, seed_aad
from sandbox.privacy.noise import Law, Sampler


@dataclass(frozen=True)
class Shared:
    """A share and the node's signed statement about it."""

    release: Signed
    payload: bytes


async def make_share(
    job: Signed,
    spec: JobSpec,
    assessment: Assessment,
    roster: Roster,
    roster_digest: str,
    identity: Identity,
    secret: X25519PrivateKey,
    vault: Vault,
    workers: Workers,
    sampler: Sampler,
    contexts: bytes,
) -> Shared:
    """Return this node's share of a job. Raises Unavailable SB-5201 whatever a row made fail."""
    plan = assessment.plan
    ring = ring_named(spec.ring)
    h = max(spec.collusion, collusion_bound(assessment, vault))
    laws = [
        assessment.noise.node_law(measure, len(roster.members), h)
        for measure in range(len(plan.measures))
    ]
    request = _request(job, assessment, vault)
    sums, noise = await asyncio.gather(
        workers.sum_fragment(request), asyncio.to_thread(_draw, sampler, laws, assessment)
    )
    values = [
        saturated + drawn
        for saturated, drawn in zip(_saturate(sums, assessment), noise, strict=True)
    ]
    own = identity.public.fingerprint
    transcript = bytes.fromhex(job.digest + roster_digest)
    seed = open_sealed(identity, seed_aad(spec.job), bytes.fromhex(spec.checksum_seeds[own]))
    slots = frame(values, ring, seed=seed, transcript=transcript, member=own)
    peers = {
        member.node: bytes.fromhex(member.ephemeral)
        for member in roster.members
        if member.node != own
    }
    if peers:
        masks = pairwise_masks(secret, own, peers, transcript, ring, plan.length)
        slots = add_modulo(slots, masks, ring)
    payload = await workers.encrypt(spec.researcher, contexts, ring, plan.length, slots)
    release = Release(
        job=job.digest,
        roster=roster_digest,
        attempt=roster.attempt,
        share=hashlib.sha256(payload).hexdigest(),
        ring=ring.name,
        mechanism=assessment.noise.mechanism.value,
        scales=[str(law.scale) for law in laws],
        loss=assessment.loss,
        minimum_group_size=assessment.minimum_group_size,
        protected=sampler.protected,
    )
    return Shared(release.sign(identity), payload)


def _request(job: Signed, assessment: Assessment, vault: Vault) -> FragmentRequest:
    dataset = vault.dataset(assessment.dataset)
    columns = tuple((column.name, column.type) for column in dataset.card.columns)
    return FragmentRequest(
        job.signer,
        dataset.source,
        columns,
        fragment_sql(assessment.plan, "base"),
        assessment.plan.length,
    )


def _draw(sampler: Sampler, laws: Sequence[Law], assessment: Assessment) -> list[int]:
    plan = assessment.plan
    return [
        draw
        for law, measure in zip(laws, plan.measures, strict=True)
        for draw in sampler.draw(law, plan.cells * measure.width)
    ]


def _saturate(sums: Sequence[int], assessment: Assessment) -> list[int]:
    """Clamp each sum to what the card's row bound allows: rows beyond it must not wrap the ring."""
    plan = assessment.plan
    rows = plan.table.card.row_bound
    saturated: list[int] = []
    start = 0
    for measure in plan.measures:
        count = plan.cells * measure.width
        low, high = min(0, measure.lower) * rows, max(0, measure.upper) * rows
        saturated += [min(max(value, low), high) for value in sums[start : start + count]]
        start += count
    return saturated
