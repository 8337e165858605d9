"""Owners: the people who answer for a node, each with a key that opens with his passphrase alone.

Two factors (GB/T 22239-2019, 8.1.4.1): the key file that he has and the passphrase that he knows.
From the first registered owner on, what an owner decides counts only under the signature of one, and
every signature is in the node's log. The log is also where owners are kept: who they are is what its
entries say. A node without registered owners takes the word of whoever may write in its folder.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from enum import StrEnum

from nodes.vault import Vault
from sandbox.audit.logrows import EntryKind
from sandbox.crypto.identity import (
    Document,
    Identity,
    PublicIdentity,
    Role,
    Signed,
    parse,
    verify,
)
from sandbox.database import Connection
from sandbox.errors import InputError, Refusal, SandboxError, TrustError
from sandbox.jobs import CLOCK_TOLERANCE_S, Fingerprint, Hex16, SignedBody, read_document

ACT_KIND = "owner-act"


class Act(StrEnum):
    """What only an owner may do."""

    APPROVE = "approve"
    REJECT = "reject"
    SET_POLICY = "set-policy"
    ADD_DATASET = "add-dataset"
    REPLACE_DATA = "replace-data"
    REMOVE_DATASET = "remove-dataset"
    SIGN_COLLECTION = "sign-collection"
    TRUST = "trust"
    UNTRUST = "untrust"
    OVERRIDE_WITNESS = "override-witness"
    ADD_OWNER = "add-owner"
    REMOVE_OWNER = "remove-owner"


class OwnerAct(SignedBody):
    """One act at one node, once. `subject`: what it is about; `at`: Unix seconds."""

    node: Fingerprint
    act: str
    subject: str
    nonce: Hex16
    at: int


def sign_act(owner: Identity, node: str, act: Act, subject: str, now_s: int) -> Signed:
    """Return an owner's word for one act at the node with fingerprint `node`."""
    nonce = secrets.token_hex(16)
    return owner.sign(
        ACT_KIND, OwnerAct(node=node, act=act, subject=subject, nonce=nonce, at=now_s).body()
    )


class Owners:
    """The owners of one node, by its log. node: the node's own fingerprint."""

    def __init__(self, vault: Vault, node: str) -> None:
        self._vault = vault
        self._node = node

    def registered(self) -> dict[str, PublicIdentity]:
        """Return the owners by fingerprint, as the log's entries add and remove them."""
        owners: dict[str, PublicIdentity] = {}
        for body in self._entries():
            if "added" in body:
                owner = PublicIdentity.from_document(body["added"])
                owners[owner.fingerprint] = owner
            elif "removed" in body:
                owners.pop(body["removed"], None)
        return owners

    def authorise(self, act: Act, subject: str, signed: Signed | None) -> str:
        """Return the fingerprint of who answers for an act: an owner, or the node if it has none.

        Raises Refusal SB-3260 without a signature, SB-3261 for a stranger's, TrustError SB-3262 for
        one over another act, SB-3255 for an old one, SB-3263 for one that was used. All logged.
        """
        owners = self.registered()
        if not owners:
            return self._node
        try:
            owner = self._signer(act, subject, signed, owners)
        except SandboxError as error:
            self._vault.log.append(
                EntryKind.REFUSAL, {"act": act.value, "subject": subject, "code": error.code}
            )
            raise
        return owner.fingerprint

    def add(self, owner: PublicIdentity, signed: Signed | None = None) -> None:
        """Register an owner; the first one needs no other's signature.

        Raises InputError SB-3264 for another role, and as `authorise`.
        """
        if owner.role is not Role.OWNER:
            raise InputError("SB-3264", name=owner.name, role=owner.role.value)
        self.authorise(Act.ADD_OWNER, owner.fingerprint, signed)
        self._vault.log.append(EntryKind.OWNER, {"added": owner.to_document()})

    def remove(self, fingerprint: str, signed: Signed | None = None) -> None:
        """Take an owner's registration back.

        Raises InputError SB-3265 if there is none, Refusal SB-3266 for the last, and as `authorise`.
        """
        self.authorise(Act.REMOVE_OWNER, fingerprint, signed)
        owners = self.registered()
        if fingerprint not in owners:
            raise InputError("SB-3265", fingerprint=fingerprint)
        if len(owners) == 1:
            # Without owners the node would take anybody's word again.
            raise Refusal("SB-3266", name=owners[fingerprint].name)
        self._vault.log.append(EntryKind.OWNER, {"removed": fingerprint})

    def _signer(
        self, act: Act, subject: str, signed: Signed | None, owners: Mapping[str, PublicIdentity]
    ) -> PublicIdentity:
        if signed is None:
            raise Refusal("SB-3260", act=act.value)
        owner = owners.get(signed.signer)
        if owner is None:
            raise Refusal("SB-3261", fingerprint=signed.signer)
        stated = read_document(OwnerAct, signed, verify(signed, owner, ACT_KIND))
        if (stated.node, stated.act, stated.subject) != (self._node, act.value, subject):
            raise TrustError("SB-3262", act=act.value)
        age = abs(self._vault.now_s() - stated.at)
        if age > CLOCK_TOLERANCE_S:
            raise TrustError("SB-3255", seconds=age)
        if act in (Act.APPROVE, Act.REJECT):
            self._refuse_own_job(subject, owner)
        self._keep(act, signed)
        return owner

    def _refuse_own_job(self, job: str, owner: PublicIdentity) -> None:
        """Refuse an owner who is, by name or by key, the job's researcher."""
        task = self._vault.task_of(job)
        asked = None if task is None else self._vault.pins.identities().get(task.researcher)
        if asked is not None and (
            asked.name == owner.name
            or asked.signing_key == owner.signing_key
            or asked.agreement_key == owner.agreement_key
        ):
            raise Refusal("SB-1451", job=job)

    def _keep(self, act: Act, signed: Signed) -> None:
        """Log a signature that is about to count; one that counted already is a replay."""
        with self._vault.database.write("owner_act") as connection:
            used = {body["digest"] for body in _bodies(connection) if "digest" in body}
            if signed.digest in used:
                raise TrustError("SB-3263", act=act.value)
            body = {"act": act.value, "digest": signed.digest, "signed": signed.to_document()}
            self._vault.log.write(connection, EntryKind.OWNER, body)

    def _entries(self) -> list[Document]:
        with self._vault.database.read() as connection:
            return _bodies(connection)


def _bodies(connection: Connection) -> list[Document]:
    rows = connection.execute(
        "SELECT body FROM entries WHERE kind = :kind ORDER BY sequence",
        {"kind": EntryKind.OWNER.value},
    ).scalars()
    return [parse(bytes(row)) for row in rows]
