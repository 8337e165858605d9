"""Break j20: a node believes the job, not the statement, who is told."""

from __future__ import annotations

from nodes import assessment
from sandbox.jobs import JobSpec
from sandbox.sql.algebra import Plan


def apply() -> None:
    def believing(spec: JobSpec, own_plan: Plan) -> None:
        """Ask nothing."""

    assessment._require_receiver = believing
