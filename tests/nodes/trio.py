"""Three nodes' tasks in one process, over real vaults and cards; rows and workers are stood in for.

`Trio.coordinator_does` is what an honest coordinator asks of them; attackers ask otherwise.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from nodes.sharing import Shared
from nodes.tasks import Tasks
from nodes.vault import Vault
from nodes.witnessing import Witnessing
from nodes.workers import FragmentRequest
from sandbox.config import load_node
from sandbox.crypto import he
from sandbox.crypto.he import ResultKey
from sandbox.crypto.identity import Identity, PublicIdentity, Signed, canonical, load_public
from sandbox.crypto.rings import Ring, Slots, ring_named
from sandbox.jobs import JobSpec, Offer, Roster, RosterMember, read_document, sign_job
from sandbox.privacy.noise import Sampler
from sandbox.sql.algebra import Plan
from sandbox.sql.plan import plan
from sandbox.submission import Draft, Terms, draft_job
from tests.endtoend import deployment
from tests.noise import ZeroNoise

SQL = "SELECT COUNT(*) AS n FROM machines"
TERMS = Terms(Decimal("0.5"), Decimal("0.000001"), "maintenance")


@dataclass
class StandIns:
    """Workers that need no process. `rows`: what a node sums, or the failure that rows cause."""

    rows: int | Exception = 7
    seconds: float = 0.0
    requests: list[FragmentRequest] = field(default_factory=list)
    room: Exception | None = None

    def require_room(self) -> None:
        if self.room is not None:
            raise self.room

    async def sum_fragment(self, request: FragmentRequest) -> list[int]:
        self.requests.append(request)
        await asyncio.sleep(self.seconds)
        if isinstance(self.rows, Exception):
            raise self.rows
        return [self.rows] * request.plan.length

    async def encrypt(
        self, researcher: str, contexts: bytes, ring: Ring, length: int, slots: Slots
    ) -> bytes:
        return await asyncio.to_thread(he.encrypt_slots, contexts, ring, length, slots)


@dataclass
class Node:
    """One node's parts."""

    folder: Path
    vault: Vault
    witnessing: Witnessing
    workers: StandIns
    tasks: Tasks

    @property
    def me(self) -> PublicIdentity:
        return self.tasks.identity.public


def open_node(folder: Path, sampler: Sampler, *, confirmed: bool = True) -> Node:
    """Start a node's tasks on its folder."""
    identity, config = Identity.load(folder), load_node(folder)
    vault = Vault.open(folder, identity)
    witnessing = Witnessing(identity, vault, config.coordinator_fingerprint)
    if confirmed:
        vault.log.override_witness("test")
    workers: Any = StandIns()
    tasks = Tasks(identity, config, vault, workers, sampler)
    return Node(folder, vault, witnessing, workers, tasks)


class Trio:
    """The nodes, the researcher and his result key."""

    def __init__(self, folder: Path, sampler: Sampler | None = None) -> None:
        deployment.make(folder)
        self.folder = folder
        self.sampler = sampler or ZeroNoise()
        self.nodes = {name: self.open(name) for name in deployment.NODES}
        self.researcher = Identity.load(folder / "researcher")
        self.key = ResultKey.generate(folder / "researcher" / "result-key")

    def open(self, name: str, *, confirmed: bool = True) -> Node:
        return open_node(self.folder / "nodes" / name, self.sampler, confirmed=confirmed)

    def restart(self, name: str, *, confirmed: bool = True) -> Node:
        """Start a node again from its file."""
        self.nodes[name].vault.close()
        self.nodes[name] = self.open(name, confirmed=confirmed)
        return self.nodes[name]

    def planned(self, sql: str = SQL) -> Plan:
        entries = self.nodes["a"].tasks.catalogue.entries()
        return plan(sql, {name: entry.table for name, entry in entries.items()})

    def draft(self, sql: str = SQL, terms: Terms = TERMS) -> Draft:
        """Return a job, and put its context at every node."""
        identities = {node.me.fingerprint: node.me for node in self.nodes.values()}
        draft = draft_job(
            self.planned(sql),
            terms,
            self.nodes["a"].tasks.catalogue.entries(),
            identities,
            self.researcher.public.fingerprint,
            load_public(self.folder / "coordinator").fingerprint,
            self.key,
            int(time.time()),
        )
        contexts = self.key.public_contexts(ring_named(draft.spec.ring))
        for node in self.nodes.values():
            node.vault.keep_context(draft.spec.context, contexts)
        return draft

    def sign(self, spec: JobSpec) -> Signed:
        return sign_job(spec, self.researcher)

    def offers(self, job: Signed, names: str = "abc", attempt: int = 1) -> list[Signed]:
        made = [self.nodes[name].tasks.offer(job, attempt) for name in names]
        assert all(isinstance(offer, Signed) for offer in made), made
        return made  # type: ignore[return-value]

    def roster(self, job: Signed, offers: Sequence[Signed], names: str = "abc") -> list[Signed]:
        """Let the nodes sign the roster of these offers."""
        body = roster_body(job, offers)
        signed = [self.nodes[name].tasks.sign_roster(job, body, offers) for name in names]
        return sorted(signed, key=lambda one: one.signer)

    async def share(self, name: str, job: Signed, roster: Sequence[Signed]) -> Shared:
        return await self.nodes[name].tasks.share(job.digest, roster)

    async def coordinator_does(self, job: Signed) -> tuple[list[Signed], dict[str, Shared]]:
        """Return the signed roster and every share, by node name."""
        roster = self.roster(job, self.offers(job))
        shares = await asyncio.gather(*(self.share(name, job, roster) for name in self.nodes))
        return roster, dict(zip(self.nodes, shares, strict=True))

    def opened(
        self, draft: Draft, job: Signed, roster: Sequence[Signed], shares: Sequence[Shared]
    ) -> list[int]:
        """Add shares as the coordinator would and open the sum as the researcher does."""
        summed = he.add([share.payload for share in shares])
        return self.key.open(
            summed,
            ring_named(draft.spec.ring),
            self.planned(draft.spec.statement).length,
            seed=draft.seed,
            transcript=bytes.fromhex(job.digest + roster[0].digest),
            members=[signed.signer for signed in roster],
        )

    def close(self) -> None:
        for node in self.nodes.values():
            node.vault.close()


def roster_body(job: Signed, offers: Sequence[Signed]) -> bytes:
    """Return the roster over `offers`."""
    read = [read_document(Offer, one, json.loads(one.body)) for one in offers]
    members = sorted(
        (RosterMember(node=one.node, ephemeral=one.ephemeral) for one in read),
        key=lambda member: member.node,
    )
    return canonical(Roster(job=job.digest, attempt=read[0].attempt, members=members).body())
