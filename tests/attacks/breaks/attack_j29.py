"""Break j29: a node that starts again takes up the joins that its end interrupted."""

from __future__ import annotations

from nodes import taskrows
from nodes.taskrows import TaskState
from nodes.vault import Vault
from sandbox.errors import SandboxError


def apply() -> None:
    def resumed(self: Vault, _: SandboxError) -> None:
        for task in self.tasks([TaskState.RESERVED]):
            with self.database.write("resume") as connection:
                taskrows.update(connection, task.digest, self.clock(), state=TaskState.ROSTERED)
                connection.execute("DELETE FROM ledger WHERE job = ?", (task.job,))

    Vault.end_interrupted = resumed  # type: ignore[method-assign]
