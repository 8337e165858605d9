"""Whoever watches a job hears of its end, whenever that comes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from sandbox.coordinator.phases import Phase
from sandbox.coordinator.server import CoordinatorService
from sandbox.rpc import coordinator_pb2
from tests.coordinator.nodes import JOB, RESEARCHER, Scene, scene

__all__ = ["scene"]


def test_a_change_while_a_state_is_being_sent_is_not_missed(scene: Scene) -> None:
    scene.submit()
    flow = scene.flow()
    service = SimpleNamespace(
        _owned=lambda *_: scene.job, _flows={JOB: flow}, _state=lambda stored: stored.phase
    )

    async def watch() -> list[Phase]:
        request = coordinator_pb2.JobRequest(job=JOB)
        states = CoordinatorService.Watch(cast(Any, service), request, cast(Any, None))
        seen = [cast(Phase, await anext(states))]
        flow.cancel(RESEARCHER.sign("cancel", {"job": JOB}))  # its last change
        async with asyncio.timeout(5):
            return seen + [cast(Phase, state) async for state in states]

    assert asyncio.run(watch()) == [Phase.SUBMITTED, Phase.CANCELLED]
