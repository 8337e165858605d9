"""A join that its researcher gives up ends, whether or not all of its members have answered."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from sandbox.coordinator.phases import Phase
from sandbox.coordinator.server import CoordinatorService
from sandbox.crypto.identity import Signed
from sandbox.jobs import CANCEL_KIND, Cancellation
from sandbox.rpc.documents import to_message
from tests.coordinator.nodes import JOB, Scene, driven, scene, seen
from tests.nodes.vaults import RESEARCHER

__all__ = ["scene"]


class Mute:
    """A member that never answers."""

    asked = False

    async def cancel(self, cancellation: Signed) -> None:
        self.asked = True
        await asyncio.Event().wait()


def test_cancellation_that_is_hung_up_on_ends_the_join_all_the_same(scene: Scene) -> None:
    scene.submit(ring="z64", members="ab")
    member = Mute()

    async def act() -> None:
        async with driven(scene, Phase.COMPUTING) as (flow, task):
            service = SimpleNamespace(
                _caller=lambda *_: RESEARCHER.public,
                _owned=lambda *_: scene.job,
                _flows={JOB: flow},
                _state=lambda stored: SimpleNamespace(phase=stored.phase.value, members=["a"]),
                registry=SimpleNamespace(links={"a": member}),
            )
            cancellation = to_message(
                RESEARCHER.sign(CANCEL_KIND, Cancellation(job=JOB, at=0).body())
            )
            asking = asyncio.create_task(
                CoordinatorService.Cancel(cast(Any, service), cancellation, cast(Any, None))
            )
            await seen(lambda: member.asked)
            asking.cancel()
            async with asyncio.timeout(30):
                await asyncio.gather(asking, task, return_exceptions=True)

    asyncio.run(act())
    assert scene.job.phase is Phase.CANCELLED
