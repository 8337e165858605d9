"""Let workers run for an hour."""

from __future__ import annotations

from nodes.workers import Workers


def apply() -> None:
    async def ask(
        self: Workers, kind: str, _: str, header: dict[str, object], part: bytes, __: float | None
    ) -> object:
        limits = {"deadline_s": 3600.0, "memory_bytes": 1 << 33}
        return await self._servers[kind].ask({**header, **limits}, part)

    Workers._ask = ask  # type: ignore[method-assign,assignment]
