"""A node's part of a job, from the signed job to the share that leaves.

Offer: the job is verified, planned again, held against policy and approval. Roster: signed once every
member is one the owner pinned. Share: reserve, compute, draw noise, encrypt, commit, and only then
send, at a release slot. Each step is on disk before the next begins (vault.py).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from nodes.assessment import assess, decide, demands, tables
from nodes.catalogue import OwnCatalogue
from nodes.frames import Frames
from nodes.joining import Joining
from nodes.matchings import Matchings
from nodes.registry import Registry
from nodes.rosters import Rosters
from nodes.sharing import Accepted, Shared, Sharing
from nodes.slots import first_slot, join_wait_s, wait_s
from nodes.spilling import require_disk
from nodes.taskrows import Task, TaskState
from nodes.vault import Vault
from nodes.workers import Workers
from sandbox.config import NodeConfig
from sandbox.crypto import he
from sandbox.crypto.identity import Identity, PublicIdentity, Role, Signed, canonical, verify
from sandbox.crypto.rings import ring_named
from sandbox.errors import (
    BY_NAME,
    InputError,
    ProtocolError,
    Refusal,
    SandboxError,
    StateError,
    TrustError,
    Unavailable,
)
from sandbox.jobs import (
    CANCEL_KIND,
    OFFER_KIND,
    Cancellation,
    JobSpec,
    Offer,
    read_document,
    read_job,
)
from sandbox.privacy.noise import Sampler
from sandbox.privacy.policy import Decision
from sandbox.rpc import node_pb2
from sandbox.sql.algebra import JoinMode
from sandbox.tables import Entry

MOST_REMEMBERED = 256

log = logging.getLogger("sandbox.node")


class Tasks:
    """The steps of a job at this node."""

    def __init__(
        self,
        identity: Identity,
        config: NodeConfig,
        vault: Vault,
        workers: Workers,
        sampler: Sampler,
    ) -> None:
        self.identity = identity
        self.coordinator = config.coordinator_fingerprint
        self._name = config.name
        self._temp_limit_mb = config.temp_limit_mb
        self._vault = vault
        self._registry = Registry(vault)
        self._sharing = Sharing(identity, self._registry, workers, sampler)
        self.catalogue = OwnCatalogue(identity, vault, self._registry)
        self._workers = workers
        self._rosters = Rosters(identity, vault)
        self._accepted: OrderedDict[str, Accepted] = OrderedDict()
        # What a crash left between reservation and commit: charged, and never drawn again.
        self._vault.end_interrupted(Unavailable("SB-5203"))
        self._matchings = Matchings(vault, self._registry)
        self._joining = Joining(
            identity, self.coordinator, self._registry, workers, sampler, self._matchings
        )
        self._running: dict[str, asyncio.Task[Shared]] = {}
        self._carried: dict[str, Frames] = {}

    async def keep_context(self, digest: str, ring: str, contexts: bytes) -> None:
        """Keep a public context; raises TrustError unless it is the menu's and has this digest."""
        if await asyncio.to_thread(he.check_context, contexts, ring_named(ring)) != digest:
            raise TrustError("SB-3120")
        self._vault.keep_context(digest, contexts)

    def offer(self, signed: Signed, attempt: int) -> Signed | node_pb2.Wait:
        """Return a signed offer for this attempt, or what the job must wait for.

        Raises Refusal or TrustError; a refusal by a rule is final and logged.
        """
        if attempt < 1:
            raise InputError("SB-3259", attempt=attempt)
        accepted = self._accept(signed)
        task = self._vault.task_of(accepted.spec.job)
        if task is None:
            task = self._admit(accepted)
        if task.digest != signed.digest:
            # Another body under this id: logged, and refused with SB-6010.
            self._vault.accept_job(task.job, signed)
        self._raise_if_ended(task)
        if not self._vault.log.confirmed():
            return node_pb2.Wait(reason=node_pb2.Wait.WITNESS)
        if task.state is TaskState.WAITING:
            return node_pb2.Wait(reason=node_pb2.Wait.APPROVAL)
        if not accepted.spec.joined and self._vault.context(accepted.spec.context) is None:
            return node_pb2.Wait(reason=node_pb2.Wait.CONTEXT)
        secret = X25519PrivateKey.generate()
        fresh = self.identity.sign(
            OFFER_KIND,
            Offer(
                job=signed.digest,
                attempt=attempt,
                node=self.identity.public.fingerprint,
                ephemeral=secret.public_key().public_bytes_raw().hex(),
            ).body(),
        )
        stored = self._vault.store_offer(
            signed.digest,
            attempt,
            canonical(fresh.to_document()),
            secret.private_bytes_raw(),
        )
        return Signed.from_document(json.loads(stored))

    def sign_roster(self, job: Signed, body: bytes, offers: Sequence[Signed]) -> Signed:
        """Sign who takes part; raises TrustError for a roster that does not fit job, offers or pins."""
        signed, roster = self._rosters.signed(self._accept(job), body, offers)
        self._vault.sign_roster(job.digest, roster.attempt, signed.digest)
        return signed

    async def share(
        self, digest: str, roster: Sequence[Signed], frames: Frames | None = None
    ) -> Shared:
        """Return the share, made now or stored; the same bytes however often it is asked for.

        A joined job's share is made where `frames` carry its join, and only fetched without."""
        received = time.monotonic()
        running = self._running.get(digest)
        if running is None:
            running = asyncio.create_task(self._share(digest, roster, received, frames))
            self._running[digest] = running
            running.add_done_callback(lambda ended: self._end(digest, ended))
        # A caller that hangs up must not stop what is reserved already.
        return await asyncio.shield(running)

    def cancel(self, signed: Signed) -> None:
        """Give up a task at its researcher's word; what was reserved stays spent. A join that runs ends
        with its worker. Of a task that has prepared a matching, the node forgets it."""
        researcher = self._pinned(signed.signer, Role.RESEARCHER)
        body = verify(signed, researcher, CANCEL_KIND)
        task = self._vault.task_of(read_document(Cancellation, signed, body).job)
        if task is not None and task.researcher == researcher.fingerprint:
            self._vault.cancel(task.digest)
            self._matchings.forget(task.digest)
            if task.digest in self._carried:
                self._carried[task.digest].hang_up()

    # Steps

    def _end(self, digest: str, ended: asyncio.Task[Shared]) -> None:
        del self._running[digest]
        if not ended.cancelled():
            # Looked at, since nobody may wait any more: asyncio would log a traceback of it.
            ended.exception()

    def _accept(self, signed: Signed) -> Accepted:
        """Return the job verified and assessed; remembered, since every step needs it."""
        researcher = self._pinned(signed.signer, Role.RESEARCHER)
        known = self._accepted.get(signed.digest)
        if known is not None and known.signed == signed and known.spec.expires > time.time():
            return known
        try:
            spec = read_job(signed, researcher, int(time.time()))
        except TrustError as error:
            if error.code == "SB-3104":
                self._vault.expire(signed.digest, error)
            raise
        if spec.coordinator != self.coordinator:
            raise TrustError("SB-3119")
        try:
            assessment = assess(spec, self._catalogue_for(spec), self.identity.public)
        except SandboxError as error:
            self._vault.refuse_job(spec.job, signed, error)
            raise
        accepted = Accepted(signed, spec, assessment)
        self._accepted[signed.digest] = accepted
        if len(self._accepted) > MOST_REMEMBERED:
            self._accepted.popitem(last=False)
        return accepted

    def _admit(self, accepted: Accepted) -> Task:
        """Hold a new job against the owner's policy; raises Refusal, which is logged."""
        spec = accepted.spec
        try:
            decision = decide(spec, accepted.assessment, self._registry, self._name)
            self._require_disk(accepted)
            self._require_matching(accepted)
            charge = accepted.assessment.noise.charge
            self._vault.would_fit(charge, demands(spec, accepted.assessment, self._registry))
        except SandboxError as error:
            self._vault.refuse_job(spec.job, accepted.signed, error)
            raise
        waiting = decision is Decision.NEEDS_APPROVAL
        return self._vault.accept_job(spec.job, accepted.signed, waiting=waiting)

    def _hold_again(self, accepted: Accepted) -> None:
        """Hold a job against cards and rules as they are now, since both may have changed since its
        offer; what refuses it ends the task. An approval, however it was given, stays given."""
        spec = accepted.spec
        try:
            tables(spec, self._catalogue_for(spec))
            decide(spec, accepted.assessment, self._registry, self._name)
            self._require_matching(accepted)
        except SandboxError as error:
            self._vault.refuse_job(spec.job, accepted.signed, error)
            raise

    def _require_disk(self, accepted: Accepted) -> None:
        """Raise Refusal SB-2271 for a join whose declared sizes take more disk than the owner allows."""
        plan, own = accepted.assessment.plan, self.identity.public.fingerprint
        limit, malicious = self._temp_limit_mb, accepted.spec.malicious
        require_disk(plan, own, limit, self._name, malicious=malicious)

    def _require_matching(self, accepted: Accepted) -> None:
        """Raise Refusal SB-2260..SB-2264 where a job asks for a matching that does not serve it."""
        if accepted.spec.prepared is not None:
            (dataset,) = accepted.assessment.datasets
            self._matchings.find(accepted.spec, accepted.assessment.plan, dataset)

    def _catalogue_for(self, spec: JobSpec) -> dict[str, Entry]:
        return self.catalogue.entries([Signed.from_document(card) for card in spec.cards])

    async def _share(
        self, digest: str, signatures: Sequence[Signed], received: float, frames: Frames | None
    ) -> Shared:
        stored = self._vault.stored_share(digest)
        if stored is not None:
            return Shared(Signed.from_document(json.loads(stored.release)), stored.share)
        task = self._vault.task(digest)
        self._raise_if_ended(task)
        if task.state is not TaskState.ROSTERED:
            raise ProtocolError(
                "SB-4004", job=task.job, found=task.state.value, expected="rostered"
            )
        accepted = self._accept(task.document)
        roster = self._rosters.verified(task, signatures)
        spec, assessment = accepted.spec, accepted.assessment
        if spec.joined == (frames is None):
            raise ProtocolError("SB-4012", job=task.job)
        roster_digest = signatures[0].digest
        self._hold_again(accepted)
        lease = self._reserve(task, accepted, roster_digest)
        slot = first_slot(assessment.plan.table.card.row_bound, assessment.plan.length)
        try:
            secret = X25519PrivateKey.from_private_bytes(self._vault.offer_secret(digest))
            job = Accepted(task.document, spec, assessment)
            if frames is None:
                contexts = self._vault.context(spec.context) or b""
                shared = await self._sharing.make(job, roster, roster_digest, secret, contexts)
                if wait_s(time.monotonic() - received, slot) is None:
                    raise Unavailable("SB-5117", node=self._name)
                # Peers may ask for the log at any time: it, too, grows at the slot and not before.
                await _hold(received, slot)
            else:
                researcher = self._pinned(spec.researcher, Role.RESEARCHER)
                self._carried[digest] = frames
                shared = await self._joining.make(
                    job, roster, roster_digest, secret, researcher, frames
                )
                if assessment.plan.mode is JoinMode.PSI or assessment.plan.prepares:
                    # Counting what matched, or writing keys down, took time that depends on it.
                    bound = assessment.plan.table.card.row_bound
                    await asyncio.sleep(join_wait_s(time.monotonic() - received, bound))
            self._vault.commit_share(digest, lease, shared.payload, shared.release)
            if spec.prepare is not None:
                self._matchings.forget_older(digest, spec)
        except Exception as error:
            # One code and one moment for whatever a row made fail; the owner's log has the cause.
            log.warning("task %s failed: %s", task.job, _cause(error))
            closed = _closed(error)
            if self._vault.task(digest).state is not TaskState.COMMITTED:
                self._joining.forget(accepted)
            await _hold(received, slot)
            self._vault.fail_job(digest, closed)
            raise closed from None
        finally:
            self._carried.pop(digest, None)
        return shared

    def _reserve(self, task: Task, accepted: Accepted, roster: str) -> int:
        """Charge the job; raises Refusal, which ends the task and is logged, or Unavailable SB-5202
        while the workers' line is full, which costs nothing."""
        self._workers.require_room()
        spec = accepted.spec
        wanted = demands(spec, accepted.assessment, self._registry)
        told = spec.disclosure.receiver if spec.disclosure else ""
        try:
            return self._vault.reserve(
                task.digest, roster, accepted.assessment.noise.charge, wanted, told
            )
        except Refusal as error:
            self._vault.refuse_job(task.job, task.document, error)
            raise

    def _pinned(self, fingerprint: str, role: Role) -> PublicIdentity:
        pinned = self._vault.pins.identities().get(fingerprint)
        if pinned is None or pinned.role is not role:
            raise TrustError("SB-3115", fingerprint=fingerprint, node=self._name)
        return pinned

    def _raise_if_ended(self, task: Task) -> None:
        if task.refusal is not None:
            kind, code, facts = task.refusal
            raise BY_NAME[kind](code, **facts)
        if task.state is TaskState.CANCELLED:
            raise ProtocolError(
                "SB-4004", job=task.job, found=task.state.value, expected="accepted"
            )


async def _hold(received: float, slot: int) -> None:
    """Wait for the next release slot; past the last one, which a join may be, for one of joins."""
    elapsed = time.monotonic() - received
    wait = wait_s(elapsed, slot)
    await asyncio.sleep(join_wait_s(elapsed, 0) if wait is None else wait)


def _closed(error: Exception) -> SandboxError:
    """Return what may be known outside of why a share was not made."""
    if isinstance(error, StateError) or (
        isinstance(error, SandboxError) and error.code == "SB-5117"
    ):
        return error
    return Unavailable("SB-5203")


def _cause(error: Exception) -> str:
    return error.code if isinstance(error, SandboxError) else type(error).__name__
