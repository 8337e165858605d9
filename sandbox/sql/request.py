"""What a plan asks of one dataset, as its provider's policy sees it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from decimal import Decimal

from sandbox.catalog import DatasetCard, Member
from sandbox.privacy.policy import Request
from sandbox.sql.algebra import Plan


def request(
    plan: Plan,
    member: Member,
    card: DatasetCard,
    researcher: str,
    purpose: str,
    epsilon: Decimal,
    delta: Decimal,
    now: datetime,
    *,
    malicious: bool = False,
    verify: bool = False,
    receiver: tuple[str, ...] = (),
) -> Request:
    """Return the request; `card` is the own one of dataset `member`, `researcher` a fingerprint.

    receiver: of a disclosure, the receiving node's fingerprint, and its name where it is known.
    """
    sides = plan.sides if plan.semi is None else (*plan.sides, plan.semi)
    read = {c for s in sides if member in s.table.members for c in s.fragment.columns_read}
    return Request(
        researcher=researcher,
        purpose=purpose,
        operations=plan.operations,
        columns=tuple((c.name, c.grade) for c in card.columns if c.name in read),
        epsilon=epsilon,
        delta=delta,
        dataset_grade=card.grade,
        cells=plan.cells,
        statement_digest=statement_digest(plan.statement),
        now=now,
        join_mode=None if plan.mode is None else plan.mode.value,
        malicious=malicious,
        verify=verify,
        disclosure=bool(plan.matched),
        told=() if member in plan.table.members or not plan.matched else receiver,
    )


def statement_digest(statement: str) -> str:
    """Return the digest by which an owner lists a statement as approved (hex SHA-256)."""
    return hashlib.sha256(statement.strip().encode()).hexdigest()
