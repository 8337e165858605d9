"""A whole receipt made in one process: two nodes, a coordinator, real journals, real signatures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sandbox.audit.evidence import LogEvidence
from sandbox.audit.journal import Journal
from sandbox.audit.log import Head
from sandbox.audit.logrows import LOG_TABLES, EntryKind
from sandbox.audit.receipt import NodeEvidence, Receipt
from sandbox.audit.statements import Opening, Release, Sum, Witness
from sandbox.crypto.identity import Identity, Role, Signed, parse
from sandbox.database import Database
from tests.nodes.vaults import RESEARCHER, Clock, party

A, B, C = party("a"), party("b"), party("c")
COORDINATOR = party("coordinator", Role.COORDINATOR)
JOB = "0" * 31 + "1"


def journal(folder: Path, owner: Identity) -> Journal:
    """Return a new log of `owner`, with something in it already."""
    database = Database(folder / f"{owner.public.name}.db", [LOG_TABLES])
    log = Journal(database, owner, Clock())
    log.start()
    return log


def cosigned(evidence: LogEvidence, *witnesses: Identity) -> LogEvidence:
    """Return evidence that `witnesses` have cosigned the head of."""
    head = Head.from_document(parse(evidence.head.body))
    statement = Witness(head=evidence.head.digest, log=head.log, size=head.size)
    return replace(evidence, witnesses=tuple(statement.sign(one) for one in witnesses))


def job_body(missing: str = "fail", minimum: int = 2) -> dict[str, object]:
    """Return what a receipt reads of a job over a and b (and c, where members may be missing)."""
    members = [A, B] if missing == "fail" else [A, B, C]
    return {
        "job": JOB,
        "researcher": RESEARCHER.public.fingerprint,
        "coordinator": COORDINATOR.public.fingerprint,
        "members": sorted(one.public.fingerprint for one in members),
        "missing": missing,
        "minimum_members": minimum,
        "ring": "n4096",
    }


def release(job: Signed, roster: Signed, node: Identity, **other: object) -> Signed:
    """Return a node's release statement."""
    fields: dict[str, object] = {
        "job": job.digest,
        "roster": roster.digest,
        "attempt": 1,
        "share": hashlib.sha256(node.public.name.encode()).hexdigest(),
        "ring": "n4096",
        "mechanism": "gaussian",
        "scales": ["7/2"],
        "loss": "1/8",
        "minimum_group_size": 10,
        "protected": True,
    }
    return Release.model_validate({**fields, **other}).sign(node)


def node_evidence(
    folder: Path, node: Identity, job: Signed, roster: Signed, said: Signed
) -> NodeEvidence:
    """Return what one node's log says of the job."""
    log, body = journal(folder, node), parse(said.body)
    log.append(EntryKind.JOB, {"digest": job.digest, "researcher": job.signer}, JOB)
    log.append(EntryKind.ROSTER, {"roster": roster.digest}, JOB)
    log.append(
        EntryKind.RESERVATION, {"digest": job.digest, "loss": body["loss"], "groups": ["t"]}, JOB
    )
    facts = {"roster": roster.digest, "share": body["share"], "release": said.digest}
    log.append(EntryKind.RELEASE, facts, JOB)
    log.append(EntryKind.PIN, {"fingerprint": "x"})
    return NodeEvidence(said, cosigned(log.evidence(JOB), B if node is A else A))


def make(
    folder: Path,
    job: dict[str, object] | None = None,
    lie: Mapping[str, object] | None = None,
    **release_fields: object,
) -> Receipt:
    """Return a receipt that verifies (unless other fields are asked for); lie: what only b says."""
    signed = RESEARCHER.sign("job", job or job_body())
    nodes = sorted((A, B), key=lambda node: node.public.fingerprint)
    members = [{"node": node.public.fingerprint, "ephemeral": "00" * 32} for node in nodes]
    body = {"job": signed.digest, "attempt": 1, "members": members}
    rosters = [node.sign("roster", body) for node in nodes]
    said = [
        release(signed, rosters[0], node, **{**release_fields, **(lie or {} if node is B else {})})
        for node in nodes
    ]
    evidence = [
        node_evidence(folder, node, signed, rosters[0], one)
        for node, one in zip(nodes, said, strict=True)
    ]
    summed = hashlib.sha256(b"sum").hexdigest()
    statement = Sum(
        job=signed.digest,
        roster=rosters[0].digest,
        shares={one.signer: parse(one.body)["share"] for one in said},
        sum=summed,
    ).sign(COORDINATOR)
    own = journal(folder, COORDINATOR)
    own.append(EntryKind.JOB, {"digest": signed.digest, "researcher": signed.signer}, JOB)
    own.append(EntryKind.ROSTER, {"roster": rosters[0].digest}, JOB)
    own.append(EntryKind.SUM, {"sum": statement.digest}, JOB)
    opening = Opening(job=signed.digest, sum=summed, result="ab" * 32)
    people = (RESEARCHER, COORDINATOR, A, B, C)
    return Receipt(
        job=signed,
        roster=tuple(rosters),
        nodes=tuple(evidence),
        sum=statement,
        coordinator=cosigned(own.evidence(JOB), A),
        opening=opening.sign(RESEARCHER),
        identities=tuple(one.public for one in people),
    )
