"""A node as prover of its own log and witness of its peers' logs.

Heads are cosigned only if they extend what was seen before. A node that starts releases nothing until
a pinned witness has told it, over a fresh nonce, the newest head it knows: a restored backup would
otherwise draw noise a second time for what it has already released.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence

from nodes.vault import Vault
from sandbox.audit.log import Head
from sandbox.audit.receipt import HEAD, Witness
from sandbox.crypto.identity import Identity, PublicIdentity, Role, Signed, canonical, verify
from sandbox.errors import TrustError
from sandbox.jobs import Fingerprint, Hex16, SignedBody, read_document
from sandbox.rpc import node_pb2
from sandbox.rpc.documents import from_message, to_message

LAST_HEAD_KIND = "last-head"


class LastHead(SignedBody):
    """A witness's answer: the newest head it holds of `log` (a signed document), or None."""

    log: Fingerprint
    nonce: Hex16
    head: dict[str, str] | None


class Witnessing:
    """Proofs of this node's log, and what it knows of others'."""

    def __init__(self, identity: Identity, vault: Vault) -> None:
        self._identity = identity
        self._log = vault.log
        self._vault = vault
        self._nonce = secrets.token_bytes(16)
        self._log.start()

    @property
    def nonce(self) -> bytes | None:
        """The nonce over which witnesses must answer; None once this run is confirmed."""
        return None if self._log.confirmed() else self._nonce

    def evidence(self, digest: str, since: Sequence[int]) -> node_pb2.EvidenceReply:
        """Return a job's entries, proved against the newest head, and growth since earlier sizes."""
        entries = self._log.entries(self._vault.task(digest).job)
        signed = self._log.head()
        size = _head(signed).size
        reply = node_pb2.EvidenceReply(head=to_message(signed))
        for logged in entries:
            proof = self._log.inclusion(logged.entry.sequence, size)
            reply.entries.add(
                entry=canonical(logged.entry.to_document()),
                body=canonical(logged.body),
                inclusion=node_pb2.Proof(hashes=proof),
            )
        for first in since:
            if first <= size:
                reply.consistency[first].hashes.extend(self._log.consistency(first, size))
        return reply

    def witness(self, request: node_pb2.WitnessRequest) -> node_pb2.WitnessReply:
        """Cosign a pinned peer's head if it extends the one seen last; else say which size that was."""
        signed = from_message(request.head)
        peer = self._peer(signed.signer)
        known = self._log.peer_head(peer.fingerprint)
        size = 0 if known is None else _head(known).size
        if size != request.since:
            return node_pb2.WitnessReply(recorded_size=size)
        head = self._log.record_peer_head(signed, peer, list(request.consistency.hashes))
        statement = Witness(head=signed.digest, log=head.log, size=head.size)
        return node_pb2.WitnessReply(cosignature=to_message(statement.sign(self._identity)))

    def last_head(self, log: str, nonce: bytes) -> Signed:
        """Tell a restarted peer what this node last saw of its log."""
        known = self._log.peer_head(log)
        head = None if known is None else known.to_document()
        body = LastHead(log=log, nonce=nonce.hex(), head=head)
        return self._identity.sign(LAST_HEAD_KIND, body.body())

    def confirm(self, answers: Sequence[Signed]) -> bool:
        """Take cosignatures of this log and, after a start, what witnesses know of it.

        Returns whether shares may leave now. Raises StateError SB-6022 if this log is an old copy.
        """
        for signed in answers:
            witness = self._peer(signed.signer)
            if signed.kind == LAST_HEAD_KIND:
                self._take_last_head(signed, witness)
            else:
                statement = Witness.read(signed, witness)
                if statement.log == self._identity.public.fingerprint:
                    self._log.acknowledged(witness.fingerprint, statement.size, signed)
        return self._log.confirmed()

    def _take_last_head(self, signed: Signed, witness: PublicIdentity) -> None:
        body = verify(signed, witness, LAST_HEAD_KIND)
        answer = read_document(LastHead, signed, body)
        own = self._identity.public
        if answer.nonce != self._nonce.hex() or answer.log != own.fingerprint:
            raise TrustError("SB-3240", name=witness.name)
        known: Head | None = None
        if answer.head is not None:
            head = Signed.from_document(answer.head)
            known = Head.from_document(verify(head, own, HEAD))
        self._log.own_head_confirmed(witness.fingerprint, known)

    def _peer(self, fingerprint: str) -> PublicIdentity:
        peer = self._vault.pins().get(fingerprint)
        if peer is None or peer.role is not Role.NODE:
            raise TrustError("SB-3116", fingerprint=fingerprint, node=self._identity.public.name)
        return peer


def _head(signed: Signed) -> Head:
    return Head.from_document(json.loads(signed.body))
