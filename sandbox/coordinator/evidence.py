"""Witnesses: each node's newest head is shown to the other nodes, who cosign it.

The coordinator only carries. A witness signs a head only if it extends the one it saw before, so a
node cannot show one history to the researcher and another to its peers.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.coordinator.nodelink import NodeLink
from sandbox.coordinator.store import Store
from sandbox.crypto.identity import Signed, canonical
from sandbox.errors import SandboxError, Unavailable
from sandbox.rpc import node_pb2
from sandbox.rpc.documents import from_message, to_message


@dataclass(frozen=True)
class Evidence:
    """One node's log entries of a job, proved against a head that others have cosigned."""

    node: str
    head: Signed
    entries: tuple[node_pb2.LogEntry, ...]
    cosignatures: tuple[Signed, ...]


class Witnesses:
    """Shows heads to witnesses, one head of a node at a time so that each sees it grow."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def gather(
        self, job: Signed, members: Sequence[NodeLink], everyone: Sequence[NodeLink]
    ) -> list[Evidence]:
        """Return evidence of a job from every member of its roster."""
        rounds = [self._evidence_of(job, member, everyone) for member in members]
        return list(await asyncio.gather(*rounds))

    async def _evidence_of(
        self, job: Signed, member: NodeLink, everyone: Sequence[NodeLink]
    ) -> Evidence:
        name = member.identity.fingerprint
        witnesses = [link for link in everyone if link.identity.fingerprint != name]
        async with self._locks[name]:
            sizes = self._store.witnessed_sizes(name)
            reply = await member.evidence(job.digest, sorted(set(sizes.values())))
            results = await asyncio.gather(
                *(self._cosign(job, member, witness, reply, sizes) for witness in witnesses),
                return_exceptions=True,
            )
        cosignatures = tuple(result for result in results if isinstance(result, Signed))
        if witnesses and not cosignatures:
            raise next(
                (result for result in results if isinstance(result, SandboxError)),
                Unavailable("SB-5116", party=member.identity.name),
            )
        return Evidence(name, from_message(reply.head), tuple(reply.entries), cosignatures)

    async def _cosign(
        self,
        job: Signed,
        member: NodeLink,
        witness: NodeLink,
        reply: node_pb2.EvidenceReply,
        sizes: dict[str, int],
    ) -> Signed:
        """Return a witness's signature under the head in `reply`."""
        log, who = member.identity.fingerprint, witness.identity.fingerprint
        since = sizes.get(who, 0)
        answer = await witness.witness(_request(member, reply, since))
        if not answer.HasField("cosignature"):
            # The witness remembers another size than we do: prove growth from there.
            since = answer.recorded_size
            proof = await member.evidence(job.digest, [since])
            reply.consistency[since].CopyFrom(proof.consistency[since])
            answer = await witness.witness(_request(member, reply, since))
        cosignature = from_message(answer.cosignature)
        if not cosignature.signature:
            raise Unavailable("SB-5116", party=witness.identity.name)
        self._store.set_witnessed(log, who, _size(reply.head.body))
        return cosignature


def _request(
    member: NodeLink, reply: node_pb2.EvidenceReply, since: int
) -> node_pb2.WitnessRequest:
    return node_pb2.WitnessRequest(
        head=to_message(from_message(reply.head)),
        identity=canonical(member.identity.to_document()),
        since=since,
        consistency=reply.consistency.get(since),
    )


def _size(head: bytes) -> int:
    import json

    return int(json.loads(head)["size"])
