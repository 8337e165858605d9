"""When a share or a join's keys may leave: at slots that the card fixes, whatever the rows took."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes import tasks
from nodes.slots import JOIN_FIXED_S, JOIN_STEPS, LAST, SLOT_S, join_wait_s


@given(st.floats(0, 100), st.integers(1, 10**8), st.booleans())
def test_a_join_goes_on_at_a_slot_and_never_before_its_card_expects(
    elapsed_s: float, row_bound: int, kept: bool
) -> None:
    left = elapsed_s + join_wait_s(elapsed_s, row_bound, kept=kept)
    assert left >= max(elapsed_s, JOIN_FIXED_S)
    slots = [SLOT_S * 2 ** (k / JOIN_STEPS) for k in range(-JOIN_STEPS if kept else 0, 60)]
    assert min(abs(left - slot) for slot in slots) < 1e-9


def test_runs_that_are_as_fast_as_expected_leave_together() -> None:
    assert 0.001 + join_wait_s(0.001, 1000) == 0.09 + join_wait_s(0.09, 1000) == SLOT_S


def test_columns_over_a_kept_matching_leave_earlier_and_as_one_over_any_rows() -> None:
    bound = 1 << 20
    kept = {took + join_wait_s(took, bound, kept=True) for took in (0.001, 0.03, 0.07)}
    assert max(kept) - min(kept) < 1e-9
    assert max(kept) < 0.001 + join_wait_s(0.001, bound)


def test_failure_of_a_join_is_told_at_a_slot_however_long_it_ran(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[float] = []

    async def sleep(seconds: float) -> None:
        held.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for elapsed_s in (SLOT_S * 2**LAST + 1.0, 3000.0, 80_000.0):
        received = time.monotonic() - elapsed_s
        asyncio.run(tasks._hold(received, 0))
        told = elapsed_s + held[-1]
        slot = min(
            (SLOT_S * 2 ** (k / JOIN_STEPS) for k in range(100)), key=lambda s: abs(s - told)
        )
        # But for what passed between two looks at the clock.
        assert told == pytest.approx(slot, abs=0.05)
        assert elapsed_s < told < 1.2 * elapsed_s
