"""A coordinator that shifts every product that it returns: `python tests/shifting_coordinator.py DIR`.

For tests of what members notice; nothing in sandbox/ or nodes/ can switch this on.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sandbox.coordinator.server import serve
from sandbox.crypto.join import dealer
from sandbox.crypto.join.machine import Machine, Send
from sandbox.crypto.join.shape import Shape

SHIFT = 1000
honest = dealer._multiply


def shifting(shape: Shape) -> Machine[None]:
    """Add SHIFT to the first number of what the left member is handed."""
    machine, received = honest(shape), None
    while True:
        try:
            step = next(machine) if received is None else machine.send(received)
        except StopIteration:
            return
        received = None
        if isinstance(step, Send):
            word = (int.from_bytes(step.payload[:8], "little") + SHIFT) % (1 << 64)
            yield Send(step.party, word.to_bytes(8, "little") + bytes(step.payload[8:]))
        else:
            received = yield step


if __name__ == "__main__":
    dealer._multiply = shifting
    sys.exit(serve(Path(sys.argv[1])))
