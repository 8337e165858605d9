"""The way of a job at the coordinator: offers, roster, shares, sum, witnesses. One state machine.

Every step is written down before the next begins, so that a coordinator that was killed takes up
each job where it stood. Nothing here can make a node release more than its own rules allow: all that
the coordinator decides is when to ask.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sandbox.coordinator.evidence import Evidence, Witnesses
from sandbox.coordinator.nodelink import NodeLink
from sandbox.coordinator.phases import TERMINAL, Phase
from sandbox.coordinator.receipts import build_receipt
from sandbox.coordinator.store import Store, StoredJob, StoredShare
from sandbox.crypto import he
from sandbox.crypto.identity import Identity, Signed, canonical
from sandbox.crypto.trust import Trust
from sandbox.errors import ProtocolError, SandboxError, Unavailable
from sandbox.jobs import JobSpec, Missing, Offer, Roster, RosterMember, read_document
from sandbox.rpc import node_pb2
from sandbox.rpc.documents import from_message
from sandbox.rpc.problems import error_of, problem_of

PATIENCE_S = 10.0
"""How long a silent node is asked again before the job's rule for missing members decides."""
POLL_S = 0.5
MOST_ATTEMPTS = 20
COMPUTE_DEADLINE_S = 900.0
WITNESS_DEADLINE_S = 30.0

T = TypeVar("T")

log = logging.getLogger("sandbox.coordinator")


@dataclass(frozen=True)
class Waiting:
    """Whom a job waits for, why (a message key), and since when (unix seconds)."""

    party: str
    reason: str
    since: int


