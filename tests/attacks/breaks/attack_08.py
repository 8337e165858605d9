"""Look at a job's id alone, not at what stands under it."""

from __future__ import annotations

from typing import Any

from nodes.vault import Vault
from sandbox.coordinator.store import Store
from sandbox.errors import ProtocolError


def apply() -> None:
    add, accept = Store.add_job, Vault.accept_job

    def add_job(self: Any, *job: Any) -> bool:
        try:
            return add(self, *job)
        except ProtocolError:
            return False

    def accept_job(self: Any, job: str, *rest: Any, **options: Any) -> Any:
        return self.task_of(job) or accept(self, job, *rest, **options)

    Store.add_job = add_job  # type: ignore[method-assign]
    Vault.accept_job = accept_job  # type: ignore[method-assign]
