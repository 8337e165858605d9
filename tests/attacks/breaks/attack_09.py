"""Give a call as long as its caller asks for."""

from __future__ import annotations

from typing import Any

from sandbox.rpc.guard import Guard


def apply() -> None:
    def time_left_s(self: Any, method: str, context: Any) -> float:
        return float(context.time_remaining() or 1e9)

    Guard._time_left_s = time_left_s  # type: ignore[method-assign]
