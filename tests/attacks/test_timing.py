"""Attacks 34 and 35: on what the moment of a share tells of its noise, and a failure of its rows."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from nodes.slots import SLOT_S, wait_s
from sandbox.errors import InputError, Refusal, SandboxError, StateError, Unavailable
from sandbox.privacy.noise import Law
from tests.nodes.trio import Trio


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    made = Trio(tmp_path_factory.mktemp("timing") / "deployment")
    yield made
    made.close()


@dataclass(frozen=True)
class Talkative:
    """A sampler that needs longer for larger noise, as rejection sampling does."""

    noise: int
    protected = False

    def draw(self, law: Law, count: int) -> Sequence[int]:
        time.sleep(0.01 * self.noise)
        return [self.noise] * count


@pytest.mark.parametrize("noise", [0, 2, 5, 12])
def test_attack_34_how_long_the_noise_took_does_not_show_in_when_the_share_leaves(
    trio: Trio, monkeypatch: pytest.MonkeyPatch, noise: int
) -> None:
    """Haney et al. 2022 read a sampler's output off its duration. A share leaves at 100 ms * 2^k."""
    job = trio.sign(trio.draft().spec)
    roster = trio.roster(job, trio.offers(job))
    held: list[float] = []

    def slot(elapsed: float, first: int) -> float | None:
        left = wait_s(elapsed, first)
        held.append(elapsed + (left or 0.0))
        return left

    node = trio.nodes["a"]
    monkeypatch.setattr(node.tasks._sharing, "_sampler", Talkative(noise))
    monkeypatch.setattr("nodes.tasks.wait_s", slot)
    node.workers.rows, node.workers.seconds = 7, 0.0
    asked = time.monotonic()
    asyncio.run(trio.share("a", job, roster))
    took = time.monotonic() - asked
    assert len(held) == 2, "looked whether a slot is left, then waited for it"
    doubled = math.log2(held[-1] / SLOT_S)
    assert doubled == pytest.approx(round(doubled), abs=1e-6)
    assert took >= held[-1] - 0.001


TELLING = (
    Unavailable("SB-5201"),
    InputError("SB-1404", column="torque", line=17),
    Refusal("SB-2100", dataset="machines"),
    SandboxError("SB-5199"),
    OverflowError("1234567"),
    MemoryError(),
    TimeoutError(),
    ZeroDivisionError("column torque"),
)


def test_attack_35_a_failure_over_rows_has_one_code_one_charge_one_entry_and_one_moment(
    trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever rows made fail, early or late: who asks, and asks again, learns that it failed."""
    seen = set()
    node = trio.nodes["a"]
    for number, failure in enumerate(TELLING):
        draft = trio.draft()
        job = trio.sign(draft.spec)
        roster = trio.roster(job, trio.offers(job))
        node.workers.rows, node.workers.seconds = failure, 0.01 * (number % 3)
        told = []
        for _ in range(2):
            asked = time.monotonic()
            with pytest.raises(SandboxError) as failed:
                asyncio.run(trio.share("a", job, roster))
            told += [type(failed.value).__name__, failed.value.code, *failed.value.facts]
            if len(told) == 2:
                assert time.monotonic() - asked >= SLOT_S - 0.001
        log = [
            (record.entry.kind, *sorted(record.body or {}), (record.body or {}).get("loss"))
            for record in node.vault.log.entries(draft.spec.job)
        ]
        codes = [
            (record.body or {}).get("code") for record in node.vault.log.entries(draft.spec.job)
        ]
        seen.add(
            (tuple(told), tuple(log), tuple(codes), node.vault.task(job.digest).refusal is None)
        )
    assert len(seen) == 1
    ((told_each, *_),) = seen
    assert told_each == ("Unavailable", "SB-5203") * 2


def test_attack_35_a_state_of_the_node_itself_may_be_told(trio: Trio) -> None:
    """A damaged file or a later process is no matter of rows, and its owner has to know."""
    job = trio.sign(trio.draft().spec)
    roster = trio.roster(job, trio.offers(job))
    trio.nodes["a"].workers.rows = StateError("SB-6021")
    with pytest.raises(StateError, match="SB-6021"):
        asyncio.run(trio.share("a", job, roster))
