"""Run product code with one defence removed, to show that the attack's test then fails.

    python tests/attacks/broken.py NN ROLE FOLDER

applies tests/attacks/breaks/attack_NN.py and then serves FOLDER as ROLE: coordinator, node, or
plain (the noiseless node of tests). `pytest --break NN` does the same to the tests' own process;
processes that it starts learn of the break by the variable BREAK, which only tests/ reads.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BREAK = "FEDSANDBOX_TEST_BREAK"
ROLES = ("coordinator", "node", "plain")


def active() -> str:
    """Return the number of the break in force, or ""."""
    return os.environ.get(BREAK, "")


def apply(number: str) -> None:
    """Remove the defence against attack `number` in this process and those that it starts."""
    os.environ[BREAK] = number
    importlib.import_module(f"tests.attacks.breaks.attack_{number}").apply()
    _break_workers()


def command(role: str, folder: Path) -> tuple[str, ...]:
    """Return the command that serves `folder` with the active break."""
    return (sys.executable, str(Path(__file__).resolve()), active(), role, str(folder))


def _break_workers() -> None:
    """Let workers, which are processes of their own with a swept environment, break likewise."""
    from sandbox import warm_server
    from sandbox.warm_server import WarmServer

    made = WarmServer.__init__

    def broken(self: WarmServer, program: Sequence[str], errors: Path, standing_by: int) -> None:
        made(self, ("tests.attacks.broken_worker", *program), errors, standing_by)

    WarmServer.__init__ = broken  # type: ignore[method-assign]
    warm_server._PASSED_ON = (*warm_server._PASSED_ON, BREAK)
    # Workers start in the node's folder of origin, where `tests` need not be found.
    os.environ["PYTHONPATH"] = str(ROOT)


def main() -> int:
    """Break, then serve."""
    number, role, folder = sys.argv[1:]
    apply(number)
    if role == "coordinator":
        from sandbox.coordinator.server import serve as serve_coordinator

        return serve_coordinator(Path(folder))
    if role == "node":
        from nodes.server import serve as serve_node

        return serve_node(Path(folder))
    from nodes.server import run
    from tests.noise import ZeroNoise

    return run(Path(folder), ZeroNoise())


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
