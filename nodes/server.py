"""The provider's daemon: gRPC in front, tasks behind, workers forked before any thread exists."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from nodes.budgets import Budgets
from nodes.frames import Frames
from nodes.sharing import Shared
from nodes.tasks import Tasks
from nodes.vault import Vault
from nodes.witnessing import Witnessing
from nodes.workers import Limits, Workers
from sandbox.config import load_node
from sandbox.crypto.certificates import PeerName
from sandbox.crypto.identity import Identity, Role, canonical
from sandbox.errors import InputError, SandboxError, TrustError
from sandbox.jobs import MOST_RUN_S
from sandbox.privacy.noise import OpenDPSampler, Sampler
from sandbox.rpc import common_pb2, node_pb2, node_pb2_grpc
from sandbox.rpc.channels import bind, chunks, gather_parts, new_server, server_credentials
from sandbox.rpc.documents import from_message, to_message
from sandbox.rpc.guard import Context, Guard
from sandbox.rpc.joinparts import Frame, Part, serve_join
from sandbox.rpc.problems import problem_of
from sandbox.rpc.stopping import stop_requested
from sandbox.version import __version__

CONTEXT_LIMIT_BYTES = 2 << 20
GRACE_S = 5.0

_COORDINATOR = frozenset({Role.COORDINATOR})
_METHODS = (
    "Describe",
    "PutContext",
    "Offer",
    "SignRoster",
    "Compute",
    "Join",
    "Evidence",
    "Witness",
    "LastHead",
    "ConfirmHead",
    "Budget",
    "Cancel",
)
ALLOWED = dict.fromkeys(_METHODS, _COORDINATOR)
DEADLINES_S = {"Compute": 900.0, "Join": float(MOST_RUN_S)}

log = logging.getLogger("sandbox.node")


class NodeService(node_pb2_grpc.NodeServicer):
    """The coordinator's calls. What they may do is decided by the signed documents in them."""

    def __init__(self, name: str, tasks: Tasks, witnessing: Witnessing, budgets: Budgets) -> None:
        self._name = name
        self._tasks = tasks
        self._witnessing = witnessing
        self._budgets = budgets

    async def Describe(  # noqa: N802
        self, request: node_pb2.DescribeRequest, context: Context
    ) -> node_pb2.Description:
        return node_pb2.Description(
            identity=canonical(self._tasks.identity.public.to_document()),
            version=__version__,
            datasets=[to_message(signed) for signed in self._tasks.catalogue.datasets()],
            collections=[to_message(signed) for signed in self._tasks.catalogue.collections()],
            policies=[to_message(signed) for signed in self._tasks.catalogue.policies()],
            awaiting_witness=self._witnessing.nonce or b"",
            time=int(time.time() * 1000),
        )

    async def PutContext(  # noqa: N802
        self, request: AsyncIterator[node_pb2.ContextPart], context: Context
    ) -> common_pb2.Empty:
        first, joined = await gather_parts(request, CONTEXT_LIMIT_BYTES)
        await self._tasks.keep_context(first.digest, first.ring, joined)
        return common_pb2.Empty()

    async def Offer(  # noqa: N802
        self, request: node_pb2.OfferRequest, context: Context
    ) -> node_pb2.OfferReply:
        try:
            answer = self._tasks.offer(from_message(request.job), request.attempt)
        except SandboxError as error:
            return node_pb2.OfferReply(problem=problem_of(error, self._name))
        if isinstance(answer, node_pb2.Wait):
            return node_pb2.OfferReply(wait=answer)
        return node_pb2.OfferReply(offer=to_message(answer))

    async def SignRoster(  # noqa: N802
        self, request: node_pb2.SignRosterRequest, context: Context
    ) -> common_pb2.Document:
        offers = [from_message(offer) for offer in request.offers]
        return to_message(
            self._tasks.sign_roster(from_message(request.job), request.roster, offers)
        )

    async def Compute(  # noqa: N802
        self, request: node_pb2.ComputeRequest, context: Context
    ) -> AsyncIterator[node_pb2.SharePart]:
        roster = [from_message(signature) for signature in request.roster]
        try:
            share = await self._tasks.share(request.job_digest, roster)
        except SandboxError as error:
            yield node_pb2.SharePart(problem=problem_of(error, self._name))
            return
        for part in _parts_of(share):
            yield part

    async def Join(  # noqa: N802
        self, request: AsyncIterator[Part], context: Context
    ) -> AsyncIterator[Part]:
        first = await anext(aiter(request), None)
        if not isinstance(first, node_pb2.JoinPart) or first.WhichOneof("part") != "start":
            raise InputError("SB-3252")
        roster = [from_message(signature) for signature in first.start.roster]
        frames = Frames()
        feeding = asyncio.create_task(_feed(request, frames))
        sharing = asyncio.create_task(self._tasks.share(first.start.job_digest, roster, frames))
        try:
            async for frame in frames.until(sharing):
                yield frame
            for part in _parts_of(await sharing):
                yield node_pb2.JoinPart(share=part)
            yield node_pb2.JoinPart(committed=common_pb2.Empty())
        except SandboxError as error:
            yield node_pb2.JoinPart(problem=problem_of(error, self._name))
        finally:
            feeding.cancel()
            # Of a call alone: the share itself is shielded.
            sharing.cancel()
            frames.hang_up()

    async def Evidence(  # noqa: N802
        self, request: node_pb2.EvidenceRequest, context: Context
    ) -> node_pb2.EvidenceReply:
        return self._witnessing.evidence(request.job_digest, request.since)

    async def Witness(  # noqa: N802
        self, request: node_pb2.WitnessRequest, context: Context
    ) -> node_pb2.WitnessReply:
        return self._witnessing.witness(request)

    async def LastHead(  # noqa: N802
        self, request: node_pb2.LastHeadRequest, context: Context
    ) -> common_pb2.Document:
        return to_message(self._witnessing.last_head(request.log, request.nonce))

    async def ConfirmHead(  # noqa: N802
        self, request: node_pb2.ConfirmHeadRequest, context: Context
    ) -> node_pb2.ConfirmHeadReply:
        answers = [from_message(answer) for answer in request.answers]
        return node_pb2.ConfirmHeadReply(confirmed=self._witnessing.confirm(answers))

    async def Budget(  # noqa: N802
        self, request: common_pb2.Document, context: Context
    ) -> common_pb2.Document:
        return to_message(self._budgets.statement(from_message(request)))

    async def Cancel(  # noqa: N802
        self, request: common_pb2.Document, context: Context
    ) -> common_pb2.Empty:
        self._tasks.cancel(from_message(request))
        return common_pb2.Empty()


