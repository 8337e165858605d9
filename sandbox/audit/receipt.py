"""The receipt of one job: signed evidence that anyone can check with nothing but public keys.

It holds what the parties signed (job, roster, releases, sum, opening), each node's log entries of
the job with proofs that a head of its log contains them, and the signatures of witnesses under
that head. It shows who asked what, under which noise and for which loss, that the sum is over
exactly the signed roster, and that every node's log has kept it. It holds no result: only its
digest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sandbox.audit.log import Entry, Head, verify_inclusion
from sandbox.crypto.identity import (
    Document,
    Identity,
    PublicIdentity,
    Role,
    Signed,
    canonical,
    verify,
)
from sandbox.errors import InputError, SandboxError, TrustError
from sandbox.messages import text

SCHEMA_VERSION = 1
JOB, ROSTER, HEAD = "job", "roster", "head"

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Exact = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+|/[0-9]+)?$", max_length=200)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Statement(BaseModel):
    """What a party signs about a job: known fields only, immutable. `KIND` is its document kind."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Literal[1] = 1

    def sign(self, identity: Identity) -> Signed:
        """Return the statement signed by `identity`."""
        return identity.sign(_KINDS[type(self)], self.model_dump(mode="json"))

    @classmethod
    def read(cls, signed: Signed, by: PublicIdentity) -> Self:
        """Return what `by` signed; raises TrustError if it is not such a statement of his."""
        body = verify(signed, by, _KINDS[cls])
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            field = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise TrustError("SB-3220", kind=signed.kind, field=field) from None


class Release(Statement):
    """A node: this share left, under this noise, for this loss.

    job, roster: digests of the signed documents. share: digest of the encrypted share. scales:
    sigma (or b) of each measure in ring units, exact. loss: what the budgets were charged, exact.
    protected: False only where the noise was not drawn from a protecting sampler.
    """

    job: Digest
    roster: Digest
    attempt: Annotated[int, Field(ge=1)]
    share: Digest
    ring: Label
    mechanism: Label
    scales: list[Exact]
    loss: Exact
    minimum_group_size: Annotated[int, Field(ge=0)]
    protected: bool


class Sum(Statement):
    """The coordinator: this encrypted sum is over these shares (node -> digest of its share)."""

    job: Digest
    roster: Digest
    shares: dict[str, Digest]
    sum: Digest


class Opening(Statement):
    """The researcher: opening this sum, I read the result with this digest."""

    job: Digest
    sum: Digest
    result: Digest


class Witness(Statement):
    """A party that keeps heads of others' logs: this head extends every earlier one I have seen."""

    head: Digest
    log: str
    size: Annotated[int, Field(ge=0)]


_KINDS: dict[type[Statement], str] = {
    Release: "release",
    Sum: "sum",
    Opening: "opening",
    Witness: "witness",
}


@dataclass(frozen=True)
class LoggedEntry:
    """An entry of a node's log, what it records, and the proof that the head's tree contains it."""

    entry: Entry
    body: Document
    proof: tuple[bytes, ...]


@dataclass(frozen=True)
class NodeEvidence:
    """What one node of the roster gave: its release, its log entries, its head and who saw it."""

    release: Signed
    entries: tuple[LoggedEntry, ...]
    head: Signed
    witnesses: tuple[Signed, ...]


@dataclass(frozen=True)
class Receipt:
    """The evidence of one job. `opening` is None until the researcher has opened the sum."""

    job: Signed
    roster: tuple[Signed, ...]
    nodes: tuple[NodeEvidence, ...]
    sum: Signed
    opening: Signed | None
    identities: tuple[PublicIdentity, ...]

    def to_json(self) -> str:
        """Return it as the text of a receipt file."""
        document = {
            "schema_version": SCHEMA_VERSION,
            "kind": "receipt",
            "job": self.job.to_document(),
            "roster": [signed.to_document() for signed in self.roster],
            "nodes": [_node_document(node) for node in self.nodes],
            "sum": self.sum.to_document(),
            "opening": self.opening.to_document() if self.opening else None,
            "identities": [identity.to_document() for identity in self.identities],
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, content: str) -> Receipt:
        """Read a receipt file; raises InputError if it is none. Verifies nothing."""
        try:
            document = json.loads(content)
            if (document["schema_version"], document["kind"]) != (SCHEMA_VERSION, "receipt"):
                raise InputError("SB-3221")
            opening = document["opening"]
            return cls(
                job=Signed.from_document(document["job"]),
                roster=tuple(Signed.from_document(signed) for signed in document["roster"]),
                nodes=tuple(_node_evidence(node) for node in document["nodes"]),
                sum=Signed.from_document(document["sum"]),
                opening=None if opening is None else Signed.from_document(opening),
                identities=tuple(map(PublicIdentity.from_document, document["identities"])),
            )
        except (KeyError, TypeError, ValueError, RecursionError, SandboxError) as error:
            raise InputError("SB-3221") from error


