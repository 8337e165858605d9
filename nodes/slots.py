"""When a share may leave: at received + 100 ms * 2^k and at no other moment.

How long a fragment ran depends on the rows. Leaving only at slots lets an observer learn k, the
logarithm of the run time, and nothing finer. The first slot follows from the card alone.
"""

from __future__ import annotations

SLOT_S = 0.1
LAST = 13
"""100 ms * 2^13 is 819 s; a share that misses it never leaves, and stays charged."""

FIXED_S = 0.05
PER_ROW_S = 4e-7
PER_INTEGER_S = 4e-5
"""Rough costs on a small server core: only the choice of the first slot rests on them."""


def first_slot(row_bound: int, integers: int) -> int:
    """Return the k of the earliest slot for a dataset of at most `row_bound` rows."""
    expected_s = FIXED_S + PER_ROW_S * row_bound + PER_INTEGER_S * integers
    slot = 0
    while SLOT_S * 2**slot < expected_s and slot < LAST:
        slot += 1
    return slot


def wait_s(elapsed_s: float, first: int) -> float | None:
    """Return how long to hold a share that took `elapsed_s`; None if no slot is left."""
    for slot in range(first, LAST + 1):
        if elapsed_s <= SLOT_S * 2**slot:
            return float(SLOT_S * 2**slot - elapsed_s)
    return None


JOIN_STEPS = 4
"""A join goes on at received + 100 ms * 2^(k/4): more slots, each nearer to the work."""
JOIN_FIXED_S = 0.02
JOIN_PER_ROW_S = 1e-7
KEPT_PER_ROW_S = 5e-8
"""Over a kept matching no key is read or hashed."""
FIRST_KEPT_STEP = -JOIN_STEPS


def join_wait_s(elapsed_s: float, row_bound: int, *, kept: bool = False) -> float:
    """Return how long to hold what took `elapsed_s` and depends on rows: the keys of a join, or its
    columns over a `kept` matching; of a semi-join, the share that counts what matched.

    Between and after them a join's messages and times follow from declared sizes.
    """
    expected_s = JOIN_FIXED_S + (KEPT_PER_ROW_S if kept else JOIN_PER_ROW_S) * row_bound
    slot = FIRST_KEPT_STEP if kept else 0
    while SLOT_S * 2 ** (slot / JOIN_STEPS) < max(expected_s, elapsed_s):
        slot += 1
    return float(SLOT_S * 2 ** (slot / JOIN_STEPS) - elapsed_s)
