"""What a statement will take: bytes on the wire and seconds, from its rows and columns alone.

Every constant lives here and nowhere else. Bytes follow from the protocols; seconds of joins are fitted
to medians from 2^16 to 2^22 rows with all parties on two cores (benchmarks/join.py, benchmarks/many.py).
Sizes are padded to what cards declare, so that all of it is known before anything runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sandbox.crypto.join.psi import Sizes
from sandbox.crypto.join.schedule import words
from sandbox.crypto.join.words import WIDEST, choose_words
from sandbox.crypto.rings import choose_ring
from sandbox.errors import Refusal
from sandbox.jobs import MOST_RUN_S
from sandbox.privacy.allocate import NoisePlan
from sandbox.sql.algebra import Plan, Side
from sandbox.sql.joinexplained import KeptMatching
from sandbox.sql.noise import capacity
from sandbox.sql.perkey import key_columns
from sandbox.sql.shapes import dummies_of, shapes_of

CIPHERTEXT_BYTES = {"bfv-4096-40": 88_600, "bfv-8192-58": 432_500, "bfv-8192-58x2": 865_000}
"""One chunk of each ring, as TenSEAL writes it."""
ROUNDS_S = 0.2
ROW_S, INTEGER_S = 4e-7, 1e-4
"""Reading a row; encrypting, adding, opening an integer."""

JOIN_ROUNDS_S = 0.16
JOIN_ROW_S, JOIN_GROUPED_S, JOIN_COLUMN_S = 9e-8, 4e-7, 1e-8
"""Reading a row of a join whose key is one row's; of one that is bounded and grouped; a column of it."""
KEPT_ROUNDS_S, KEPT_ROW_S = 0.12, 2e-8
"""Over a kept matching, where rows find their slots by number: no key is read, and nothing grouped."""
BLOCK_BYTES, SLOT_BYTES = 16, 4
TAG_S, SLOT_S, SHARE_S = 3e-8, 1.5e-8, 6e-9
"""Of one row: its tag and the slot it gets; of one row and column: masking, sending, multiplying."""
VERIFIED_S = 3e-8
"""Of one row and column of a verified join, whose words are wide: masking, sending, multiplying."""
PRODUCT_S = 2.6e-8
"""Of one word that three and more members, or their dealer, send: single runs of 3 x 2^16 to 5 x 2^16
rows, all parties on two cores."""
SEALED_BYTES = 8
"""One integer of a join's answer, as a provider seals it."""

PSI_RECEIVER_BYTES, PSI_SENDER_BYTES, PSI_FIXED_BYTES = 22, 12, 600_000
"""Per row of the receiver (the encoded set) and of the sender (truncated hashes); base OTs and VOLE."""
PSI_FIXED_S, PSI_RECEIVER_S, PSI_SENDER_S = 0.17, 3.5e-7, 2.3e-7
PSI_MALICIOUS_S = 7e-8
"""Of one row of either side, more where the peer may be malicious: 2^20 and 2^21 rows, kernels alone."""

PATIENCE, SLOWEST_BYTES_S = 10, 1_000_000
"""How much slower machines may be than is expected, and the slowest line, before a join is given up."""


@dataclass(frozen=True)
class Cost:
    """`ring`: of the sums; `bytes`: all that moves, each message once; `seconds`: expected time."""

    ring: str
    bytes: int
    seconds: float

    @property
    def run_s(self) -> int:
        """For how many seconds a join of this cost is waited for, at least."""
        return math.ceil(PATIENCE * self.seconds + self.bytes / SLOWEST_BYTES_S)


def cost(
    plan: Plan,
    noise: NoisePlan,
    *,
    malicious: bool = False,
    verify: bool = False,
    kept: KeptMatching | None = None,
) -> Cost:
    """Return what a plan will take under a noise plan. malicious: which variant of a PSI runs; verify:
    whether the members of a blind join check the coordinator; kept: the matching that it is over.

    Raises Refusal SB-1107 for a join that might not end while it is waited for.
    """
    if plan.mode is not None:
        joined = _psi(plan, noise, malicious) if plan.semi else _blind(plan, noise, kept, verify)
        if joined.run_s > MOST_RUN_S:
            hours, most = joined.run_s // 3600, MOST_RUN_S // 3600
            raise Refusal("SB-1107", table=plan.name, hours=hours, most=most)
        return joined
    ring = choose_ring(capacity(plan, noise))
    chunks = len(ring.chunk_sizes(plan.length))
    # Each member sends one vector, the researcher fetches one sum.
    moved = CIPHERTEXT_BYTES[ring.name] * chunks * (len(plan.table.members) + 1)
    seconds = ROUNDS_S + ROW_S * plan.table.card.row_bound + INTEGER_S * plan.length
    return Cost(ring.name, moved, seconds)