@dataclass(frozen=True)
class Finding:
    """Something in a receipt that does not hold: whose, which rule's code, and a sentence."""

    code: str
    subject: str
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """`ok`: everything in the receipt fits together. `trusted`: and was signed by pinned
    identities.

    Without pins nothing can be called trusted: compare `identities` with fingerprints that reached
    you another way.
    """

    ok: bool
    trusted: bool
    findings: tuple[Finding, ...]
    identities: tuple[PublicIdentity, ...]

    @property
    def sentence(self) -> str:
        """The verdict in the reader's language."""
        if not self.ok:
            first = self.findings[0]
            return text("receipt.broken", subject=first.subject, sentence=first.sentence)
        return text("receipt.trusted" if self.trusted else "receipt.consistent")


def verify_receipt(receipt: Receipt, pinned: Collection[str] | None) -> Verdict:
    """Check a receipt against public keys alone. `pinned`: fingerprints the reader trusts, or None.

    Findings come in the order job, roster, nodes, sum, opening: the first names the first broken
    item.
    """
    findings = tuple(_Check(receipt, pinned).findings())
    return Verdict(not findings, not findings and pinned is not None, findings, receipt.identities)


class _Check:
    """One pass over a receipt; each part raises TrustError at its first fault."""

    def __init__(self, receipt: Receipt, pinned: Collection[str] | None) -> None:
        self._receipt = receipt
        self._pinned = pinned
        self._people = {person.fingerprint: person for person in receipt.identities}
        self._job: Document = {}
        self._members: list[str] = []
        self._shares: dict[str, str] = {}

    def findings(self) -> Iterator[Finding]:
        """Return one finding for each part that does not hold."""
        yield from self._try(JOB, self._check_job)
        yield from self._try(ROSTER, self._check_roster)
        given = {node.release.signer: node for node in self._receipt.nodes}
        for member in self._members:
            check = partial(self._check_node, member, given.get(member))
            yield from self._try(f"node {self._name(member)}", check)
        yield from self._try("sum", self._check_sum)
        yield from self._try("opening", self._check_opening)

    def _try(self, subject: str, check: Callable[[], None]) -> Iterator[Finding]:
        try:
            check()
        except SandboxError as error:
            yield Finding(error.code, subject, error.sentence)

    def _check_job(self) -> None:
        job = self._receipt.job
        self._job = verify(job, self._party(job.signer, Role.RESEARCHER), JOB)
        _same(JOB, "researcher", self._job.get("researcher"), job.signer)

    def _check_roster(self) -> None:
        roster = self._receipt.roster
        bodies = [verify(one, self._party(one.signer, Role.NODE), ROSTER) for one in roster]
        if not bodies or any(body != bodies[0] for body in bodies):
            raise TrustError("SB-3222")
        _same(ROSTER, "job", bodies[0].get("job"), self._receipt.job.digest)
        members = bodies[0].get("members")
        self._members = sorted(str(member["node"]) for member in members or [])
        if self._members != sorted(one.signer for one in roster):
            raise TrustError("SB-3222")
        if not set(self._members) <= set(self._job.get("members", [])):
            raise TrustError("SB-3223")

    def _check_node(self, member: str, node: NodeEvidence | None) -> None:
        if node is None:
            raise TrustError("SB-3224", name=self._name(member))
        person = self._party(member, Role.NODE)
        release = Release.read(node.release, person)
        _same("release", "job", release.job, self._receipt.job.digest)
        _same("release", "roster", release.roster, self._receipt.roster[0].digest)
        _same("release", "ring", release.ring, self._job.get("ring"))
        if not release.protected:
            raise TrustError("SB-3225", name=person.name)
        self._shares[member] = release.share
        head = Head.from_document(verify(node.head, person, HEAD))
        _same(HEAD, "log", head.log, member)
        self._check_entries(node, release, head)
        self._check_witnesses(node, head)

    def _check_entries(self, node: NodeEvidence, release: Release, head: Head) -> None:
        for logged in node.entries:
            entry = logged.entry
            if not entry.records(canonical(logged.body)):
                raise TrustError("SB-3226", kind=entry.kind, sequence=entry.sequence)
            leaf, index = entry.leaf_hash, entry.sequence
            if not verify_inclusion(leaf, index, head.size, logged.proof, head.root):
                raise TrustError("SB-3227", kind=entry.kind, sequence=index)
        job = {"job": self._job["job"]}
        wanted = {
            "job": {**job, "digest": release.job},
            "reservation": {**job, "digest": release.job, "loss": release.loss},
            "release": {
                **job,
                "roster": release.roster,
                "share": release.share,
                "release": node.release.digest,
            },
        }
        for kind, facts in wanted.items():
            bodies = [logged.body for logged in node.entries if logged.entry.kind == kind]
            if not any(facts == {key: body.get(key) for key in facts} for body in bodies):
                raise TrustError("SB-3228", kind=kind)

    def _check_witnesses(self, node: NodeEvidence, head: Head) -> None:
        for signed in node.witnesses:
            person = self._people.get(signed.signer)
            if person is None or not self._independent(person, head.log):
                continue
            witness = Witness.read(signed, person)
            if (witness.head, witness.log, witness.size) == (node.head.digest, head.log, head.size):
                return
        raise TrustError("SB-3229", name=self._name(head.log))

    def _independent(self, witness: PublicIdentity, log: str) -> bool:
        """Neither the node itself nor the coordinator, and known to the reader."""
        mine = witness.fingerprint
        known = self._pinned is None or mine in self._pinned
        return known and mine != log and witness.role is not Role.COORDINATOR

    def _check_sum(self) -> None:
        signed = self._receipt.sum
        statement = Sum.read(signed, self._party(signed.signer, Role.COORDINATOR))
        _same("sum", "coordinator", signed.signer, self._job.get("coordinator"))
        _same("sum", "job", statement.job, self._receipt.job.digest)
        _same("sum", "roster", statement.roster, self._receipt.roster[0].digest)
        if sorted(statement.shares) != self._members or statement.shares != self._shares:
            raise TrustError("SB-3230")

    def _check_opening(self) -> None:
        signed = self._receipt.opening
        if signed is None:
            raise TrustError("SB-3231")
        opening = Opening.read(signed, self._party(self._receipt.job.signer, Role.RESEARCHER))
        _same("opening", "job", opening.job, self._receipt.job.digest)
        _same("opening", "sum", opening.sum, json.loads(self._receipt.sum.body).get("sum"))

    def _party(self, fingerprint: str, role: Role) -> PublicIdentity:
        person = self._people.get(fingerprint)
        if person is None:
            raise TrustError("SB-3232", name=fingerprint)
        if person.role is not role:
            raise TrustError("SB-3233", name=person.name, expected=role, found=person.role)
        if self._pinned is not None and fingerprint not in self._pinned:
            raise TrustError("SB-3234", name=person.name, fingerprint=fingerprint)
        return person

    def _name(self, fingerprint: str) -> str:
        person = self._people.get(fingerprint)
        return fingerprint if person is None else person.name


def _same(kind: str, field: str, found: object, expected: object) -> None:
    if found != expected:
        raise TrustError("SB-3235", kind=kind, field=field)


def _node_document(node: NodeEvidence) -> Document:
    return {
        "release": node.release.to_document(),
        "entries": [
            {
                "entry": logged.entry.to_document(),
                "body": logged.body,
                "proof": [step.hex() for step in logged.proof],
            }
            for logged in node.entries
        ],
        "head": node.head.to_document(),
        "witnesses": [witness.to_document() for witness in node.witnesses],
    }


def _node_evidence(document: Mapping[str, Any]) -> NodeEvidence:
    entries = tuple(
        LoggedEntry(
            Entry.from_document(logged["entry"]),
            dict(logged["body"]),
            tuple(bytes.fromhex(step) for step in logged["proof"]),
        )
        for logged in document["entries"]
    )
    return NodeEvidence(
        Signed.from_document(document["release"]),
        entries,
        Signed.from_document(document["head"]),
        tuple(Signed.from_document(witness) for witness in document["witnesses"]),
    )
