"""A node's part of a joined job: a worker runs the protocol; the daemon carries, adds noise, seals.

Rows stay in the worker. What comes out of it is the node's share of every product of columns, uniform
modulo 2^64 until all shares are added; the noise on it is the node's own, and suffices alone.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from nodes import sources
from nodes.frames import Frames
from nodes.joined_files import JoinedFiles
from nodes.matchings import Matching, Matchings
from nodes.registry import Registry
from nodes.sharing import Accepted, Shared, draw, release, saturate
from nodes.spilling import reserved_bytes
from nodes.workers import JoinRequest, Workers
from sandbox.crypto.identity import Identity, PublicIdentity
from sandbox.crypto.join.shape import Shape, Stage
from sandbox.crypto.join.shares import seal_share
from sandbox.crypto.join.words import WordRing, Words, words_named
from sandbox.crypto.masks import agree
from sandbox.disposable import Header
from sandbox.jobs import Roster
from sandbox.privacy.allocate import MatchingNoise
from sandbox.privacy.noise import Law, Mechanism, Sampler
from sandbox.sql.algebra import JoinMode, Plan, Side
from sandbox.sql.compile import fragment_sql, vector_from_rows
from sandbox.sql.matched import matched_sql, plain_matched_sql
from sandbox.sql.noise import member_laws
from sandbox.sql.perkey import (
    keys_sql,
    local_sql,
    local_vector,
    named,
    per_key_sql,
    plain_row_sql,
    row_sql,
    unit_is_key,
)
from sandbox.sql.shapes import dummies_of, entries, shapes_of

MODULUS = 1 << 64

log = logging.getLogger("sandbox.node")


class Joining:
    """Makes one node's shares of joined jobs."""

    def __init__(
        self,
        identity: Identity,
        coordinator: str,
        registry: Registry,
        workers: Workers,
        sampler: Sampler,
        matchings: Matchings,
    ) -> None:
        self._identity = identity
        self._coordinator = coordinator
        self._registry = registry
        self._workers = workers
        self._sampler = sampler
        self._matchings = matchings
        self._files = JoinedFiles(registry.folder)

    async def make(
        self,
        job: Accepted,
        roster: Roster,
        roster_digest: str,
        secret: X25519PrivateKey,
        researcher: PublicIdentity,
        frames: Frames,
    ) -> Shared:
        """Return this node's share. Raises Unavailable SB-5201 whatever fails, a peer included.

        secret: the one-time key of this node's offer.
        """
        own = self._identity.public.fingerprint
        laws = member_laws(job.assessment.plan, job.assessment.noise, own)
        agreed = _Agreed(job, own, roster, roster_digest, secret)
        sums, drawn = await asyncio.gather(
            self._sums(agreed, frames),
            asyncio.to_thread(self._noise, laws, job.assessment.plan),
        )
        words = agreed.ring.reduced(sums + _words(drawn))
        payload = seal_share(words, researcher, job.signed.digest, roster_digest, own)
        statement = release(
            job, roster, roster_digest, payload, laws, self._registry, self._sampler
        )
        return Shared(statement.sign(self._identity), payload)

    def forget(self, job: Accepted) -> None:
        """Remove what a join that has no share left in the node's folder."""
        if job.spec.disclosure is not None:
            self._files.remove(job.spec.job, job.spec.disclosure.file)
        if job.spec.prepare is not None:
            self._matchings.forget(job.signed.digest)

    def _noise(self, laws: Sequence[Law], plan: Plan) -> list[int]:
        return draw(self._sampler, laws, plan) if laws else [0] * plan.length

    async def _sums(self, agreed: _Agreed, frames: Frames) -> Words:
        if agreed.plan.matched:
            return await self._disclosed(agreed, frames)
        if agreed.plan.mode is JoinMode.PSI:
            return await self._counted(agreed, frames)
        if agreed.plan.prepares:
            return await self._prepared(agreed, frames)
        return await self._multiplied(agreed, frames)

    async def _prepared(self, agreed: _Agreed, frames: Frames) -> Words:
        """Let the worker match the keys and write down their slots; nothing is summed."""
        plan, noise = agreed.plan, agreed.job.assessment.noise
        assert noise.matching is not None, "a preparation hides how many keys match"
        side = plan.sides[plan.side_of(agreed.own)]
        verify = agreed.job.spec.verify
        (shape,) = shapes_of(plan, dummies_of(noise, verify=verify), verify=verify)
        (dataset,) = agreed.job.assessment.datasets
        peers = sorted({*shape.members} - {agreed.own})
        with self._matchings.writing(agreed.job.signed.digest) as file:
            document = {
                "row_sql": row_sql(plan, side, sources.RELATION),
                "plain_sql": plain_row_sql(plan, side, sources.RELATION),
                "keys_sql": keys_sql(side, sources.RELATION),
                "unit_is_key": unit_is_key(side),
                "keys": len(side.keys),
                "shapes": [asdict(replace(shape, stage=Stage.MATCH))],
                "matching": [[draw_matching(noise.matching, self._sampler)]],
                "keep": str(file),
                "version": self._registry.dataset(dataset).version,
            }
            await self._asked(agreed, frames, side, peers, document)
        return np.zeros(0, np.uint64)

    async def _multiplied(self, agreed: _Agreed, frames: Frames) -> Words:
        """Return this node's share of a blind join's measures."""
        plan, noise, own = agreed.plan, agreed.job.assessment.noise, agreed.own
        place = plan.side_of(own)
        side = plan.sides[place]
        kept = self._kept(agreed)
        verify = agreed.job.spec.verify
        dummies = kept.facts.dummies if kept else dummies_of(noise, verify=verify)
        all_shapes = shapes_of(plan, dummies, agreed.ring.width, verify=verify)
        shapes = [shape for shape in all_shapes if own in shape.members]
        peers = sorted({member for shape in shapes for member in shape.members} - {own})
        alone = any(named(t.factors) == (place,) for m in plan.measures for t in m.terms)
        document: dict[str, object] = {
            "row_sql": row_sql(plan, side, sources.RELATION),
            "plain_sql": plain_row_sql(plan, side, sources.RELATION),
            "per_key_sql": per_key_sql(plan, side, sources.RELATION),
            "unit_is_key": unit_is_key(side),
            "local_sql": local_sql(plan, side, sources.RELATION) if alone else "",
            "keys": len(side.keys),
        }
        if kept:
            (shape,) = shapes
            document |= {
                "shapes": [asdict(replace(shape, stage=Stage.MULTIPLY))],
                "kept": str(kept.file),
                "by_number": kept.facts.rows > 0,
                "values_sql": row_sql(plan, side, sources.RELATION, keyed=False),
            }
        else:
            assert noise.matching is not None, "a join hides how many keys match"
            document |= {
                "shapes": [asdict(shape) for shape in shapes],
                "matching": [
                    [draw_matching(noise.matching, self._sampler) for _ in shape.patterns]
                    for shape in shapes
                ],
            }
        answer, words = await self._asked(agreed, frames, side, peers, document)
        values = share_of(plan, shapes, np.frombuffer(words, np.uint64))
        return values + _words(local_vector(plan, place, answer["local"])) if alone else values

    def _kept(self, agreed: _Agreed) -> Matching | None:
        """Return the matching that the job is over, None where it matches anew."""
        if agreed.job.spec.prepared is None:
            return None
        (dataset,) = agreed.job.assessment.datasets
        return self._matchings.find(agreed.job.spec, agreed.plan, dataset)

    async def _counted(self, agreed: _Agreed, frames: Frames) -> Words:
        """Return this node's share of a semi-join's measures: all of them are the receiver's."""
        plan, side = agreed.plan, agreed.psi_side
        document = {
            "row_sql": row_sql(plan, side, sources.RELATION),
            "plain_sql": plain_row_sql(plan, side, sources.RELATION),
            "keys_sql": keys_sql(side, sources.RELATION),
            "unit_is_key": unit_is_key(side),
            "sql": fragment_sql(plan, sources.RELATION),
            "once_sql": fragment_sql(plan, sources.RELATION, once=True),
        }
        answer, words = await self._intersected(agreed, frames, document)
        zeros = np.frombuffer(words, np.uint64).reshape(-1, plan.length)
        total: Words = zeros.sum(axis=0, dtype=np.uint64)
        if side is plan.sides[0]:
            counted = saturate(vector_from_rows(plan, answer["rows"]), plan)
            total += _words(counted)
        return total

    async def _disclosed(self, agreed: _Agreed, frames: Frames) -> Words:
        """Let the receiver's worker write the ids that match; nothing is summed at either node."""
        disclosure, side = agreed.job.spec.disclosure, agreed.psi_side
        assert disclosure is not None, "a plan that keeps ids is a disclosure's"
        document: dict[str, object] = {
            "row_sql": matched_sql(side, sources.RELATION),
            "plain_sql": plain_matched_sql(side, sources.RELATION),
            "format": disclosure.file,
        }
        if disclosure.receiver != agreed.own:
            answer, _ = await self._intersected(agreed, frames, document)
        else:
            with self._files.writing(agreed.job.spec.job, disclosure.file) as file:
                document |= {"file": str(file), "names": list(agreed.plan.matched)}
                answer, _ = await self._intersected(agreed, frames, document)
        log.info("join %s took %s", agreed.job.spec.job, json.dumps(answer["phases"]))
        return np.zeros(0, np.uint64)

    async def _intersected(
        self, agreed: _Agreed, frames: Frames, document: Mapping[str, object]
    ) -> tuple[Header, bytes]:
        """Let a worker run this node's intersections."""
        plan, own, side = agreed.plan, agreed.own, agreed.psi_side
        assert plan.semi is not None, "a PSI has two sides"
        outer, inner = plan.sides[0], plan.semi
        bounds = [outer.table.card.row_bound, inner.table.card.row_bound]
        sizes = [*bounds, agreed.job.spec.malicious]
        ours = [pair for pair in itertools.product(_nodes(outer), _nodes(inner)) if own in pair]
        peers = sorted({party for pair in ours for party in pair} - {own})
        common = {
            "keys": len(side.keys),
            "sessions": [[sizes, *pair] for pair in ours],
            "shapes": [],
        }
        return await self._asked(agreed, frames, side, peers, {**document, **common})

    async def _asked(
        self,
        agreed: _Agreed,
        frames: Frames,
        side: Side,
        peers: Sequence[str],
        document: Mapping[str, object],
    ) -> tuple[Header, bytes]:
        """Let a worker run a join; document: what is its mode's own."""
        (dataset,) = agreed.job.assessment.datasets
        assert agreed.plan.mode is not None, "a join has a mode"
        request = JoinRequest(
            researcher=agreed.job.spec.researcher,
            dataset=dataset,
            source=self._registry.dataset(dataset).source,
            document={
                **document,
                "mode": agreed.plan.mode.value,
                "columns": [column.name for column in side.table.card.columns],
                "own": agreed.own,
                "peers": peers,
                "coordinator": self._coordinator,
                "transcript": agreed.job.signed.digest + agreed.roster_digest,
                "outputs": agreed.plan.length,
                "received": time.monotonic(),
                "row_bound": side.table.card.row_bound,
            },
            secrets=b"".join(agreed.with_peer(peer) for peer in peers),
            reserved_bytes=reserved_bytes(
                agreed.plan, agreed.own, malicious=agreed.job.spec.malicious
            ),
            run_s=agreed.job.assessment.run_s,
        )
        return await self._workers.join(request, frames)


