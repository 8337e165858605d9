"""Take messages and streams of any size."""

from __future__ import annotations

from nodes import server as node
from sandbox.coordinator import server as coordinator
from sandbox.rpc import channels


def apply() -> None:
    unbounded = (("grpc.max_receive_message_length", -1),)
    channels._SERVER = (*channels._SERVER[:1], *unbounded, *channels._SERVER[2:])
    node.CONTEXT_LIMIT_BYTES = coordinator.CONTEXT_LIMIT_BYTES = 1 << 40
