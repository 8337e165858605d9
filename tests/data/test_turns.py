"""Fair turns: never more than `active` at once, never a researcher passed over, no place lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.turns import Turns
from sandbox.errors import Unavailable

RESEARCHERS = "abc"


@dataclass
class Run:
    """A history under way: who holds a turn, who waits in which order, who was called."""

    turns: Turns
    tasks: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    ends: dict[int, asyncio.Event] = field(default_factory=dict)
    holding: list[int] = field(default_factory=list)
    called: list[int] = field(default_factory=list)

    async def request(self, number: int, researcher: str) -> None:
        async with self.turns.turn(researcher):
            self.holding.append(number)
            self.called.append(number)
            try:
                await self.ends[number].wait()
            finally:
                self.holding.remove(number)


class Model:
    """The rule in the fewest words: lines by researcher, the longest unserved researcher first."""

    def __init__(self, active: int) -> None:
        self.free = active
        self.order: list[str] = []
        self.lines: dict[str, list[int]] = {name: [] for name in RESEARCHERS}
        self.called: list[int] = []

    def enter(self, number: int, researcher: str) -> None:
        if self.free:
            self.free -= 1
            self.called.append(number)
            return
        if researcher not in self.order:
            self.order.append(researcher)
        self.lines[researcher].append(number)

    def leave_line(self, number: int) -> None:
        for name, line in self.lines.items():
            if number in line:
                line.remove(number)
                if not line:
                    self.order.remove(name)

    def finish(self) -> None:
        if not self.order:
            self.free += 1
            return
        name = self.order.pop(0)
        self.called.append(self.lines[name].pop(0))
        if self.lines[name]:
            self.order.append(name)


EVENTS = st.lists(
    st.tuples(st.sampled_from(["enter", "enter", "finish", "cancel"]), st.integers(0, 99)),
    max_size=40,
)


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def play(active: int, events: list[tuple[str, int]]) -> None:
    run, model, researchers = Run(Turns(active, 1000)), Model(active), {}
    for number, (event, chance) in enumerate(events):
        waiting = [n for n in run.tasks if n not in run.called]
        if event == "enter":
            researchers[number] = RESEARCHERS[chance % len(RESEARCHERS)]
            run.ends[number] = asyncio.Event()
            request = run.request(number, researchers[number])
            run.tasks[number] = asyncio.create_task(request)
            model.enter(number, researchers[number])
        elif event == "finish" and run.holding:
            run.ends[run.holding[chance % len(run.holding)]].set()
            model.finish()
        elif event == "cancel" and (waiting or run.holding):
            candidates = waiting + run.holding
            gone = candidates[chance % len(candidates)]
            run.tasks.pop(gone).cancel()
            if gone in waiting:
                model.leave_line(gone)
            else:
                model.finish()
        await settle()
        assert len(run.holding) <= active
        assert run.called == model.called
    for end in run.ends.values():
        end.set()
    await asyncio.gather(*run.tasks.values(), return_exceptions=True)
    await settle()
    async with asyncio.timeout(1):
        # Every place came back: all of them can be held at once again.
        again = [run.turns.turn("z") for _ in range(active)]
        for turn in again:
            await turn.__aenter__()
        for turn in again:
            await turn.__aexit__(None, None, None)


@settings(deadline=None)
@given(st.integers(1, 3), EVENTS)
def test_turns_follow_the_rule_through_any_history(
    active: int, events: list[tuple[str, int]]
) -> None:
    asyncio.run(play(active, events))


def test_flood_of_one_researcher_delays_another_by_one_turn() -> None:
    async def run() -> list[str]:
        turns, order = Turns(1, 1000), []

        async def request(researcher: str) -> None:
            async with turns.turn(researcher):
                order.append(researcher)
                await asyncio.sleep(0)

        flood = [asyncio.create_task(request("flood")) for _ in range(50)]
        await settle()
        await asyncio.gather(request("patient"), *flood)
        return order

    assert asyncio.run(run()).index("patient") < 8


def test_called_and_cancelled_in_one_breath_passes_the_turn_on() -> None:
    async def run() -> None:
        turns = Turns(1, 10)
        first = turns.turn("a")
        await first.__aenter__()
        second = asyncio.create_task(turns.turn("b").__aenter__())
        third = asyncio.create_task(turns.turn("c").__aenter__())
        await settle()
        await first.__aexit__(None, None, None)
        second.cancel()
        async with asyncio.timeout(1):
            await third

    asyncio.run(run())


def test_full_line_has_no_room_and_says_how_many_wait() -> None:
    async def run() -> None:
        turns = Turns(1, 2)
        turns.require_room()
        async with turns.turn("a"):
            waiting = [asyncio.create_task(turns.turn("a").__aenter__()) for _ in range(2)]
            await settle()
            with pytest.raises(Unavailable) as refused:
                turns.require_room()
            assert (refused.value.code, refused.value.facts) == ("SB-5202", {"waiting": 2})
            waiting[0].cancel()
            await settle()
            turns.require_room()

    asyncio.run(run())
