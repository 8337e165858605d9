"""The way of a job at the coordinator: offers, roster, shares, sum, witnesses. One state machine.

Every step is written down before the next begins, so that a coordinator that was killed takes up
each job where it stood. Nothing here can make a node release more than its own rules allow: all that
the coordinator decides is when to ask. Each wait has a bound, and names whom it is for.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sandbox.audit.logrows import EntryKind
from sandbox.audit.statements import Release
from sandbox.coordinator.evidence import JobEvidence, Witnesses
from sandbox.coordinator.nodelink import NodeLink, Share
from sandbox.coordinator.phases import TERMINAL, Phase
from sandbox.coordinator.receipts import build_receipt, sign_sum
from sandbox.coordinator.relay import Joins
from sandbox.coordinator.store import LogLine, Store, StoredShare, dump
from sandbox.crypto.identity import Identity, Signed, canonical
from sandbox.crypto.join.shares import bundle
from sandbox.crypto.trust import Trust
from sandbox.errors import ProtocolError, SandboxError, StateError, TrustError, Unavailable
from sandbox.jobs import JobSpec, Missing, Offer, Roster, RosterMember, read_document
from sandbox.rpc import node_pb2
from sandbox.rpc.documents import from_message
from sandbox.rpc.problems import error_of, problem_of

PATIENCE_S = 8.0
"""How long a silent node is asked again before the job's rule for missing members decides."""
PROBE_S = 2.0
"""How long an answer may take before the node is asked whether it is there at all."""
WITNESS_S = 25.0
"""How long a log that no witness has confirmed is waited for; a start takes a second or two."""
POLL_S = 0.25
MOST_ATTEMPTS = 20

PASSING = {
    "SB-5040": "unreachable",
    "SB-5101": "unreachable",
    "SB-5102": "unreachable",
    "SB-5103": "busy",
    "SB-5104": "busy",
    "SB-5115": "unreachable",
    "SB-5116": "witness",
    "SB-5202": "busy",
    "SB-6003": "busy",
    "SB-6020": "witness",
    "SB-6021": "unreachable",
}
"""What passes by itself, and why the job waits meanwhile. Any other error ends the job."""

T = TypeVar("T")

Add = Callable[[Sequence[bytes]], Awaitable[bytes]]
"""Adds shares under encryption (adder.py)."""

log = logging.getLogger("sandbox.coordinator")


@dataclass(frozen=True)
class Waiting:
    """Whom a job waits for, why (a key of PASSING's kind), and since when (unix seconds)."""

    party: str
    reason: str
    since: int


