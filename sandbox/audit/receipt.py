"""The receipt of one job: signed evidence that anyone can check with nothing but public keys.

It holds what the parties signed (job, roster, releases, sum, opening), the log entries of the job
at each node and at the coordinator with proofs that a head of that log contains them, and the
signatures of witnesses under that head. It shows who asked what, under which noise and for which
loss, that the sum is over exactly the signed roster, and that every log has kept it. It holds no result:
only its digest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sandbox.audit.assumptions import BLIND, PSI, stated
from sandbox.audit.evidence import LogEvidence
from sandbox.audit.log import Head
from sandbox.audit.statements import HEAD, JOB, ROSTER, Opening, Release, Sum, Witness
from sandbox.crypto.identity import Document, PublicIdentity, Role, Signed, verify
from sandbox.errors import InputError, SandboxError, TrustError
from sandbox.messages import text

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class NodeEvidence:
    """What one node of the roster gave: its release and what its log says of the job."""

    release: Signed
    log: LogEvidence


@dataclass(frozen=True)
class Receipt:
    """The evidence of one job. `opening` is None until the researcher has opened the sum."""

    job: Signed
    roster: tuple[Signed, ...]
    nodes: tuple[NodeEvidence, ...]
    sum: Signed
    coordinator: LogEvidence
    opening: Signed | None
    identities: tuple[PublicIdentity, ...]

    @property
    def left_out(self) -> tuple[str, ...]:
        """The names of the job's members that are not in its roster, as the receipt has them."""
        names = {person.fingerprint: person.name for person in self.identities}
        members = json.loads(self.job.body).get("members", [])
        there = {signed.signer for signed in self.roster}
        return tuple(names.get(one, one) for one in members if one not in there)

    def to_json(self) -> str:
        """Return it as the text of a receipt file."""
        document = {
            "schema_version": SCHEMA_VERSION,
            "kind": "receipt",
            "job": self.job.to_document(),
            "roster": [signed.to_document() for signed in self.roster],
            "nodes": [
                {"release": node.release.to_document(), **node.log.to_document()}
                for node in self.nodes
            ],
            "sum": self.sum.to_document(),
            "coordinator": self.coordinator.to_document(),
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
                nodes=tuple(
                    NodeEvidence(
                        Signed.from_document(node["release"]), LogEvidence.from_document(node)
                    )
                    for node in document["nodes"]
                ),
                sum=Signed.from_document(document["sum"]),
                coordinator=LogEvidence.from_document(document["coordinator"]),
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

    Findings come in the order job, roster, nodes, sum, coordinator, opening: the first names the
    first broken item.
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
        self._attempt = 0
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
        yield from self._try("coordinator", self._check_coordinator)
        yield from self._try("opening", self._check_opening)

    def _try(self, subject: str, check: Callable[[], None]) -> Iterator[Finding]:
        try:
            check()
        except SandboxError as error:
            yield Finding(error.code, subject, error.sentence)
        except (LookupError, TypeError, ValueError, AttributeError):
            malformed = TrustError("SB-6030", part=subject)
            yield Finding(malformed.code, subject, malformed.sentence)

    def _check_job(self) -> None:
        job = self._receipt.job
        self._job = verify(job, self._party(job.signer, Role.RESEARCHER), JOB)
        _same(JOB, "researcher", self._job.get("researcher"), job.signer)
        # A join without a mode would state no assumption.
        _same(JOB, "mode", self._job.get("mode", "") in (BLIND, PSI), joined(self._job))

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
        self._attempt = bodies[0].get("attempt", 0)
        asked = set(self._job.get("members", []))
        present = self._job.get("missing") == "present"
        needed = self._job["minimum_members"] if present else len(asked)
        if not set(self._members) <= asked or len(self._members) < needed:
            raise TrustError("SB-3223")

    def _check_node(self, member: str, node: NodeEvidence | None) -> None:
        if node is None:
            raise TrustError("SB-3224", name=self._name(member))
        person = self._party(member, Role.NODE)
        release = Release.read(node.release, person)
        _same("release", "job", release.job, self._receipt.job.digest)
        _same("release", "roster", release.roster, self._receipt.roster[0].digest)
        _same("release", "attempt", release.attempt, self._attempt)
        _same("release", "ring", release.ring, self._job.get("ring"))
        require_stated(release, self._job, person.name)
        if not release.protected:
            raise TrustError("SB-3225", name=person.name)
        self._shares[member] = release.share
        self._check_node_log(node, release)

    def _check_node_log(self, node: NodeEvidence, release: Release) -> None:
        self._check_log(node.log, node.release.signer)
        job = {"job": self._job["job"]}
        node.log.require("job", {**job, "digest": release.job})
        node.log.require("roster", {**job, "roster": release.roster})
        spend = {"digest": release.job, "loss": release.loss}
        if release.disclosed_to:
            spend["disclosed_to"] = release.disclosed_to
        node.log.require("reservation", {**job, **spend})
        share = {"roster": release.roster, "share": release.share}
        node.log.require("release", {**job, **share, "release": node.release.digest})

    def _check_log(self, log: LogEvidence, owner: str) -> None:
        """The head is the owner's, contains every entry, and an outsider has cosigned it."""
        head = Head.from_document(verify(log.head, self._people[owner], HEAD))
        _same(HEAD, "log", head.log, owner)
        log.check_entries(head)
        # One good witness is enough: a bad one must not be able to spoil others' receipts.
        if not any(self._cosigned(log, head, signed) for signed in log.witnesses):
            raise TrustError("SB-3229", name=self._name(owner))

    def _cosigned(self, log: LogEvidence, head: Head, signed: Signed) -> bool:
        person = self._people.get(signed.signer)
        if person is None or not self._independent(person, head.log):
            return False
        try:
            witness = Witness.read(signed, person)
        except SandboxError:
            return False
        return (witness.head, witness.log, witness.size) == (log.head.digest, head.log, head.size)

    def _independent(self, witness: PublicIdentity, log: str) -> bool:
        """A node or supervisor other than the log's owner, known to the reader: never the
        coordinator, nor a researcher, who could make himself as many as he likes."""
        mine = witness.fingerprint
        known = self._pinned is None or mine in self._pinned
        return known and mine != log and witness.role in (Role.NODE, Role.SUPERVISOR)

    def _check_sum(self) -> None:
        signed = self._receipt.sum
        statement = Sum.read(signed, self._party(signed.signer, Role.COORDINATOR))
        _same("sum", "coordinator", signed.signer, self._job.get("coordinator"))
        _same("sum", "job", statement.job, self._receipt.job.digest)
        _same("sum", "roster", statement.roster, self._receipt.roster[0].digest)
        if sorted(statement.shares) != self._members or statement.shares != self._shares:
            raise TrustError("SB-3230")

    def _check_coordinator(self) -> None:
        signed = self._receipt.sum
        self._party(signed.signer, Role.COORDINATOR)
        log, job = self._receipt.coordinator, {"job": self._job["job"]}
        self._check_log(log, signed.signer)
        log.require("job", {**job, "digest": self._receipt.job.digest})
        log.require("roster", {**job, "roster": self._receipt.roster[0].digest})
        log.require("sum", {**job, "sum": signed.digest})

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


def require_stated(release: Release, job: Mapping[str, Any], node: str) -> None:
    """Raise TrustError SB-3237, naming `node`, where its release says of a job's join anything but what
    follows from the job: a weaker variant than the one that was asked for, or more that was learnt."""
    for field, asked in stated(job).items():
        found = getattr(release, field)
        if found != asked:
            facts = {"found": _written(found), "asked": _written(asked)}
            raise TrustError("SB-3237", name=node, field=field, **facts)


def _written(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def joined(job: Mapping[str, Any]) -> bool:
    """Tell whether a job, as it was signed, joins tables among its nodes."""
    return str(job["ring"]).startswith("z")  # sandbox/crypto/join/words.py


def _same(kind: str, field: str, found: object, expected: object) -> None:
    if found != expected:
        raise TrustError("SB-3235", kind=kind, field=field)
