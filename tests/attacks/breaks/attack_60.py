"""Without the stored share, a second one is made."""

from __future__ import annotations

from typing import Any

from nodes import taskrows
from nodes.taskrows import TaskState
from nodes.vault import Vault

task = Vault.task


def apply() -> None:
    def forgets(self: Vault, digest: str) -> Any:
        with self.database.write("forget") as connection:
            found = taskrows.get(connection, digest)
            if found.state is TaskState.COMMITTED:
                connection.execute(
                    "UPDATE tasks SET state = 'rostered', secret = x'" + "11" * 32 + "'"
                    " WHERE digest = ?",
                    (digest,),
                )
                connection.execute("DELETE FROM ledger WHERE job = ?", (found.job,))

    def stored_share(self: Vault, digest: str) -> None:
        forgets(self, digest)

    Vault.stored_share = stored_share  # type: ignore[method-assign]