def _parts_of(share: Shared) -> Iterator[node_pb2.SharePart]:
    yield node_pb2.SharePart(release=to_message(share.release))
    for chunk in chunks(share.payload):
        yield node_pb2.SharePart(chunk=chunk)


async def _feed(request: AsyncIterator[Part], frames: Frames) -> None:
    """Hand on the coordinator's frames; when its stream ends, so does the join."""
    try:
        async for part in request:
            if isinstance(part, Frame):
                await frames.incoming.put(part)
    finally:
        frames.hang_up()


def _own_coordinator(fingerprint: str, vault: Vault) -> Callable[[PeerName], None]:
    """Return the check that a caller is the owner's chosen coordinator, and not revoked since."""

    def recognise(peer: PeerName) -> None:
        if peer.fingerprint != fingerprint:
            raise TrustError("SB-3251", fingerprint=peer.fingerprint)
        if vault.pins.is_revoked(fingerprint):
            raise TrustError("SB-3112", name=peer.name)

    return recognise


def serve(profile: Path) -> int:
    """Run the node of `profile` in the foreground until SIGTERM or SIGINT; return 0."""
    return run(profile, OpenDPSampler())


def run(profile: Path, sampler: Sampler) -> int:
    """Run a node that draws its noise from `sampler`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return asyncio.run(_serve(profile, sampler))


async def _serve(profile: Path, sampler: Sampler) -> int:
    config = load_node(profile)
    identity = Identity.load(profile)
    vault = Vault.open(profile, identity)
    async with Workers(profile, Limits.of(config)) as workers:
        witnessing = Witnessing(identity, vault, config.coordinator_fingerprint)
        tasks = Tasks(identity, config, vault, workers, sampler)
        guard = Guard(
            config.name,
            ALLOWED,
            DEADLINES_S,
            _own_coordinator(config.coordinator_fingerprint, vault),
        )
        server = new_server((guard,))
        service = NodeService(config.name, tasks, witnessing, Budgets(identity, vault))
        node_pb2_grpc.add_NodeServicer_to_server(service, server)
        serve_join(server, service.Join)
        port = bind(server, config.listen, server_credentials(profile))
        await server.start()
        # What a daemon has now it keeps: to walk through it again at each collection would delay jobs.
        gc.freeze()
        print(
            json.dumps({"ready": True, "role": "node", "name": config.name, "port": port}),
            flush=True,
        )
        await stop_requested()
        await server.stop(GRACE_S)
    vault.close()
    return 0
