"""Break j12: a relay drops frames that are for nobody, and a dealer takes any first frame."""

from __future__ import annotations

from sandbox.coordinator import relay
from sandbox.rpc import node_pb2


def apply() -> None:
    carry = relay.Relay._carry

    async def lenient(self: relay.Relay, source: str, frame: node_pb2.JoinFrame) -> None:
        if frame.party in self._calls:
            await carry(self, source, frame)

    relay.Relay._carry = lenient  # type: ignore[method-assign]