class JobFlow:
    """Drives one job to its end and tells who watches.

    deadline_s: how long shares are waited for once the roster is signed.
    """

    def __init__(
        self,
        job: str,
        store: Store,
        add: Add,
        identity: Identity,
        links: Callable[[], Mapping[str, NodeLink]],
        trust: Trust,
        witnesses: Witnesses,
        joins: Joins,
        deadline_s: float,
    ) -> None:
        self._witnesses = witnesses
        self._joins = joins
        self._join_due = False
        self._store = store
        self._add = add
        self._identity = identity
        self._links = links
        self._trust = trust
        self._deadline_s = deadline_s
        self._waiting: dict[str, Waiting] = {}
        self._heard: dict[str, float] = {}
        """When each member was last known to be there (monotonic)."""
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        stored = store.job(job)
        assert stored is not None, "a flow begins with a stored job"
        self.job = stored
        self.signed = Signed.from_document(json.loads(stored.document))
        self.spec = read_document(JobSpec, self.signed, json.loads(self.signed.body))

    @property
    def waiting(self) -> Sequence[Waiting]:
        """Whom the job waits for now."""
        return tuple(self._waiting.values())

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next change of state. Taken when the state is read, it misses none."""
        return self._changed

    async def run(self) -> None:
        """Drive the job until it ends. A failure is the job's last state.

        Only a store that cannot be written stops it before: the next start takes it up again.
        """
        self._task = asyncio.current_task()
        steps: dict[Phase, Callable[[], Awaitable[None]]] = {
            Phase.SUBMITTED: self._submitted,
            Phase.OFFERING: self._offering,
            Phase.ROSTER: self._roster,
            Phase.COMPUTING: self._computing,
            Phase.ADDING: self._adding,
            Phase.WITNESSING: self._witnessing,
        }
        try:
            await self._step(self._confirmed)
            while self.job.phase not in TERMINAL:
                await self._step(steps[self.job.phase])
        except StateError as error:
            log.error("job %s rests: %s", self.job.job, error.code)

    async def _step(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except SandboxError as error:
            self._fail(error)
        except Exception:
            log.exception("job %s", self.job.job)
            self._fail(Unavailable("SB-5199", method=self.job.phase.value))

    def cancel(self, cancellation: Signed) -> None:
        """Give the job up at its researcher's word; raises ProtocolError SB-6031 if shares may
        have left already. A job that has ended stays as it is."""
        line = EntryKind.CANCELLATION, {"cancellation": cancellation.digest}
        for phase in (Phase.SUBMITTED, Phase.OFFERING, Phase.ROSTER):
            if self._store.move(self.job.job, phase, Phase.CANCELLED, line):
                self._reload()
                if self._task is not None:
                    self._task.cancel()
                return
        if self.job.phase not in TERMINAL:
            raise ProtocolError("SB-6031", job=self.job.job, phase=self.job.phase.value)

    # Phases. Each moves the job on.

    async def _confirmed(self) -> None:
        """Wait for a witness of the coordinator's own log: a restored backup must not show nodes
        another history than they have seen."""
        since = time.monotonic()
        while self.job.phase not in TERMINAL and not self._store.log.confirmed():
            self._expire("coordinator", "witness")
            unpaid = self.job.phase in (Phase.SUBMITTED, Phase.OFFERING, Phase.ROSTER)
            patient = not unpaid or self.spec.missing is Missing.WAIT
            if not patient and time.monotonic() - since > WITNESS_S:
                raise Unavailable("SB-5031")
            self._wait_for("coordinator", "witness")
            await asyncio.sleep(POLL_S)

    async def _submitted(self) -> None:
        self._move(Phase.OFFERING, attempt=1)

    async def _offering(self) -> None:
        attempt = self.job.attempt
        answers = await gather_or_first_error(
            [self._offer_of(member, attempt) for member in self.spec.members]
        )
        offers = [offer for offer in answers if offer is not None]
        absent = [
            self._name(member)
            for member, offer in zip(self.spec.members, answers, strict=True)
            if offer is None
        ]
        if absent and len(offers) < self.spec.minimum_members:
            raise Unavailable("SB-5111", parties=", ".join(absent))
        self._move(Phase.ROSTER, offers=dump(offers), left_out=json.dumps(absent))

    async def _roster(self) -> None:
        body = self._roster_body()
        signers = sorted(offer.signer for offer in self.job.offers)
        try:
            signatures = await gather_or_first_error(
                [
                    self._link(signer).sign_roster(self.signed, body, self.job.offers)
                    for signer in signers
                ]
            )
        except (Unavailable, StateError) as error:
            if error.code not in PASSING:
                raise
            # Nobody has computed yet, so another attempt, with new one-time keys, costs nothing.
            if self.job.attempt >= MOST_ATTEMPTS:
                raise Unavailable("SB-5110", attempts=MOST_ATTEMPTS) from None
            await asyncio.sleep(POLL_S)
            self._move(Phase.OFFERING, attempt=self.job.attempt + 1, offers=None)
            return
        line = EntryKind.ROSTER, {"roster": signatures[0].digest}
        self._join_due = self.spec.joined
        self._move(Phase.COMPUTING, line, roster=dump(signatures))

    async def _computing(self) -> None:
        if self._join_due:
            # Once: after a restart, nodes whose join had ended have their shares, and others say so.
            self._join_due = False
            await self._join()
        arrived = {share.node for share in self._shares()}
        await gather_or_first_error(
            [
                self._share_of(signature.signer)
                for signature in self.job.roster
                if signature.signer not in arrived
            ]
        )
        self._move(Phase.ADDING)

    async def _adding(self) -> None:
        shares = self._shares()
        if [share.node for share in shares] != [s.signer for s in self.job.roster]:
            raise ProtocolError("SB-4002", job=self.job.job)
        parts = [share.share for share in shares]
        summed = bundle(parts) if self.spec.joined else await self._add(parts)
        statement = sign_sum(self._identity, self.signed, self.job.roster, shares, summed)
        self._move(Phase.WITNESSING, (EntryKind.SUM, {"sum": statement.digest}), sum=summed)

    async def _witnessing(self) -> None:
        evidence = await self._evidence()
        receipt = self._receipt(evidence)
        line = EntryKind.DONE, {"receipt": hashlib.sha256(receipt).hexdigest()}
        self._move(Phase.DONE, line, receipt=receipt)

    # What the phases are made of.

    async def _offer_of(self, member: str, attempt: int) -> Signed | None:
        """Return a member's offer; None if it is away, or nobody witnesses its log, and the job goes
        on with those present."""
        self._heard[member] = time.monotonic()
        unseen_since: float | None = None
        while True:
            asked = time.monotonic()
            waiting = self._waiting.get(member)
            self._expire(self._name(member), waiting.reason if waiting else "offer")
            try:
                link = self._link(member)
                reply = await self._answer(link, member, attempt)
            except SandboxError as error:
                self._wait_or_raise(member, error)
                if PASSING[error.code] == "busy":
                    self._heard[member] = time.monotonic()
                silent = self._silent_s(member) + POLL_S > PATIENCE_S
                if silent and self._goes_on_without(member, "SB-5113"):
                    return None
                await asyncio.sleep(POLL_S)
                continue
            self._heard[member] = time.monotonic()
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
                    if reply.wait.reason == node_pb2.Wait.WITNESS:
                        unseen_since = unseen_since or asked
                        unseen = asked - unseen_since > WITNESS_S
                        if unseen and self._goes_on_without(member, "SB-5030"):
                            return None
                    await asyncio.sleep(POLL_S)

    async def _answer(self, link: NodeLink, member: str, attempt: int) -> node_pb2.OfferReply:
        """Return what a node answers to an offer. While it says who it is, it is busy, and has until
        the job expires; after PATIENCE_S of silence raises Unavailable SB-5102."""
        left = self.spec.expires - time.time()
        asking = asyncio.ensure_future(link.offer(self.signed, attempt, max(left, POLL_S)))
        try:
            while True:
                await asyncio.wait([asking], timeout=PROBE_S)
                if asking.done():
                    return asking.result()
                with contextlib.suppress(Unavailable, TimeoutError):
                    async with asyncio.timeout(max(PATIENCE_S - self._silent_s(member), 0)):
                        await link.describe()
                    self._heard[member] = time.monotonic()
                    self._wait_for(member, "busy")
                if self._silent_s(member) >= PATIENCE_S:
                    raise Unavailable("SB-5102", party=link.identity.name)
        finally:
            asking.cancel()

    def _silent_s(self, member: str) -> float:
        return time.monotonic() - self._heard[member]

    def _goes_on_without(self, member: str, code: str) -> bool:
        """Tell what the job's rule says of a member that stays away; raises `code` where it fails."""
        if self.spec.missing is Missing.FAIL:
            raise Unavailable(code, party=self._name(member))
        return self.spec.missing is Missing.PRESENT

    async def _hand_context(self, link: NodeLink) -> None:
        known = self._store.context(self.spec.context)
        if known is None:
            raise ProtocolError("SB-4003", digest=self.spec.context[:16])
        try:
            await link.put_context(self.spec.context, *known)
        except Unavailable as error:
            if error.code not in PASSING:
                raise
            await asyncio.sleep(POLL_S)  # The next offer tells whether it is still missing.

    def _roster_body(self) -> bytes:
        members = []
        for signed in sorted(self.job.offers, key=lambda offer: offer.signer):
            offer = read_document(Offer, signed, json.loads(signed.body))
            members.append(RosterMember(node=offer.node, ephemeral=offer.ephemeral))
        roster = Roster(job=self.signed.digest, attempt=self.job.attempt, members=members)
        return canonical(roster.body())

    async def _join(self) -> None:
        """Carry the members' join; whatever breaks it ends the job, charged."""
        members = {signature.signer: self._link(signature.signer) for signature in self.job.roster}
        for member in members:
            self._wait_for(member, "joining")
        left = self.job.changed + self._deadline_s - time.time()
        await self._joins.run(self.signed.digest, self.job.roster, members, left)

    async def _share_of(self, member: str) -> None:
        """Fetch one share. A node that was killed answers the same bytes when it is back."""
        self._wait_for(member, "computing")
        while True:
            # Counted from the roster's signature, so that restarts do not prolong it.
            left = self.job.changed + self._deadline_s - time.time()
            if left <= 0:
                raise Unavailable("SB-5114", party=self._name(member))
            try:
                share = await self._link(member).compute(self.signed.digest, self.job.roster, left)
                break
            except SandboxError as error:
                self._wait_or_raise(member, error)
                await asyncio.sleep(POLL_S)
        self._check_share(member, share)
        stored = StoredShare(member, share.release, share.payload)
        self._store.add_share(self.job.job, self.job.attempt, stored)
        self._waits_no_more(member)

    def _check_share(self, member: str, share: Share) -> None:
        """Raise TrustError SB-6032 unless the node signed for these very bytes and this roster."""
        release = Release.read(share.release, self._link(member).identity)
        stated = (release.job, release.roster, release.share)
        digest = hashlib.sha256(share.payload).hexdigest()
        if stated != (self.signed.digest, self.job.roster[0].digest, digest):
            raise TrustError("SB-6032", party=self._name(member))

    async def _evidence(self) -> JobEvidence:
        """Gather heads and cosignatures. All is paid for, so nothing but expiry ends the wait."""
        while True:
            try:
                members = [self._link(signature.signer) for signature in self.job.roster]
                return await self._witnesses.gather(self.signed, members, [*self._links().values()])
            except SandboxError as error:
                self._expire(str(error.facts.get("party", "")), "witness")
                self._wait_or_raise(str(error.facts.get("party", "")), error)
                await asyncio.sleep(POLL_S)

    def _receipt(self, evidence: JobEvidence) -> bytes:
        shares, links = self._shares(), self._links()
        cosigned = [log.witnesses for log in (*evidence.nodes.values(), evidence.coordinator)]
        parties = {*self.spec.members, *(one.signer for each in cosigned for one in each)}
        identities = [
            self._identity.public,
            self._trust.identities()[self.spec.researcher],
            *(links[party].identity for party in sorted(parties) if party in links),
        ]
        summed = self._store.sum(self.job.job)
        statement = sign_sum(self._identity, self.signed, self.job.roster, shares, summed)
        receipt = build_receipt(
            self.signed, self.job.roster, shares, statement, evidence, identities
        )
        return receipt.to_json().encode()

    # State.

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

    def _expire(self, party: str, reason: str) -> None:
        if time.time() > self.spec.expires:
            raise Unavailable("SB-5112", party=party, reason=reason)

    def _move(self, to: Phase, line: LogLine | None = None, **fields: object) -> None:
        self._waiting.clear()
        self._store.move(self.job.job, self.job.phase, to, line, **fields)
        self._reload()

    def _fail(self, error: SandboxError) -> None:
        if self.job.phase not in TERMINAL:
            problem = problem_of(error, str(error.facts.get("party", "coordinator")))
            line = EntryKind.FAILURE, {"code": error.code}
            self._move(Phase.FAILED, line, problem=problem.SerializeToString())

    def _reload(self) -> None:
        stored = self._store.job(self.job.job)
        assert stored is not None, "a stored job never disappears"
        self.job = stored
        self._tell()

    def _wait_or_raise(self, member: str, error: SandboxError) -> None:
        reason = PASSING.get(error.code)
        if reason is None:
            raise error
        self._wait_for(member, reason)

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