def run_s(plan: Plan, noise: NoisePlan, *, malicious: bool, verify: bool, prepared: bool) -> int:
    """Return for how many seconds the members of a join are waited for at least; 0 for what is none.

    prepared: whether it is over a kept matching. Raises Refusal SB-1107.
    """
    if plan.mode is None:
        return 0
    kept = KeptMatching("", 0) if prepared else None
    return cost(plan, noise, malicious=malicious, verify=verify, kept=kept).run_s


def _blind(plan: Plan, noise: NoisePlan, kept: KeptMatching | None, verify: bool) -> Cost:
    dummies = kept.dummies if kept else dummies_of(noise, verify=verify)
    moved = float(SEALED_BYTES * plan.length * len(plan.members))
    seconds = JOIN_ROUNDS_S if kept is None else KEPT_ROUNDS_S
    # Every combination of the sides' members is a join of its own.
    joins = math.prod(len(side.table.members) for side in plan.sides)
    ring = choose_words(capacity(plan, noise))
    shape = shapes_of(plan, dummies, ring.width, verify=verify)[0]
    for side in plan.sides:
        rows = side.table.card.row_bound * len(side.table.members)
        tags = joins * (side.table.card.row_bound + dummies)
        columns = len(key_columns(plan, side))
        seconds += rows * (_row_s(side, kept) + JOIN_COLUMN_S * columns)
        if kept is None:
            moved += tags * (shape.tag_bytes + SLOT_BYTES)
            seconds += tags * (TAG_S + SLOT_S)
    if len(plan.sides) > 2:
        values = joins * words(shape)
        return Cost(ring.name, round(moved + values * WIDEST.width), seconds + values * PRODUCT_S)
    if verify and kept is None:
        values = joins * shape.slots * sum(shape.of_matching.columns)
        moved += values * shape.of_matching.width
        seconds += values * SHARE_S
    if not plan.prepares:
        values = joins * shape.slots * sum(shape.sent_columns)
        moved += values * shape.word_bytes
        seconds += values * (VERIFIED_S if verify else SHARE_S)
    return Cost(ring.name, round(moved), seconds)


def _row_s(side: Side, kept: KeptMatching | None) -> float:
    # Where keys may repeat, rows are added up per key, kept or not.
    if side.multiplicity > 1:
        return JOIN_GROUPED_S
    return JOIN_ROW_S if kept is None else KEPT_ROW_S


def _psi(plan: Plan, noise: NoisePlan, malicious: bool) -> Cost:
    assert plan.semi is not None, "a PSI has two sides"
    moved = _psi_bytes(plan, plan.semi, malicious)
    moved += SEALED_BYTES * plan.length * len(plan.members)
    ring = choose_words(capacity(plan, noise))
    return Cost(ring.name, moved, _psi_seconds(plan, plan.semi, malicious))


def _psi_bytes(plan: Plan, semi: Side, malicious: bool) -> int:
    # Values are whole blocks where the peer may be malicious.
    value = BLOCK_BYTES if malicious else PSI_SENDER_BYTES
    sizes = Sizes(plan.table.card.row_bound, semi.table.card.row_bound, malicious)
    receives, sends = sizes.of_bucket
    of_bucket = PSI_FIXED_BYTES + PSI_RECEIVER_BYTES * receives + value * sends
    return sizes.buckets * of_bucket * len(plan.table.members) * len(semi.table.members)


def _psi_seconds(plan: Plan, semi: Side, malicious: bool) -> float:
    more = PSI_MALICIOUS_S if malicious else 0.0
    return (
        PSI_FIXED_S
        + (PSI_RECEIVER_S + more) * plan.table.card.row_bound * len(semi.table.members)
        + (PSI_SENDER_S + more) * semi.table.card.row_bound * len(plan.table.members)
    )
