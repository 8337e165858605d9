"""A coordinator that counts what its joins move: `python tests/counting_coordinator.py DIR`.

Each message counts once, at whoever receives it: what members say to each other as it is carried on,
what they say to the coordinator, and what it says to them. A line for each join is added to DIR/carried.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sandbox.coordinator import relay
from sandbox.coordinator.nodelink import Share
from sandbox.coordinator.relay import Relay
from sandbox.coordinator.server import serve
from sandbox.crypto.identity import Signed
from sandbox.crypto.join.machine import Machine
from sandbox.rpc.joinparts import Frame, Part

CARRIED = "carried"


class Counting(Relay):
    """A relay that counts."""

    folder: Path
    _bytes = 0

    async def run(
        self, job: str, roster: Sequence[Signed], dealer: Machine[None], *limits_s: float
    ) -> dict[str, Share]:
        shares = await super().run(job, roster, dealer, *limits_s)
        with (self.folder / CARRIED).open("a") as file:
            file.write(f"{self._bytes}\n")
        return shares

    async def _carry(self, source: str, frame: Frame) -> None:
        if frame.party == self._own:
            self._bytes += len(frame.payload)
        await super()._carry(source, frame)

    async def _write(self, member: str, part: Part) -> None:
        if isinstance(part, Frame):
            self._bytes += len(part.payload)
        await super()._write(member, part)


if __name__ == "__main__":
    Counting.folder = Path(sys.argv[1])
    relay.Relay = Counting  # type: ignore[misc]
    sys.exit(serve(Path(sys.argv[1])))
