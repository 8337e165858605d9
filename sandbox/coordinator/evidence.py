"""Evidence of a job from every log it is in, each newest head shown to the nodes, who cosign it.

The coordinator carries, and is one party among others: its own log is proved and witnessed in the
same way, and it keeps every node's heads itself. A witness signs a head only if it extends the one
it saw before, so nobody can show one history to the researcher and another to his peers.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from sandbox.audit.evidence import LogEvidence, LoggedEntry
from sandbox.audit.journal import Journal
from sandbox.audit.log import Entry, Head
from sandbox.audit.statements import Witness
from sandbox.coordinator.nodelink import NodeLink
from sandbox.crypto.identity import PublicIdentity, Signed, canonical, parse
from sandbox.errors import SandboxError, TrustError, Unavailable
from sandbox.rpc import node_pb2
from sandbox.rpc.documents import from_message, to_message

ROUNDS = 3
"""A second round is needed where a witness knows another size than was thought, as after a start."""


@dataclass(frozen=True)
class JobEvidence:
    """What every log says of a job: of the roster's nodes by fingerprint, and the coordinator's."""

    nodes: dict[str, LogEvidence]
    coordinator: LogEvidence


@dataclass(frozen=True)
class _Proved:
    """A log's entries of a job under its newest head, and its growth since earlier sizes."""

    evidence: LogEvidence
    growth: dict[int, list[bytes]]


_Prover = Callable[[Sequence[int]], Awaitable[_Proved]]


class Witnesses:
    """Shows heads to witnesses, one head of a log at a time so that each sees it grow."""

    def __init__(self, identity: PublicIdentity, log: Journal) -> None:
        self._identity = identity
        self._log = log
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        # What each witness last cosigned of each log; learnt again after a start.
        self._seen: dict[str, dict[str, int]] = defaultdict(dict)
        self.cosigned: dict[str, tuple[Signed, ...]] = {}
        """The newest cosignatures of each node's log, for the node to keep."""

    async def gather(
        self, job: Signed, members: Sequence[NodeLink], everyone: Sequence[NodeLink]
    ) -> JobEvidence:
        """Return evidence of a job from every member of its roster and from the coordinator.

        Raises Unavailable naming the party that is away, SB-5116 where no witness cosigns, and
        TrustError for a node whose log does not extend what was seen of it.
        """

        async def of_node(member: NodeLink) -> LogEvidence:
            async def prove(since: Sequence[int]) -> _Proved:
                return _read(await member.evidence(job.digest, since))

            return await self._witnessed(member.identity, prove, everyone)

        async def own(since: Sequence[int]) -> _Proved:
            evidence = self._log.evidence(str(json.loads(job.body)["job"]))
            size = _size(evidence.head)
            growth = {n: self._log.consistency(n, size) for n in since if n <= size}
            return _Proved(evidence, growth)

        *of_nodes, coordinator = await asyncio.gather(
            *(of_node(member) for member in members),
            self._witnessed(self._identity, own, everyone),
        )
        names = [member.identity.fingerprint for member in members]
        return JobEvidence(dict(zip(names, of_nodes, strict=True)), coordinator)

    async def _witnessed(
        self, owner: PublicIdentity, prove: _Prover, everyone: Sequence[NodeLink]
    ) -> LogEvidence:
        log = owner.fingerprint
        witnesses = [link for link in everyone if link.identity.fingerprint != log]
        async with self._locks[log]:
            for _ in range(ROUNDS):
                sizes = {self._seen[log].get(w.identity.fingerprint, 0) for w in witnesses}
                known = self._known_size(log)
                proved = await prove(sorted(sizes | {known}))
                if log != self._identity.fingerprint:
                    growth = proved.growth.get(known, [])
                    self._log.record_peer_head(proved.evidence.head, owner, growth)
                answers = await asyncio.gather(
                    *(self._show(owner, proved, witness) for witness in witnesses),
                    return_exceptions=True,
                )
                cosignatures = tuple(answer for answer in answers if isinstance(answer, Signed))
                if cosignatures or not witnesses:
                    self.cosigned[log] = cosignatures
                    return replace(proved.evidence, witnesses=cosignatures)
        problems = [answer for answer in answers if isinstance(answer, SandboxError)]
        raise problems[0] if problems else Unavailable("SB-5116", party=owner.name)

    async def _show(
        self, owner: PublicIdentity, proved: _Proved, witness: NodeLink
    ) -> Signed | None:
        """Return a witness's signature, or None where it knows another size of this log."""
        seen, who = self._seen[owner.fingerprint], witness.identity.fingerprint
        since = seen.get(who, 0)
        answer = await witness.witness(
            node_pb2.WitnessRequest(
                head=to_message(proved.evidence.head),
                identity=canonical(owner.to_document()),
                since=since,
                consistency=node_pb2.Proof(hashes=proved.growth.get(since, [])),
            )
        )
        if not answer.HasField("cosignature"):
            seen[who] = answer.recorded_size
            return None
        cosignature = from_message(answer.cosignature)
        statement = Witness.read(cosignature, witness.identity)
        head = proved.evidence.head
        if (statement.head, statement.log, statement.size) != (
            head.digest,
            owner.fingerprint,
            _size(head),
        ):
            raise TrustError("SB-3229", name=owner.name)
        seen[who] = statement.size
        return cosignature

    def _known_size(self, log: str) -> int:
        known = self._log.peer_head(log)
        return 0 if known is None else _size(known)


def _read(reply: node_pb2.EvidenceReply) -> _Proved:
    entries = tuple(
        LoggedEntry(
            Entry.from_document(parse(entry.entry)),
            parse(entry.body),
            tuple(entry.inclusion.hashes),
        )
        for entry in reply.entries
    )
    growth = {size: list(proof.hashes) for size, proof in reply.consistency.items()}
    return _Proved(LogEvidence(entries, from_message(reply.head)), growth)


def _size(head: Signed) -> int:
    return Head.from_document(parse(head.body)).size
