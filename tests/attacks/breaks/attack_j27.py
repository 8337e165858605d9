"""Break j27: a node joins under whatever roster its coordinator names, if members signed it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from nodes.taskrows import Task
from nodes.tasks import Tasks
from sandbox.crypto.identity import Signed
from sandbox.jobs import Roster, read_document


def apply() -> None:
    def any_roster(self: Tasks, task: Task, signatures: Sequence[Signed]) -> Roster:
        return read_document(Roster, signatures[0], json.loads(signatures[0].body))

    Tasks._verified_roster = any_roster  # type: ignore[method-assign]
