"""Break j27: a node joins under whatever roster its coordinator names, if members signed it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from nodes.rosters import Rosters
from nodes.taskrows import Task
from sandbox.crypto.identity import Signed
from sandbox.jobs import Roster, read_document


def apply() -> None:
    def any_roster(self: Rosters, task: Task, signatures: Sequence[Signed]) -> Roster:
        return read_document(Roster, signatures[0], json.loads(signatures[0].body))

    Rosters.verified = any_roster  # type: ignore[method-assign]
