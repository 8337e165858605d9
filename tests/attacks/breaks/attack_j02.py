"""Break j02: a relay waits for its dealer whatever members say, for streams that have ended, and for
members that say nothing."""

from __future__ import annotations

import asyncio

from sandbox.coordinator import relay
from sandbox.rpc import node_pb2


def apply() -> None:
    async def hear_all(
        self: relay.Relay, start: node_pb2.ComputeRequest, *_: asyncio.Task[None]
    ) -> None:
        async with asyncio.TaskGroup() as tasks:
            for member in self._members:
                tasks.create_task(self._listen(member, start))

    async def watch(self: relay.Relay, idle_s: float) -> None:
        await asyncio.Event().wait()

    relay.Relay._hear_all = hear_all  # type: ignore[method-assign]
    relay.Relay._watch = watch  # type: ignore[method-assign]
