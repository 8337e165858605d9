"""Without budget groups, every name has a budget of its own."""

from __future__ import annotations

from typing import Any

from nodes.registry import Registry


def apply() -> None:
    def alone(self: Registry, connection: Any, name: str, *_: Any) -> set[str]:
        return {f"data:{name}"}

    Registry._groups = alone  # type: ignore[method-assign]
