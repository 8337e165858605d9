"""The way of a job at the coordinator: offers, roster, shares, sum, witnesses. One state machine.

Every step is written down before the next begins, so that a coordinator that was killed takes up
each job where it stood. Nothing here can make a node release more than its own rules allow: all that
the coordinator decides is when to ask. Each wait has a bound, and names whom it is for.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from sandbox.audit.logrows import EntryKind
from sandbox.audit.statements import Release
from sandbox.coordinator.evidence import JobEvidence, Witnesses
from sandbox.coordinator.nodelink import NodeLink, Share
from sandbox.coordinator.offering import Offering, gather_or_first_error
from sandbox.coordinator.phases import TERMINAL, Phase
from sandbox.coordinator.progress import Progress, Session, Tracks
from sandbox.coordinator.receipts import build_receipt, sign_sum
from sandbox.coordinator.relay import Joins
from sandbox.coordinator.store import LogLine, Store, StoredShare, dump
from sandbox.coordinator.waits import PASSING, PATIENCE, Patience, Waits
from sandbox.crypto.identity import Identity, Signed, canonical
from sandbox.crypto.join.shares import bundle
from sandbox.crypto.trust import Trust
from sandbox.errors import ProtocolError, SandboxError, StateError, TrustError, Unavailable
from sandbox.jobs import JobSpec, Missing, Offer, Roster, RosterMember, read_document
from sandbox.rpc.problems import problem_of

MOST_ATTEMPTS = 20
PROGRESS_S = 0.1
"""Between two words about how far a join is."""

Add = Callable[[Sequence[bytes]], Awaitable[bytes]]
"""Adds shares under encryption (adder.py)."""

log = logging.getLogger("sandbox.coordinator")


class JobFlow:
    """Drives one job to its end and tells who watches.

    deadline_s: how long shares are waited for once the roster is signed; those of a join longer, if its
    job says that its sizes ask for it. sessions: the intersections of its PSI, if any.
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
        patience: Patience = PATIENCE,
        sessions: Sequence[Session] = (),
    ) -> None:
        self._witnesses = witnesses
        self._joins = joins
        self._sessions = sessions
        self.progress: Sequence[Progress] = ()
        """Where the members of its join are, until the job moves on."""
        self._join_due = False
        self._store = store
        self._add = add
        self._identity = identity
        self._trust = trust
        self._task: asyncio.Task[None] | None = None
        stored = store.job(job)
        assert stored is not None, "a flow begins with a stored job"
        self.job = stored
        self.signed = Signed.from_document(json.loads(stored.document))
        self.spec = read_document(JobSpec, self.signed, json.loads(self.signed.body))
        self.waits = Waits(self.spec, links, patience)
        self._deadline_s = max(deadline_s, self.spec.run_s)
        self._offers = Offering(self.signed, self.spec, self.waits, store.context)

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
        have left already, which of a join tell nothing before they are added. A job that has ended
        stays as it is.

        A join's streams stay until `stop`: its members are to hear from the researcher why it ends.
        """
        line = EntryKind.CANCELLATION, {"cancellation": cancellation.digest}
        running = (Phase.COMPUTING,) if self.spec.joined else ()
        for phase in (Phase.SUBMITTED, Phase.OFFERING, Phase.ROSTER, *running):
            if self._store.move(self.job.job, phase, Phase.CANCELLED, line):
                self._clear()
                self._reload()
                if phase is not Phase.COMPUTING:
                    self.stop()
                return
        if self.job.phase not in TERMINAL:
            raise ProtocolError("SB-6031", job=self.job.job, phase=self.job.phase.value)

    def stop(self) -> None:
        """Drive the job no more: streams of its join end, and its members are free for others."""
        if self._task is not None:
            self._task.cancel()

    # Phases. Each moves the job on.

    async def _confirmed(self) -> None:
        """Wait for a witness of the coordinator's own log: a restored backup must not show nodes
        another history than they have seen."""
        since = time.monotonic()
        while self.job.phase not in TERMINAL and not self._store.log.confirmed():
            self.waits.expire("coordinator", "witness")
            unpaid = self.job.phase in (Phase.SUBMITTED, Phase.OFFERING, Phase.ROSTER)
            patient = not unpaid or self.spec.missing is Missing.WAIT
            if not patient and time.monotonic() - since > self.waits.patience.witness_s:
                raise Unavailable("SB-5031")
            self.waits.begin("coordinator", "witness")
            await self.waits.pause()

    async def _submitted(self) -> None:
        self._move(Phase.OFFERING, attempt=1)

    async def _offering(self) -> None:
        offers, absent = await self._offers.gather(self.job.attempt)
        left_out = [self.waits.name(member) for member in absent]
        self._move(Phase.ROSTER, offers=dump(offers), left_out=json.dumps(left_out))

    async def _roster(self) -> None:
        body = self._roster_body()
        signers = sorted(offer.signer for offer in self.job.offers)
        try:
            signatures = await gather_or_first_error(
                [
                    self.waits.link(signer).sign_roster(self.signed, body, self.job.offers)
                    for signer in signers
                ]
            )
        except (Unavailable, StateError) as error:
            if error.code not in PASSING:
                raise
            # Nobody has computed yet, so another attempt, with new one-time keys, costs nothing.
            if self.job.attempt >= MOST_ATTEMPTS:
                raise Unavailable("SB-5110", attempts=MOST_ATTEMPTS) from None
            await self.waits.pause()
            self._move(Phase.OFFERING, attempt=self.job.attempt + 1, offers=None)
            return
        line = EntryKind.ROSTER, {"roster": signatures[0].digest}
        self._join_due = self.spec.joined
        self._move(Phase.COMPUTING, line, roster=dump(signatures))

    async def _computing(self) -> None:
        # Counted from the roster's signature, so that restarts do not prolong it.
        until = self.job.changed + self._deadline_s
        if self._join_due:
            # Once: after a restart, nodes whose join had ended have their shares, and others say so.
            self._join_due = False
            for member, share in (await self._join()).items():
                self._keep_share(member, share)
        arrived = {share.node for share in self._shares()}
        await gather_or_first_error(
            [
                self._share_of(signature.signer, until)
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

    def _roster_body(self) -> bytes:
        members = []
        for signed in sorted(self.job.offers, key=lambda offer: offer.signer):
            offer = read_document(Offer, signed, json.loads(signed.body))
            members.append(RosterMember(node=offer.node, ephemeral=offer.ephemeral))
        roster = Roster(job=self.signed.digest, attempt=self.job.attempt, members=members)
        return canonical(roster.body())

    async def _join(self) -> dict[str, Share]:
        """Carry the members' join, return their shares; whatever breaks it ends the job, charged."""
        members = {
            signature.signer: self.waits.link(signature.signer) for signature in self.job.roster
        }
        for member in members:
            self.waits.begin(member, "joining")
        tracks = Tracks(self._identity.public.fingerprint, self._sessions)
        telling = asyncio.create_task(self._tell(tracks))
        try:
            shares = await self._joins.run(
                self.signed.digest,
                self.job.roster,
                members,
                self._deadline_s,
                self.spec.run_s,
                tracks.carried,
            )
        finally:
            telling.cancel()
        self._note(tracks)
        return shares

    async def _tell(self, tracks: Tracks) -> None:
        """Let watchers know how far a join is, at most every PROGRESS_S."""
        while True:
            await asyncio.sleep(PROGRESS_S)
            self._note(tracks)

    def _note(self, tracks: Tracks) -> None:
        now = tuple(replace(each, party=self.waits.name(each.party)) for each in tracks.now())
        # A join that was given up goes on until `stop`, and nobody is to hear of it.
        if now != self.progress and self.job.phase is Phase.COMPUTING:
            self.progress = now
            self.waits.tell()

    async def _share_of(self, member: str, until: float) -> None:
        """Fetch one share, until a moment (unix seconds). A node that was killed answers the same bytes
        when it is back."""
        self.waits.begin(member, "computing")
        while True:
            left = until - time.time()
            if left <= 0:
                raise Unavailable("SB-5114", party=self.waits.name(member))
            try:
                share = await self.waits.link(member).compute(
                    self.signed.digest, self.job.roster, left
                )
                break
            except SandboxError as error:
                self.waits.begin_or_raise(member, error)
                await self.waits.pause()
        self._keep_share(member, share)
        self.waits.end(member)

    def _keep_share(self, member: str, share: Share) -> None:
        self._check_share(member, share)
        stored = StoredShare(member, share.release, share.payload)
        self._store.add_share(self.job.job, self.job.attempt, stored)

    def _check_share(self, member: str, share: Share) -> None:
        """Raise TrustError SB-6032 unless the node signed for these very bytes and this roster."""
        release = Release.read(share.release, self.waits.link(member).identity)
        stated = (release.job, release.roster, release.share)
        digest = hashlib.sha256(share.payload).hexdigest()
        if stated != (self.signed.digest, self.job.roster[0].digest, digest):
            raise TrustError("SB-6032", party=self.waits.name(member))

    async def _evidence(self) -> JobEvidence:
        """Gather heads and cosignatures. All is paid for, so nothing but expiry ends the wait."""
        while True:
            try:
                members = [self.waits.link(signature.signer) for signature in self.job.roster]
                return await self._witnesses.gather(
                    self.signed, members, [*self.waits.links().values()]
                )
            except SandboxError as error:
                self.waits.expire(str(error.facts.get("party", "")), "witness")
                self.waits.begin_or_raise(str(error.facts.get("party", "")), error)
                await self.waits.pause()

    def _receipt(self, evidence: JobEvidence) -> bytes:
        shares, links = self._shares(), self.waits.links()
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

    def _move(self, to: Phase, line: LogLine | None = None, **fields: object) -> None:
        if self.job.phase is Phase.CANCELLED:  # while the step ran
            return
        self._clear()
        self._store.move(self.job.job, self.job.phase, to, line, **fields)
        self._reload()

    def _fail(self, error: SandboxError) -> None:
        if self.job.phase not in TERMINAL:
            problem = problem_of(error, str(error.facts.get("party", "coordinator")))
            line = EntryKind.FAILURE, {"code": error.code}
            self._move(Phase.FAILED, line, problem=problem.SerializeToString())

    def _clear(self) -> None:
        self.waits.clear()
        self.progress = ()

    def _reload(self) -> None:
        stored = self._store.job(self.job.job)
        assert stored is not None, "a stored job never disappears"
        self.job = stored
        self.waits.tell()
