"""One connection to one node, with the deadlines of each act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
import grpc.aio

from sandbox.crypto.identity import PublicIdentity, Signed
from sandbox.errors import InputError, SandboxError
from sandbox.rpc import common_pb2, node_pb2, node_pb2_grpc
from sandbox.rpc.channels import chunks, open_channel
from sandbox.rpc.documents import from_message, to_message
from sandbox.rpc.joinparts import METHOD, Part, read_part, write_part
from sandbox.rpc.problems import error_of, error_of_call

Q = TypeVar("Q")
A = TypeVar("A")

JoinCall = grpc.aio.StreamStreamCall[Part, Part]

SHORT_S = 8.0
"""For acts that compute nothing. A node that is down is noticed within this time."""
SHARE_LIMIT_BYTES = 1 << 28
"""The longest share there is, 2^20 integers in the largest ring, takes less than 140 MB."""


@dataclass(frozen=True)
class Share:
    """What a node answers to Compute: its signed release statement and the share's bytes."""

    release: Signed
    payload: bytes


class ShareParts:
    """A share of `party` as it arrives."""

    def __init__(self, party: str) -> None:
        self._party = party
        self._release: Signed | None = None
        self._payload = bytearray()

    def add(self, part: node_pb2.SharePart) -> None:
        """Take the next part; raises the node's problem, InputError SB-3250 for too much."""
        match part.WhichOneof("part"):
            case "problem":
                raise error_of(part.problem)
            case "release":
                self._release = from_message(part.release)
            case "chunk":
                self._payload += part.chunk
                if len(self._payload) > SHARE_LIMIT_BYTES:
                    raise InputError("SB-3250", limit=SHARE_LIMIT_BYTES)

    def share(self) -> Share:
        """Return the share; raises SandboxError SB-4001 where no release came."""
        if self._release is None:
            raise SandboxError("SB-4001", party=self._party)
        return Share(self._release, bytes(self._payload))


class NodeLink:
    """Calls to one node; every failure is a SandboxError that names it."""

    def __init__(self, profile: Path, identity: PublicIdentity, address: str) -> None:
        self.identity = identity
        self.address = address
        self._channel = open_channel(profile, address, f"node-{identity.name}")
        self._stub = node_pb2_grpc.NodeStub(self._channel)
        self._join = self._channel.stream_stream(
            METHOD, request_serializer=write_part, response_deserializer=read_part
        )

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close(None)

    async def describe(self) -> node_pb2.Description:
        """Return what the node says of itself."""
        return await self._call(self._stub.Describe, node_pb2.DescribeRequest(), SHORT_S)

    async def put_context(self, digest: str, ring: str, context: bytes) -> None:
        """Hand the node a researcher's public context."""
        parts = (
            node_pb2.ContextPart(digest=digest, ring=ring, chunk=chunk) for chunk in chunks(context)
        )
        try:
            await self._stub.PutContext(parts, timeout=SHORT_S)
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, self.identity.name) from None

    async def offer(self, job: Signed, attempt: int, deadline_s: float) -> node_pb2.OfferReply:
        """Ask for an offer."""
        request = node_pb2.OfferRequest(job=to_message(job), attempt=attempt)
        return await self._call(self._stub.Offer, request, deadline_s)

    async def sign_roster(self, job: Signed, roster: bytes, offers: Sequence[Signed]) -> Signed:
        """Ask for a signature under a roster."""
        request = node_pb2.SignRosterRequest(
            job=to_message(job), roster=roster, offers=[to_message(offer) for offer in offers]
        )
        return from_message(await self._call(self._stub.SignRoster, request, SHORT_S))

    async def compute(self, job_digest: str, roster: Sequence[Signed], deadline_s: float) -> Share:
        """Ask for the share; waits for the node's release slot, at most `deadline_s`."""
        request = node_pb2.ComputeRequest(
            job_digest=job_digest, roster=[to_message(signature) for signature in roster]
        )
        parts = ShareParts(self.identity.name)
        try:
            async for part in self._stub.Compute(request, timeout=deadline_s):
                parts.add(part)
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, self.identity.name) from None
        return parts.share()

    def join(self, deadline_s: float) -> JoinCall:
        """Open the stream of a join."""
        call: JoinCall = self._join(None, timeout=deadline_s)
        return call

    async def evidence(self, job_digest: str, since: Sequence[int]) -> node_pb2.EvidenceReply:
        """Return the job's log entries with proofs against the node's newest head."""
        request = node_pb2.EvidenceRequest(job_digest=job_digest, since=since)
        return await self._call(self._stub.Evidence, request, SHORT_S)

    async def witness(self, request: node_pb2.WitnessRequest) -> node_pb2.WitnessReply:
        """Show the node another's head to cosign."""
        return await self._call(self._stub.Witness, request, SHORT_S)

    async def last_head(self, log: str, nonce: bytes) -> common_pb2.Document:
        """Return what the node, as a witness, last saw of `log`."""
        request = node_pb2.LastHeadRequest(log=log, nonce=nonce)
        return await self._call(self._stub.LastHead, request, SHORT_S)

    async def confirm_head(self, answers: Sequence[common_pb2.Document]) -> bool:
        """Hand the node its witnesses' answers; True when it may release again."""
        request = node_pb2.ConfirmHeadRequest(answers=answers)
        reply: node_pb2.ConfirmHeadReply = await self._call(
            self._stub.ConfirmHead, request, SHORT_S
        )
        return reply.confirmed

    async def budget(self, request: Signed) -> Signed:
        """Return the node's signed statement of what is left to a researcher."""
        return from_message(await self._call(self._stub.Budget, to_message(request), SHORT_S))

    async def cancel(self, cancellation: Signed) -> None:
        """Tell the node that a job was given up."""
        await self._call(self._stub.Cancel, to_message(cancellation), SHORT_S)

    async def _call(
        self, method: grpc.aio.UnaryUnaryMultiCallable[Q, A], request: Q, deadline_s: float
    ) -> A:
        try:
            return await method(request, timeout=deadline_s)
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, self.identity.name) from None
