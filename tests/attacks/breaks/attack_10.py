"""No limit on streams, on pings, or on the calls of one caller."""

from __future__ import annotations

from sandbox.rpc import channels, guard


def apply() -> None:
    # Also what a misspelt option does: gRPC ignores it in silence.
    channels._SERVER = (
        *channels._COMMON,
        ("grpc.max_concurrent_stream", 256),
        ("grpc.http2.max_ping_strikes", 0),
    )
    guard.CALLS_PER_CALLER = 1 << 30
