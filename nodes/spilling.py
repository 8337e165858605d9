"""What a node's part of a PSI puts on its disk, and whether its owner lets it.

Tags and what is compared take what declared sizes say; that is set aside first. Half of what remains is
for rows, half for DuckDB, so that all of it together stays within `temp_limit_mb`.
"""

from __future__ import annotations

from sandbox.crypto.join.psi import Sizes
from sandbox.crypto.join.shape import TAG_BYTES
from sandbox.errors import Refusal
from sandbox.sql.algebra import Plan

INTEGER_BYTES = 8
MIB = 1 << 20


def reserved_bytes(plan: Plan, own: str, *, malicious: bool) -> int:
    """Return what files of tags and of what is compared take at most, whatever rows there are: 0 where
    sets are one bucket, which stays in memory, and of a plan that is no PSI."""
    if plan.semi is None:
        return 0
    outer, inner = plan.sides[0].table, plan.semi.table
    sizes = Sizes(outer.card.row_bound, inner.card.row_bound, malicious)
    if sizes.buckets == 1:
        return 0
    receivers, senders = sizes.of_bucket
    if _receives(plan, own):
        return sizes.buckets * TAG_BYTES * (receivers + senders) * len(inner.members)
    return sizes.buckets * TAG_BYTES * senders * len(outer.members)


def require_disk(plan: Plan, own: str, limit_mb: int, node: str, *, malicious: bool) -> None:
    """Raise Refusal SB-2271 for a PSI that takes more than the node's owner allows even if its keys are
    integers. Where rows take more than that, the worker ends (psi_rows.TempExceeded)."""
    needed = reserved_bytes(plan, own, malicious=malicious)
    if needed and plan.semi is not None and _receives(plan, own):
        side = plan.sides[0]
        rows = side.table.card.row_bound * len(plan.semi.table.members)
        needed += 2 * INTEGER_BYTES * len(plan.semi.keys) * rows
    if needed > limit_mb * MIB:
        raise Refusal("SB-2271", node=node, needed=-(-needed // MIB), most=limit_mb)


def _receives(plan: Plan, own: str) -> bool:
    return own in {member.node for member in plan.sides[0].table.members}
