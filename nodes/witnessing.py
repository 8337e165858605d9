"""A node as prover of its own log and witness of others' logs.

Heads are cosigned only if they extend what was seen before. A node that starts releases nothing until
a pinned witness has told it, over a fresh nonce, the newest head it knows: a restored backup would
otherwise draw noise a second time for what it has already released.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from nodes.vault import Vault
from sandbox.audit.journal import RUN_NONCE_BYTES
from sandbox.audit.log import Head
from sandbox.audit.statements import LAST_HEAD, LastHead, Witness
from sandbox.crypto.identity import Identity, PublicIdentity, Role, Signed, canonical, parse
from sandbox.errors import InputError, StateError, TrustError
from sandbox.rpc import node_pb2
from sandbox.rpc.documents import from_message, to_message

log = logging.getLogger("sandbox.node")


class Witnessing:
    """Proofs of this node's log, and what it knows of others'. Begins a run of the node.

    coordinator: the identity of this node's coordinator, whose log it witnesses too.
    """

    def __init__(self, identity: Identity, vault: Vault, coordinator: str) -> None:
        self._identity = identity
        self._log = vault.log
        self._vault = vault
        self._coordinator = coordinator
        self._log.check()
        self._log.start()

    @property
    def nonce(self) -> bytes | None:
        """The nonce over which witnesses must answer; None once this run is confirmed."""
        return None if self._log.confirmed() else self._log.nonce

    def evidence(self, digest: str, since: Sequence[int]) -> node_pb2.EvidenceReply:
        """Return a job's entries, proved against the newest head, and growth since earlier sizes."""
        evidence = self._log.evidence(self._vault.task(digest).job)
        size = _head(evidence.head).size
        reply = node_pb2.EvidenceReply(head=to_message(evidence.head))
        for logged in evidence.entries:
            reply.entries.add(
                entry=canonical(logged.entry.to_document()),
                body=canonical(logged.body),
                inclusion=node_pb2.Proof(hashes=logged.proof),
            )
        for first in since:
            if first <= size:
                reply.consistency[first].hashes.extend(self._log.consistency(first, size))
        return reply

    def witness(self, request: node_pb2.WitnessRequest) -> node_pb2.WitnessReply:
        """Cosign a head if it extends the one seen last; else say which size that was.

        Its owner is a node that this node's owner pinned, or the node's own coordinator.
        """
        signed = from_message(request.head)
        if signed.signer == self._coordinator:
            peer = PublicIdentity.from_document(parse(request.identity))
            if peer.fingerprint != self._coordinator:
                raise TrustError("SB-3119")
        else:
            peer = self._peer(signed.signer)
        known = self._log.peer_head(peer.fingerprint)
        size = 0 if known is None else _head(known).size
        if size != request.since:
            return node_pb2.WitnessReply(recorded_size=size)
        head = self._log.record_peer_head(signed, peer, list(request.consistency.hashes))
        statement = Witness(head=signed.digest, log=head.log, size=head.size)
        return node_pb2.WitnessReply(cosignature=to_message(statement.sign(self._identity)))

    def last_head(self, log: str, nonce: bytes) -> Signed:
        """Tell a restarted party what this node last saw of its log; raises InputError SB-3258."""
        if len(nonce) != RUN_NONCE_BYTES:
            raise InputError("SB-3258", size=len(nonce), expected=RUN_NONCE_BYTES)
        known = self._log.peer_head(log)
        head = None if known is None else known.to_document()
        return LastHead(log=log, nonce=nonce.hex(), head=head).sign(self._identity)

    def confirm(self, answers: Sequence[Signed]) -> bool:
        """Take cosignatures of this log and, after a start, what witnesses know of it.

        Returns whether shares may leave now. Raises StateError SB-6022 if this log is an old copy.
        """
        pins = self._vault.pins.identities()
        # The coordinator brings what all its nodes say; this owner need not have pinned them all.
        pairs = [
            (signed, pins[signed.signer])
            for signed in answers
            if signed.signer in pins and pins[signed.signer].role is Role.NODE
        ]
        last_heads = [pair for pair in pairs if pair[0].kind == LAST_HEAD]
        try:
            self._log.take_last_heads(last_heads)
        except StateError as error:
            log.error("%s %s", error.code, error.sentence)
            raise
        for signed, witness in pairs:
            if signed.kind != LAST_HEAD:
                self._log.acknowledge(signed, witness)
        return self._log.confirmed()

    def _peer(self, fingerprint: str) -> PublicIdentity:
        peer = self._vault.pins.identities().get(fingerprint)
        if peer is None or peer.role is not Role.NODE:
            raise TrustError("SB-3116", fingerprint=fingerprint, node=self._identity.public.name)
        return peer


def _head(signed: Signed) -> Head:
    return Head.from_document(parse(signed.body))
