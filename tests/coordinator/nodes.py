"""Nodes that exist in memory alone, for tests of the coordinator's state machine: no sockets, no rows.

Each follows the protocol with real signatures and a real log; what it does wrong is set by a test.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.audit.journal import Journal
from sandbox.audit.log import Head
from sandbox.audit.logrows import EntryKind
from sandbox.audit.statements import LastHead, Release, Witness
from sandbox.coordinator.evidence import Witnesses
from sandbox.coordinator.jobflow import Add, JobFlow
from sandbox.coordinator.nodelink import Share
from sandbox.coordinator.phases import Phase
from sandbox.coordinator.relay import Joins
from sandbox.coordinator.store import Store, StoredJob
from sandbox.coordinator.waits import Patience
from sandbox.crypto.identity import Identity, PublicIdentity, Role, Signed, canonical, parse
from sandbox.crypto.join.dealer import UNBOUNDED
from sandbox.errors import SandboxError, Unavailable
from sandbox.jobs import JobSpec, Missing, Offer, sign_job
from sandbox.rpc import common_pb2, node_pb2
from sandbox.rpc.documents import from_message, to_message
from sandbox.rpc.problems import error_of, problem_of
from tests.audit.evidence import journal
from tests.nodes.vaults import RESEARCHER, party

COORDINATOR = party("coordinator", Role.COORDINATOR)
CONTEXT = "cd" * 32


class SilentCall:
    """The stream of a join whose member takes frames and says nothing."""

    def __init__(self) -> None:
        self.cancelled = False

    async def write(self, part: object) -> None:
        """Take a frame."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield None

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class FakeNode:
    """One node; `away`: it does not answer; `slow`: it answers offers once this is set, and who it is
    at once; `errors`: raised at the next calls of a method."""

    me: Identity
    log: Journal
    away: bool = False
    hangs: bool = False
    slow: asyncio.Event | None = None
    errors: dict[str, list[SandboxError]] = field(default_factory=dict)
    wait: int | None = None
    computing: asyncio.Event | None = None
    calls: list[str] = field(default_factory=list)
    released: dict[str, Share] = field(default_factory=dict)
    rosters: dict[str, str] = field(default_factory=dict)
    wrong_share: bool = False
    joining: SilentCall | None = None
    address: str = ""

    @property
    def identity(self) -> PublicIdentity:
        return self.me.public

    async def _called(self, method: str, deadline_s: float = 8.0) -> None:
        self.calls.append(method)
        if self.hangs:
            await asyncio.sleep(deadline_s)
            raise Unavailable("SB-5102", party=self.me.public.name)
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("SB-5101", party=self.me.public.name)
        if self.errors.get(method):
            raise self.errors[method].pop(0)

    async def describe(self) -> node_pb2.Description:
        await self._called("describe")
        return node_pb2.Description()

    async def offer(self, job: Signed, attempt: int, deadline_s: float) -> node_pb2.OfferReply:
        await self._called("offer", deadline_s)
        if self.slow is not None:
            async with asyncio.timeout(deadline_s):
                await self.slow.wait()
            if self.errors.get("offered"):
                raise self.errors["offered"].pop(0)
        if self.wait is not None:
            return node_pb2.OfferReply(wait=node_pb2.Wait(reason=self.wait))
        if self.errors.get("refuse"):
            problem = problem_of(self.errors["refuse"].pop(0), self.me.public.name)
            return node_pb2.OfferReply(problem=problem)
        own = self.me.public.fingerprint
        ephemeral = hashlib.sha256(f"{own}{job.digest}{attempt}".encode()).hexdigest()
        body = Offer(job=job.digest, attempt=attempt, node=own, ephemeral=ephemeral).body()
        return node_pb2.OfferReply(offer=to_message(self.me.sign("offer", body)))

    async def put_context(self, digest: str, ring: str, context: bytes) -> None:
        await self._called("put_context")
        self.wait = None

    async def sign_roster(self, job: Signed, roster: bytes, offers: Sequence[Signed]) -> Signed:
        await self._called("sign_roster")
        return self.me.sign_bytes("roster", roster)

    async def compute(self, digest: str, roster: Sequence[Signed], deadline_s: float) -> Share:
        await self._called("compute", deadline_s)
        if self.computing is not None:
            await self.computing.wait()
        # One roster for a job's share, ever.
        assert self.rosters.setdefault(digest, roster[0].digest) == roster[0].digest
        if digest not in self.released:
            payload = f"share of {self.me.public.name}".encode()
            release = Release(
                job=digest,
                roster=roster[0].digest,
                attempt=parse(roster[0].body)["attempt"],
                share=hashlib.sha256(b"other" if self.wrong_share else payload).hexdigest(),
                ring="n4096",
                mechanism="gaussian",
                scales=["2"],
                loss="1",
                minimum_group_size=0,
                protected=True,
            ).sign(self.me)
            self.log.append(EntryKind.RELEASE, {"release": release.digest}, JOB)
            self.released[digest] = Share(release, payload)
        return self.released[digest]

    def join(self, deadline_s: float) -> SilentCall:
        self.calls.append("join")
        self.joining = SilentCall()
        return self.joining

    async def evidence(self, digest: str, since: Sequence[int]) -> node_pb2.EvidenceReply:
        await self._called("evidence")
        found = self.log.evidence(JOB)
        size = Head.from_document(parse(found.head.body)).size
        reply = node_pb2.EvidenceReply(head=to_message(found.head))
        for logged in found.entries:
            reply.entries.add(
                entry=canonical(logged.entry.to_document()),
                body=canonical(logged.body),
                inclusion=node_pb2.Proof(hashes=logged.proof),
            )
        for first in since:
            if first <= size:
                reply.consistency[first].hashes.extend(self.log.consistency(first, size))
        return reply

    async def witness(self, request: node_pb2.WitnessRequest) -> node_pb2.WitnessReply:
        await self._called("witness")
        owner = PublicIdentity.from_document(parse(request.identity))
        known = self.log.peer_head(owner.fingerprint)
        size = 0 if known is None else Head.from_document(parse(known.body)).size
        if size != request.since:
            return node_pb2.WitnessReply(recorded_size=size)
        signed = from_message(request.head)
        head = self.log.record_peer_head(signed, owner, list(request.consistency.hashes))
        statement = Witness(head=signed.digest, log=head.log, size=head.size)
        return node_pb2.WitnessReply(cosignature=to_message(statement.sign(self.me)))

    def last_head(self, log: str, nonce: bytes) -> Signed:
        """What it knows of the coordinator's log."""
        known = self.log.peer_head(log)
        head = None if known is None else known.to_document()
        return LastHead(log=log, nonce=nonce.hex(), head=head).sign(self.me)