@dataclass(frozen=True)
class _Agreed:
    """A job under a roster that every member has signed; `secret` is this node's one-time key."""

    job: Accepted
    own: str
    roster: Roster
    roster_digest: str
    secret: X25519PrivateKey

    @property
    def plan(self) -> Plan:
        return self.job.assessment.plan

    @property
    def ring(self) -> WordRing:
        return words_named(self.job.spec.ring)

    @property
    def psi_side(self) -> Side:
        """This node's side of a PSI: the rows that it counts or keeps, or the keys that it sends."""
        outer, inner = self.plan.sides[0], self.plan.semi
        assert inner is not None, "a PSI has two sides"
        return outer if self.own in _nodes(outer) else inner

    def with_peer(self, peer: str) -> bytes:
        """Return the agreement with another member's one-time key."""
        (one_time,) = (m.ephemeral for m in self.roster.members if m.node == peer)
        return agree(self.secret, peer, bytes.fromhex(one_time))


def _nodes(side: Side) -> list[str]:
    return sorted(member.node for member in side.table.members)


def draw_matching(noise: MatchingNoise, sampler: Sampler) -> int:
    """Return how many dummies match: t plus a discrete Laplace that stays within [-t, t]."""
    half = noise.most_dummies // 2
    law = Law(Mechanism.LAPLACE, Fraction(noise.keys) / Fraction(noise.epsilon))
    while abs(drawn := sampler.draw(law, 1)[0]) > half:
        pass
    return half + drawn


def share_of(plan: Plan, shapes: Sequence[Shape], words: Words) -> Words:
    """Return a share of what terms of two and more sides say, cell by cell, from a worker's words.

    words: the shares of each shape's products of columns, then words that re-randomise the outputs.
    """
    (columns,) = {shape.columns for shape in shapes}
    (wanted,) = {shape.products for shape in shapes}
    size = len(wanted) or math.prod(columns)
    sums = words[: len(shapes) * size].reshape(len(shapes), size).sum(axis=0, dtype=np.uint64)
    zeros = words[len(shapes) * size :].reshape(-1, len(plan.measures), plan.cells)
    total: Words = zeros.sum(axis=0, dtype=np.uint64)
    every = wanted or itertools.product(*(range(width) for width in columns))
    number = {product: n for n, product in enumerate(every)}
    found = list(entries(plan))
    cells = np.array([(e.measure, e.cell) for e in found], np.intp).reshape(-1, 2)
    products = sums[np.array([number[e.columns] for e in found], np.intp)]
    np.add.at(total, tuple(cells.T), _words([e.coefficient for e in found]) * products)
    return total.reshape(-1)


def _words(values: Sequence[int]) -> Words:
    return np.array([value % MODULUS for value in values], dtype=np.uint64)
