"""The receipt of a job, put together from what every party signed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sandbox.audit.receipt import NodeEvidence, Receipt
from sandbox.audit.statements import Sum
from sandbox.coordinator.evidence import JobEvidence
from sandbox.coordinator.store import StoredShare
from sandbox.crypto.identity import Identity, PublicIdentity, Signed


def sign_sum(
    coordinator: Identity,
    job: Signed,
    roster: Sequence[Signed],
    shares: Sequence[StoredShare],
    summed: bytes,
) -> Signed:
    """Return the coordinator's statement which shares it added to which sum; always the same one."""
    statement = Sum(
        job=job.digest,
        roster=roster[0].digest,
        shares={share.node: hashlib.sha256(share.share).hexdigest() for share in shares},
        sum=hashlib.sha256(summed).hexdigest(),
    )
    return statement.sign(coordinator)


def build_receipt(
    job: Signed,
    roster: Sequence[Signed],
    shares: Sequence[StoredShare],
    statement: Signed,
    evidence: JobEvidence,
    identities: Sequence[PublicIdentity],
) -> Receipt:
    """Return the receipt, which lacks only the researcher's opening. statement: `sign_sum`'s."""
    return Receipt(
        job=job,
        roster=tuple(roster),
        nodes=tuple(NodeEvidence(share.release, evidence.nodes[share.node]) for share in shares),
        sum=statement,
        coordinator=evidence.coordinator,
        opening=None,
        identities=tuple(identities),
    )