class People:
    """Whom the coordinator knows."""

    def identities(self) -> dict[str, PublicIdentity]:
        return {RESEARCHER.public.fingerprint: RESEARCHER.public}


JOB = "0" * 31 + "1"
SHORT = Patience(silent_s=0.4, probe_s=0.05, witness_s=0.4, poll_s=0.02)


def spec(
    nodes: Sequence[FakeNode],
    missing: Missing,
    least: int,
    expires: int,
    run_s: int = 0,
    ring: str = "n4096",
) -> JobSpec:
    members = sorted(node.me.public.fingerprint for node in nodes)
    return JobSpec(
        job=JOB,
        researcher=RESEARCHER.public.fingerprint,
        coordinator=COORDINATOR.public.fingerprint,
        statement="SELECT COUNT(*) AS n FROM t",
        tables={"t": "ab" * 32},
        members=members,
        purpose="",
        epsilon="1",
        delta="0",
        magnitudes={},
        missing=missing,
        minimum_members=least,
        collusion=1,
        ring=ring,
        mode="blind" if ring.startswith("z") else "",
        context="" if ring.startswith("z") else CONTEXT,
        checksum_seeds={} if ring.startswith("z") else dict.fromkeys(members, "00"),
        run_s=run_s,
        created=0,
        expires=expires,
    )


async def joined(shares: Sequence[bytes]) -> bytes:
    """What stands for a sum."""
    return b"+".join(shares)


class Scene:
    """A coordinator's store and three nodes in memory; flows can be started, killed, restarted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes = {name: FakeNode(party(name), journal(folder, party(name))) for name in "abc"}
        self.crash_at: Callable[[str], None] | None = None
        self.deadline_s = 600.0
        self.add: Add = joined
        self.store = self.open()
        self.signed: Signed | None = None

    def open(self) -> Store:
        store = Store(self.folder, COORDINATOR, crash_at=self.crash_at)
        store.log.start()
        log, nonce = COORDINATOR.public.fingerprint, store.log.nonce
        there = [node for node in self.nodes.values() if not node.away]
        store.log.take_last_heads([(n.last_head(log, nonce), n.me.public) for n in there])
        return store

    def restart(self) -> None:
        self.store.close()
        self.store = self.open()

    def submit(
        self,
        missing: Missing = Missing.FAIL,
        least: int = 3,
        expires: int = 4_000_000_000,
        members: Sequence[str] = "abc",
        run_s: int = 0,
        ring: str = "n4096",
    ) -> None:
        asked = [self.nodes[name] for name in members]
        least = min(least, len(asked))
        self.signed = sign_job(spec(asked, missing, least, expires, run_s, ring), RESEARCHER)
        self.store.add_context(CONTEXT, "n4096", RESEARCHER.public.fingerprint, b"context")
        assert self.store.add_job(JOB, self.signed, RESEARCHER.public.fingerprint)

    def flow(self) -> JobFlow:
        links: Any = {node.me.public.fingerprint: node for node in self.nodes.values()}
        witnesses = Witnesses(COORDINATOR.public, self.store.log)
        people: Any = People()
        return JobFlow(
            JOB,
            self.store,
            self.add,
            COORDINATOR,
            lambda: links,
            people,
            witnesses,
            Joins(COORDINATOR.public.fingerprint, UNBOUNDED),
            self.deadline_s,
            SHORT,
        )

    def restart_unseen(self) -> None:
        """Restart while no node is there to tell what it has seen of the coordinator's log."""
        self.store.close()
        self.store = Store(self.folder, COORDINATOR)
        self.store.log.start()

    def run(self) -> StoredJob:
        """Drive the job to its end."""
        asyncio.run(self.flow().run())
        return self.job

    @property
    def job(self) -> StoredJob:
        found = self.store.job(JOB)
        assert found is not None
        return found

    def kinds(self) -> list[str]:
        return [record.entry.kind for record in self.store.log.entries(JOB)]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A coordinator and its nodes."""
    return Scene(tmp_path)


@asynccontextmanager
async def driven(scene: Scene, phase: Phase) -> AsyncIterator[tuple[JobFlow, asyncio.Task[None]]]:
    """Run a flow until the job is in `phase`."""
    flow = scene.flow()
    task = asyncio.create_task(flow.run())
    async with asyncio.timeout(10):
        while flow.job.phase is not phase:
            await flow.waits.changed.wait()
    try:
        yield flow, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def seen(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.005)


def problem(scene: Scene) -> SandboxError:
    """What the job failed with."""
    assert scene.job.phase is Phase.FAILED
    assert scene.job.problem is not None
    return error_of(common_pb2.Problem.FromString(scene.job.problem))