class JobFlow:
    """Drives one job to its end and tells who watches."""

    def __init__(
        self,
        job: str,
        store: Store,
        identity: Identity,
        links: Callable[[], Mapping[str, NodeLink]],
        trust: Trust,
        witnesses: Witnesses,
    ) -> None:
        self._witnesses = witnesses
        self._store = store
        self._identity = identity
        self._links = links
        self._trust = trust
        self._offers: list[Signed] = []
        self._waiting: dict[str, Waiting] = {}
        self._changed = asyncio.Event()
        stored = store.job(job)
        assert stored is not None, "a flow begins with a stored job"
        self.job = stored
        self.signed = Signed.from_document(json.loads(stored.document))
        self.spec = read_document(JobSpec, self.signed, json.loads(self.signed.body))

    @property
    def waiting(self) -> Sequence[Waiting]:
        """Whom the job waits for now."""
        return tuple(self._waiting.values())

    async def change(self) -> None:
        """Return at the next change of state."""
        await self._changed.wait()

    async def run(self) -> None:
        """Drive the job until it ends. Never raises: a failure is the job's last state."""
        steps: dict[Phase, Callable[[], Awaitable[Phase]]] = {
            Phase.SUBMITTED: self._submitted,
            Phase.OFFERING: self._offering,
            Phase.ROSTER: self._roster,
            Phase.COMPUTING: self._computing,
            Phase.ADDING: self._adding,
            Phase.WITNESSING: self._witnessing,
        }
        while self.job.phase not in TERMINAL:
            try:
                self._move(await steps[self.job.phase]())
            except SandboxError as error:
                self._fail(error)
            except Exception:
                log.exception("job %s", self.job.job)
                self._fail(Unavailable("SB-5199", method=self.job.phase.value))

    def cancel(self) -> bool:
        """Give the job up; False if shares have left already or it has ended."""
        for phase in (Phase.SUBMITTED, Phase.OFFERING, Phase.ROSTER):
            if self._store.move(self.job.job, phase, Phase.CANCELLED):
                self._reload()
                return True
        return False

    # Phases. Each returns the next one.

    async def _submitted(self) -> Phase:
        return Phase.OFFERING

    async def _offering(self) -> Phase:
        if self.job.attempt >= MOST_ATTEMPTS:
            raise Unavailable("SB-5110", attempts=MOST_ATTEMPTS)
        attempt = self._store.new_attempt(self.job.job, ())
        self._reload()
        answers = await gather_or_first_error(
            [self._offer_of(member, attempt) for member in self.spec.members]
        )
        self._offers = [offer for offer in answers if offer is not None]
        absent = [
            self._name(member)
            for member, offer in zip(self.spec.members, answers, strict=True)
            if offer is None
        ]
        if absent:
            if len(self._offers) < self.spec.minimum_members:
                raise Unavailable("SB-5111", parties=", ".join(absent))
            self._store.leave_out(self.job.job, tuple(absent))
        return Phase.ROSTER

    async def _roster(self) -> Phase:
        if not self._offers:  # The coordinator was restarted: offers live in memory alone.
            return Phase.OFFERING
        body = self._roster_body()
        links = [self._link(offer.signer) for offer in self._offers]
        try:
            signatures = await gather_or_first_error(
                [link.sign_roster(self.signed, body, self._offers) for link in links]
            )
        except Unavailable:
            return Phase.OFFERING
        self._store.set_roster(self.job.job, dump(signatures))
        return Phase.COMPUTING

    async def _computing(self) -> Phase:
        roster = self._signed_roster()
        arrived = {share.node for share in self._shares()}
        await gather_or_first_error(
            [
                self._share_of(signature.signer, roster)
                for signature in roster
                if signature.signer not in arrived
            ]
        )
        return Phase.ADDING

    async def _adding(self) -> Phase:
        shares = self._shares()
        if [share.node for share in shares] != [s.signer for s in self._signed_roster()]:
            raise ProtocolError("SB-4002", job=self.job.job)
        summed = await asyncio.to_thread(he.add, [share.share for share in shares])
        self._store.set_sum(self.job.job, summed)
        return Phase.WITNESSING

    async def _witnessing(self) -> Phase:
        roster = self._signed_roster()
        members = [self._link(signature.signer) for signature in roster]
        async with asyncio.timeout(WITNESS_DEADLINE_S):
            evidence = await self._evidence(members)
        self._store.set_receipt(self.job.job, self._receipt(roster, evidence))
        return Phase.DONE

    # What the phases are made of.

    async def _offer_of(self, member: str, attempt: int) -> Signed | None:
        """Return a member's offer; None if it is not there and the job goes on with those present."""
        silent_since: float | None = None
        while True:
            if self.job.phase in TERMINAL or time.time() > self.spec.expires:
                raise Unavailable("SB-5112", party=self._name(member))
            try:
                link = self._link(member)
                reply = await link.offer(self.signed, attempt)
            except Unavailable:
                silent_since = silent_since or time.monotonic()
                self._wait_for(member, "unreachable")
                if time.monotonic() - silent_since > PATIENCE_S:
                    if self.spec.missing is Missing.PRESENT:
                        return None
                    if self.spec.missing is Missing.FAIL:
                        raise Unavailable("SB-5113", party=self._name(member)) from None
                await asyncio.sleep(POLL_S)
                continue
            silent_since = None
            match reply.WhichOneof("answer"):
                case "offer":
                    self._waits_no_more(member)
                    return from_message(reply.offer)
                case "problem":
                    raise error_of(reply.problem)
                case _ if reply.wait.reason == node_pb2.Wait.CONTEXT:
                    await self._hand_context(link)
                case _:
                    reason = node_pb2.Wait.Reason.Name(reply.wait.reason).lower()
                    self._wait_for(member, reason)
                    await asyncio.sleep(POLL_S)

    async def _hand_context(self, link: NodeLink) -> None:
        known = self._store.context(self.spec.context)
        if known is None:
            raise ProtocolError("SB-4003", digest=self.spec.context[:16])
        await link.put_context(self.spec.context, *known)

    def _roster_body(self) -> bytes:
        members = []
        for signed in sorted(self._offers, key=lambda offer: offer.signer):
            offer = read_document(Offer, signed, json.loads(signed.body))
            members.append(RosterMember(node=offer.node, ephemeral=offer.ephemeral))
        roster = Roster(job=self.signed.digest, attempt=self.job.attempt, members=members)
        return canonical(roster.body())

    async def _share_of(self, member: str, roster: Sequence[Signed]) -> None:
        """Fetch one share. A node that was killed answers the same bytes when it is back."""
        deadline = time.monotonic() + COMPUTE_DEADLINE_S
        self._wait_for(member, "computing")
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unavailable("SB-5114", party=self._name(member))
            try:
                share = await self._link(member).compute(self.signed.digest, roster, left)
                break
            except Unavailable:
                self._wait_for(member, "unreachable")
                await asyncio.sleep(POLL_S)
        stored = StoredShare(member, dump([share.release]), share.payload)
        self._store.add_share(self.job.job, self.job.attempt, stored)
        self._waits_no_more(member)

    async def _evidence(self, members: Sequence[NodeLink]) -> list[Evidence]:
        """Gather heads and cosignatures; a node that is down for a moment is asked again."""
        while True:
            try:
                return await self._witnesses.gather(self.signed, members, [*self._links().values()])
            except Unavailable as error:
                self._wait_for(str(error.facts.get("party", "")), "witness")
                await asyncio.sleep(POLL_S)

    def _receipt(self, roster: Sequence[Signed], evidence: Sequence[Evidence]) -> bytes:
        shares = self._shares()
        links = self._links()
        parties = {
            signer
            for proof in evidence
            for signer in (proof.node, *(cosigned.signer for cosigned in proof.cosignatures))
        }
        identities = [
            self._identity.public,
            self._trust.identities()[self.spec.researcher],
            *(links[party].identity for party in sorted(parties)),
        ]
        receipt = build_receipt(
            self._identity,
            self.signed,
            roster,
            {share.node: load(share.release)[0] for share in shares},
            {share.node: share.share for share in shares},
            self._store.sum(self.job.job),
            evidence,
            identities,
        )
        return receipt.to_json().encode()

    # State.

    def _signed_roster(self) -> list[Signed]:
        assert self.job.roster is not None, "the roster is stored before any share is asked for"
        return load(self.job.roster)

    def _shares(self) -> list[StoredShare]:
        return self._store.shares(self.job.job, self.job.attempt)

    def _link(self, member: str) -> NodeLink:
        link = self._links().get(member)
        if link is None:
            raise Unavailable("SB-5115", party=member)
        return link

    def _name(self, member: str) -> str:
        link = self._links().get(member)
        return member if link is None else link.identity.name

    def _move(self, to: Phase) -> None:
        self._waiting.clear()
        self._store.move(self.job.job, self.job.phase, to)
        self._reload()

    def _fail(self, error: SandboxError) -> None:
        problem = problem_of(error, str(error.facts.get("party", "coordinator")))
        self._waiting.clear()
        self._store.move(
            self.job.job, self.job.phase, Phase.FAILED, problem=problem.SerializeToString()
        )
        self._reload()

    def _reload(self) -> None:
        stored: StoredJob | None = self._store.job(self.job.job)
        assert stored is not None, "a stored job never disappears"
        self.job = stored
        self._tell()

    def _wait_for(self, member: str, reason: str) -> None:
        known = self._waiting.get(member)
        if known is None or known.reason != reason:
            self._waiting[member] = Waiting(self._name(member), reason, int(time.time()))
            self._tell()

    def _waits_no_more(self, member: str) -> None:
        if self._waiting.pop(member, None):
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def gather_or_first_error(awaitables: Sequence[Awaitable[T]]) -> list[T]:
    """Return all results; at the first error cancel the rest and raise that error."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def dump(documents: Sequence[Signed]) -> bytes:
    """Return signed documents as one JSON text."""
    return json.dumps([document.to_document() for document in documents]).encode()


def load(text: bytes) -> list[Signed]:
    """Return what `dump` wrote."""
    return [Signed.from_document(document) for document in json.loads(text)]
