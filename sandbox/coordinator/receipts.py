"""The receipt of a job, put together from what every party signed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from sandbox.audit.log import Entry
from sandbox.audit.receipt import LoggedEntry, NodeEvidence, Receipt, Sum
from sandbox.coordinator.evidence import Evidence
from sandbox.crypto.identity import Identity, PublicIdentity, Signed, parse
from sandbox.rpc import node_pb2


def build_receipt(
    coordinator: Identity,
    job: Signed,
    roster: Sequence[Signed],
    releases: Mapping[str, Signed],
    shares: Mapping[str, bytes],
    summed: bytes,
    evidence: Sequence[Evidence],
    identities: Sequence[PublicIdentity],
) -> Receipt:
    """Return the receipt, which lacks only the researcher's opening.

    `releases` and `shares` are by node. The coordinator signs which shares it added to which sum.
    """
    statement = Sum(
        job=job.digest,
        roster=roster[0].digest,
        shares={node: hashlib.sha256(share).hexdigest() for node, share in shares.items()},
        sum=hashlib.sha256(summed).hexdigest(),
    )
    return Receipt(
        job=job,
        roster=tuple(roster),
        nodes=tuple(_node(releases[one.node], one) for one in evidence),
        sum=statement.sign(coordinator),
        opening=None,
        identities=tuple(identities),
    )


def _node(release: Signed, evidence: Evidence) -> NodeEvidence:
    return NodeEvidence(
        release=release,
        entries=tuple(_logged(entry) for entry in evidence.entries),
        head=evidence.head,
        witnesses=evidence.cosignatures,
    )


def _logged(entry: node_pb2.LogEntry) -> LoggedEntry:
    return LoggedEntry(
        Entry.from_document(json.loads(entry.entry)),
        parse(entry.body),
        tuple(entry.inclusion.hashes),
    )
