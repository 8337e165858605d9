"""The coordinator's process: takes jobs, drives them, relays ciphertext and signed statements."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from sandbox.config import load_coordinator
from sandbox.coordinator.adder import Adder
from sandbox.coordinator.enrolment import enrolment_server
from sandbox.coordinator.evidence import Witnesses
from sandbox.coordinator.jobflow import JobFlow
from sandbox.coordinator.phases import TERMINAL, Phase
from sandbox.coordinator.progress import Session
from sandbox.coordinator.registry import Registry
from sandbox.coordinator.relay import Joins
from sandbox.coordinator.room import Foreseen, foresee
from sandbox.coordinator.store import Store, StoredJob
from sandbox.crypto import he
from sandbox.crypto.certificates import PeerName
from sandbox.crypto.identity import Identity, PublicIdentity, Role, Signed, canonical, verify
from sandbox.crypto.join.dealer import Room
from sandbox.crypto.rings import ring_named
from sandbox.crypto.trust import Trust
from sandbox.errors import InputError, ProtocolError, SandboxError, TrustError, Unavailable
from sandbox.jobs import (
    BUDGET_REQUEST_KIND,
    CANCEL_KIND,
    BudgetRequest,
    Cancellation,
    read_document,
    read_job,
)
from sandbox.rpc import common_pb2, coordinator_pb2, coordinator_pb2_grpc
from sandbox.rpc.channels import bind, chunks, gather_parts, new_server, server_credentials
from sandbox.rpc.documents import from_message, to_message
from sandbox.rpc.guard import Context, Guard, peer_of
from sandbox.rpc.problems import problem_of
from sandbox.rpc.stopping import stop_requested
from sandbox.scratch import scratch_in
from sandbox.version import __version__

CONTEXT_LIMIT_BYTES = 2 << 20
UNFINISHED_PER_RESEARCHER = 100
GRACE_S = 5.0

_ANYONE = frozenset(Role) - {Role.OWNER}
_RESEARCHER = frozenset({Role.RESEARCHER})
_READERS = frozenset({Role.RESEARCHER, Role.SUPERVISOR})
ALLOWED = {
    "Status": _ANYONE,
    "Catalogue": _ANYONE,
    "PutContext": _RESEARCHER,
    "Submit": _RESEARCHER,
    "Cancel": _RESEARCHER,
    "Budget": _RESEARCHER,
    "Watch": _READERS,
    "Jobs": _READERS,
    "Result": _READERS,
}
DEADLINES_S = {"Watch": 7 * 24 * 3600.0, "Result": 120.0}

log = logging.getLogger("sandbox.coordinator")


class CoordinatorService(coordinator_pb2_grpc.CoordinatorServicer):
    """The calls of researchers, supervisors and nodes."""

    def __init__(self, profile: Path) -> None:
        self._identity = Identity.load(profile)
        self._trust = Trust(profile)
        config = load_coordinator(profile)
        self._deadline_s = config.job_deadline_s
        self._room = Room(config.join_rows, scratch_in(profile))
        self._store = Store(profile, self._identity)
        self._store.log.check()
        self._store.log.start()
        self._witnesses = Witnesses(self._identity.public, self._store.log)
        self.registry = Registry(profile, self._store.log, self._witnesses)
        self._joins = Joins(self._identity.public.fingerprint, self._room)
        self._adder = Adder(profile)
        self._flows: dict[str, JobFlow] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Have workers standing by; raises Unavailable SB-5200."""
        await self._adder.start()

    def resume(self) -> None:
        """Take up the jobs that had not ended when the process did."""
        for stored in self._store.unfinished():
            self._drive(stored.job)

    async def close(self) -> None:
        """Stop driving; every job stays where its last step was written."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._adder.stop()
        await self.registry.close()
        self._store.close()

    def recognise(self, peer: PeerName) -> None:
        """Raise TrustError unless the caller was enrolled here in this role and not revoked since.

        The coordinator itself may call: health checks use its own certificate.
        """
        if self._trust.is_revoked(peer.fingerprint):
            raise TrustError("SB-3112", name=peer.name)
        own = self._identity.public
        known = {**self._trust.identities(), own.fingerprint: own}.get(peer.fingerprint)
        if known is None or (known.role, known.name) != (peer.role, peer.name):
            raise TrustError("SB-3113", fingerprint=peer.fingerprint)

    async def Status(  # noqa: N802
        self, request: common_pb2.Empty, context: Context
    ) -> coordinator_pb2.StatusReply:
        nodes = [
            coordinator_pb2.NodeStatus(
                identity=canonical(view.link.identity.to_document()),
                version=view.version,
                address=view.link.address,
                reachable=view.reachable,
                last_seen=view.last_seen,
                clock_skew_ms=view.clock_skew_ms,
                confirmed=view.confirmed,
                problem=(
                    None
                    if view.problem is None
                    else problem_of(view.problem, view.link.identity.name)
                ),
            )
            for view in self.registry.nodes.values()
        ]
        return coordinator_pb2.StatusReply(
            identity=canonical(self._identity.public.to_document()),
            version=__version__,
            nodes=nodes,
            time=int(time.time() * 1000),
        )

    async def Catalogue(  # noqa: N802
        self, request: common_pb2.Empty, context: Context
    ) -> coordinator_pb2.CatalogueReply:
        reply = coordinator_pb2.CatalogueReply()
        if peer_of(context).role is Role.NODE:
            # A fingerprint is all that an owner needs to be told to pin whoever was enrolled.
            enrolled = list(self._trust.identities().values())
        else:
            enrolled = [view.link.identity for view in self.registry.nodes.values()]
        reply.identities.extend(canonical(identity.to_document()) for identity in enrolled)
        for view in self.registry.nodes.values():
            reply.datasets.extend(to_message(signed) for signed in view.datasets)
            reply.collections.extend(to_message(signed) for signed in view.collections)
            reply.policies.extend(to_message(signed) for signed in view.policies)
        return reply

    def _catalogue(self) -> tuple[list[Signed], dict[str, PublicIdentity]]:
        """Return what nodes offer, as they signed it, and who they are."""
        views = self.registry.nodes
        offered = [signed for v in views.values() for signed in (*v.datasets, *v.collections)]
        return offered, {name: view.link.identity for name, view in views.items()}

    async def PutContext(  # noqa: N802
        self, request: AsyncIterator[coordinator_pb2.UploadPart], context: Context
    ) -> common_pb2.Empty:
        first, joined = await gather_parts(request, CONTEXT_LIMIT_BYTES)
        ring = ring_named(first.ring)
        if await asyncio.to_thread(he.check_context, joined, ring) != first.digest:
            raise TrustError("SB-3120")
        self._store.add_context(first.digest, first.ring, peer_of(context).fingerprint, joined)
        return common_pb2.Empty()

    async def Submit(  # noqa: N802
        self, request: common_pb2.Document, context: Context
    ) -> coordinator_pb2.JobState:
        signed = from_message(request)
        spec = read_job(signed, self._caller(context, signed), int(time.time()))
        if spec.coordinator != self._identity.public.fingerprint:
            raise TrustError("SB-3121")
        if not spec.joined and self._store.context(spec.context) is None:
            raise InputError("SB-3122")
        foreseen = Foreseen()
        if self._store.job(spec.job) is None:
            self._refuse_crowd(spec.researcher)
            if spec.joined:
                foreseen = await asyncio.to_thread(foresee, spec, *self._catalogue())
                self._room.require(foreseen.rows)
        try:
            new = self._store.add_job(spec.job, signed, spec.researcher)
        except ProtocolError as error:
            log.warning("job %s: %s for %s", spec.job, error.code, signed.digest)
            raise
        if new:
            self._drive(spec.job, foreseen.sessions)
        return self._state(self._owned(spec.job, context))

    async def Watch(  # noqa: N802
        self, request: coordinator_pb2.JobRequest, context: Context
    ) -> AsyncIterator[coordinator_pb2.JobState]:
        while True:
            stored = self._owned(request.job, context)
            flow = self._flows.get(request.job)
            # Taken before the state is sent: what happens meanwhile must not go unnoticed.
            changed = None if flow is None else flow.waits.changed
            yield self._state(stored)
            if stored.phase in TERMINAL or changed is None:
                return
            await changed.wait()

    async def Jobs(  # noqa: N802
        self, request: coordinator_pb2.JobsRequest, context: Context
    ) -> coordinator_pb2.JobsReply:
        peer = peer_of(context)
        owner = None if peer.role is Role.SUPERVISOR else peer.fingerprint
        stored = self._store.jobs_of(owner, min(request.limit or 50, 1000))
        return coordinator_pb2.JobsReply(jobs=[self._state(job) for job in stored])

    async def Result(  # noqa: N802
        self, request: coordinator_pb2.JobRequest, context: Context
    ) -> AsyncIterator[coordinator_pb2.ResultPart]:
        if self._owned(request.job, context).phase is Phase.CANCELLED:
            raise InputError("SB-3290", job=request.job)
        result = self._store.result(request.job)
        if result is None:
            raise InputError("SB-3123", job=request.job)
        summed, receipt = result
        for chunk in chunks(summed):
            yield coordinator_pb2.ResultPart(sum=chunk)
        for chunk in chunks(receipt):
            yield coordinator_pb2.ResultPart(receipt=chunk)

    async def Cancel(  # noqa: N802
        self, request: common_pb2.Document, context: Context
    ) -> coordinator_pb2.JobState:
        signed = from_message(request)
        body = verify(signed, self._caller(context, signed), CANCEL_KIND)
        job = self._owned(read_document(Cancellation, signed, body).job, context)
        flow = self._flows.get(job.job)
        if flow is not None:
            flow.cancel(signed)
        # Nodes are told of a job that has ended, too: they forget what it prepared.
        state = self._state(self._owned(job.job, context))
        members = [link for node, link in self.registry.links.items() if node in state.members]
        try:
            told = await asyncio.gather(
                *(m.cancel(signed) for m in members), return_exceptions=True
            )
        finally:
            # Whoever asked may have hung up meanwhile: the join's members must not wait for it.
            if flow is not None and state.phase == Phase.CANCELLED.value:
                flow.stop()
        for member, answer in zip(members, told, strict=True):
            if isinstance(answer, SandboxError):
                state.untold.append(member.identity.name)
            elif answer is not None:
                raise answer
        return state

    async def Budget(  # noqa: N802
        self, request: common_pb2.Document, context: Context
    ) -> coordinator_pb2.BudgetReply:
        signed = from_message(request)
        body = verify(signed, self._caller(context, signed), BUDGET_REQUEST_KIND)
        read_document(BudgetRequest, signed, body)
        links = [view.link for view in self.registry.nodes.values()]
        answers = await asyncio.gather(
            *(link.budget(signed) for link in links), return_exceptions=True
        )
        reply = coordinator_pb2.BudgetReply()
        for link, answer in zip(links, answers, strict=True):
            if isinstance(answer, Signed):
                reply.statements.append(to_message(answer))
            elif isinstance(answer, SandboxError):
                reply.problems.append(problem_of(answer, link.identity.name))
            else:
                raise answer
        return reply

    def _caller(self, context: Context, signed: Signed) -> PublicIdentity:
        """Return who calls; the document must be signed by the very party the certificate names."""
        fingerprint = peer_of(context).fingerprint
        identity = self._trust.identities().get(fingerprint)
        if identity is None:
            raise TrustError("SB-3113", fingerprint=fingerprint)
        if signed.signer != fingerprint:
            raise TrustError("SB-3114", signer=signed.signer)
        return identity

    def _refuse_crowd(self, researcher: str) -> None:
        """Raise Unavailable SB-3269 for a researcher with too many jobs that have not ended."""
        unfinished = [job for job in self._store.unfinished() if job.researcher == researcher]
        if len(unfinished) >= UNFINISHED_PER_RESEARCHER:
            raise Unavailable("SB-3269", limit=UNFINISHED_PER_RESEARCHER)

    def _owned(self, job: str, context: Context) -> StoredJob:
        """Return a job that the caller may see: his own, or any for a supervisor."""
        flow = self._flows.get(job)
        # A job that is driven is as its flow last wrote it: nobody else writes jobs.
        stored = self._store.job(job) if flow is None else flow.job
        peer = peer_of(context)
        if stored is None or (
            peer.role is not Role.SUPERVISOR and stored.researcher != peer.fingerprint
        ):
            raise InputError("SB-3124", job=job[:40])
        return stored

    def _drive(self, job: str, sessions: Sequence[Session] = ()) -> None:
        """Drive a job. sessions: of its PSI; after a restart none, so that its progress is untold."""
        if job in self._flows:  # Submitted between the start of the server and its resuming.
            return
        flow = JobFlow(
            job,
            self._store,
            self._adder.add,
            self._identity,
            lambda: self.registry.links,
            self._trust,
            self._witnesses,
            self._joins,
            self._deadline_s,
            sessions=sessions,
        )
        self._flows[job] = flow
        task = asyncio.create_task(flow.run(), name=f"job {job}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._flows.pop(job, None))

    def _state(self, stored: StoredJob) -> coordinator_pb2.JobState:
        signed = Signed.from_document(json.loads(stored.document))
        spec = json.loads(signed.body)
        flow = self._flows.get(stored.job)
        state = coordinator_pb2.JobState(
            job=stored.job,
            phase=stored.phase.value,
            statement=spec["statement"],
            created=stored.created,
            changed=stored.changed,
            deadline=spec["expires"],
            members=spec["members"],
            left_out=stored.left_out,
            begun=bool(stored.roster),
        )
        for waiting in flow.waits.now if flow else ():
            state.waiting.add(party=waiting.party, reason=waiting.reason, since=waiting.since)
        for each in flow.progress if flow else ():
            state.progress.add(**vars(each))
        if stored.problem:
            state.problem.ParseFromString(stored.problem)
        return state


def serve(profile: Path) -> int:
    """Run the coordinator of `profile` in the foreground until SIGTERM or SIGINT; return 0."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return asyncio.run(_serve(profile))


async def _serve(profile: Path) -> int:
    config = load_coordinator(profile)
    service = CoordinatorService(profile)
    guard = Guard("coordinator", ALLOWED, DEADLINES_S, service.recognise)
    server = new_server((guard,))
    coordinator_pb2_grpc.add_CoordinatorServicer_to_server(service, server)
    port = bind(server, config.listen, server_credentials(profile))
    enrolment = enrolment_server(profile, config.enrol_listen)
    await service.start()
    await server.start()
    await enrolment.start()
    attending = asyncio.create_task(service.registry.attend())
    service.resume()
    # What a daemon has now it keeps: to walk through it again at each collection would delay jobs.
    gc.freeze()
    print(
        json.dumps({"ready": True, "role": "coordinator", "name": config.name, "port": port}),
        flush=True,
    )
    stopping = asyncio.create_task(stop_requested())
    await asyncio.wait({stopping, attending}, return_when=asyncio.FIRST_COMPLETED)
    attending.cancel()
    await asyncio.gather(server.stop(GRACE_S), enrolment.stop(GRACE_S))
    await service.close()
    if not stopping.done():
        stopping.cancel()
        attending.result()  # Raises what ended it: the store is an old copy.
    return 0
