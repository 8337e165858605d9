"""The matchings that a node keeps for statements to come (docs/decisions/017).

Each lies in a file of the node's own folder, under the digest of the job that prepared it, and counts
while that job is committed: what a crash left behind is no matching, and is removed at the next start.
All else about it is in the signed job.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nodes import sources
from nodes.joined_files import JoinedFiles
from nodes.prepared_worker import Facts, facts_of
from nodes.registry import Registry
from nodes.taskrows import Task, TaskState
from nodes.vault import Vault
from sandbox.errors import ProtocolError, Refusal
from sandbox.jobs import JobSpec, parse_spec
from sandbox.sql.algebra import Plan
from sandbox.sql.preparing import same_key

FOLDER = "matchings"
ENDING = "slots"
UNREADABLE = (OSError, ValueError, EOFError)


@dataclass(frozen=True)
class Matching:
    """A kept matching and its file."""

    file: Path
    facts: Facts


class Matchings:
    """A node's matchings, found by the digest of their job."""

    def __init__(self, vault: Vault, registry: Registry) -> None:
        self._vault = vault
        self._registry = registry
        self._files = JoinedFiles(registry.folder, FOLDER)
        for file in self._kept():
            if not self._serves(file, self._spec(file.stem)):
                file.unlink()

    @contextmanager
    def writing(self, job: str) -> Iterator[Path]:
        """Yield where a worker writes a matching; job: the digest of what prepares it."""
        with self._files.writing(job, ENDING) as file:
            yield file

    def find(self, spec: JobSpec, plan: Plan, dataset: str) -> Matching:
        """Return the matching that a job asks for, which reads the node's own `dataset`.

        Raises Refusal SB-2260 for one that is not kept for this researcher, SB-2261 for other tables,
        SB-2262 for another key, SB-2263 past its time, SB-2264 for other rows than were matched, SB-2265
        for one that was not verified where the job is to be.
        """
        assert spec.prepared is not None, "the job names a matching"
        name, job = spec.prepared.name, spec.prepared.job
        made = self._spec(job)
        if made is None or made.prepare is None or made.researcher != spec.researcher:
            raise Refusal("SB-2260", name=name)
        if made.tables != spec.tables:
            raise Refusal("SB-2261", name=name, table=plan.name)
        if not same_key(plan, made.statement):
            raise Refusal("SB-2262", name=name, table=plan.name)
        if made.prepare.until <= time.time():
            raise Refusal("SB-2263", name=name)
        if spec.verify and not made.verify:
            raise Refusal("SB-2265", name=name)
        file = self._file(job)
        try:
            facts = facts_of(file)
        except UNREADABLE:
            raise Refusal("SB-2260", name=name) from None
        own = self._registry.dataset(dataset)
        if own.version != facts.version or not sources.unchanged(own.source):
            raise Refusal("SB-2264", name=name, dataset=dataset)
        return Matching(file, facts)

    def forget(self, job: str) -> None:
        """Remove a matching, if it is kept; job: the digest of what prepared it."""
        self._file(job).unlink(missing_ok=True)

    def forget_older(self, job: str, spec: JobSpec) -> None:
        """Remove what the same researcher prepared under the same name before, and all that serves no
        more. What is not committed may be about to be."""
        assert spec.prepare is not None, "the job prepares a matching"
        for file in self._kept():
            other = self._spec(file.stem)
            if other is None or other.prepare is None or file.stem == job:
                continue
            replaced = (other.researcher, other.prepare.name) == (
                spec.researcher,
                spec.prepare.name,
            )
            if replaced or not self._serves(file, other):
                file.unlink(missing_ok=True)

    def _serves(self, file: Path, made: JobSpec | None) -> bool:
        """Tell whether any job could use a matching: a committed one, of rows that are here, in time."""
        if made is None or made.prepare is None or made.prepare.until <= time.time():
            return False
        try:
            version = facts_of(file).version
        except UNREADABLE:
            return False
        return any(dataset.version == version for dataset in self._registry.datasets())

    def _kept(self) -> list[Path]:
        return [*self._files.folder.glob(f"*.{ENDING}")]

    def _file(self, job: str) -> Path:
        return self._files.folder / f"{job}.{ENDING}"

    def _spec(self, job: str) -> JobSpec | None:
        """Return the job that prepared a matching, None unless it is committed."""
        task: Task | None = None
        with suppress(ProtocolError):
            task = self._vault.task(job)
        if task is None or task.state is not TaskState.COMMITTED:
            return None
        return parse_spec(task.document)
