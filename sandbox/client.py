"""The researcher's side: plan for free, sign, submit, open, verify.

Nothing here needs to be trusted by anybody else: nodes check every job again. What a session reads
from the coordinator counts only as far as owners it trusts have signed it.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cached_property, partial
from html import escape
from pathlib import Path

from sandbox.budgets import Budgets, read_budgets
from sandbox.catalog import Member, Table
from sandbox.config import ResearcherConfig, load_researcher
from sandbox.connection import Connection
from sandbox.crypto.he import ResultKey
from sandbox.crypto.identity import Identity, PublicIdentity, Role
from sandbox.crypto.rings import ring_named
from sandbox.crypto.trust import Trust
from sandbox.disclosure import IdJoin, Joined
from sandbox.errors import InputError, Unavailable
from sandbox.grants import Asked, Grant, Planner, grants
from sandbox.jobfolder import JobFolder
from sandbox.jobs import (
    BUDGET_REQUEST_KIND,
    CANCEL_KIND,
    BudgetRequest,
    Cancellation,
    FileFormat,
    JobSpec,
    read_document,
    sign_job,
)
from sandbox.jobview import JobView, Progress
from sandbox.messages import text
from sandbox.prepared import DAYS, PreparedFolder, PreparedJoin, Preparing, Standing
from sandbox.privacy.policy import Policy
from sandbox.published import Limits, Published
from sandbox.query import Query, exact
from sandbox.result import Result
from sandbox.rpc.problems import error_of
from sandbox.sql.algebra import Plan
from sandbox.sql.parse import nearest
from sandbox.sql.plan import plan
from sandbox.study import Study, read_study
from sandbox.submission import Terms, draft_job, open_job
from sandbox.tables import Entry

RESULT_KEY = "result-key"
FRESH_S = 1.0
"""How long a catalogue that was read is used again."""


class Session:
    """One researcher at one coordinator. Use `sandbox.connect(profile)`."""

    def __init__(self, profile: Path) -> None:
        self._identity = Identity.load(profile)
        role = self._identity.public.role
        if role not in (Role.RESEARCHER, Role.SUPERVISOR):
            raise InputError("SB-1392", folder=str(profile), role=text(f"role.{role.value}"))
        self._config = load_researcher(profile)
        self._trust = Trust(profile)
        self._profile = profile
        self._notes = JobFolder(profile / "jobs")
        self._prepared = PreparedFolder(profile / "matchings")
        self._connection = Connection(profile, self._config.coordinator, self._coordinator)
        self._read: Published | None = None

    @classmethod
    def open(cls, profile: Path) -> Session:
        """Return a session of `profile`; raises StateError if there is no identity in it, and
        InputError SB-1392 if it is of a party that does not ask."""
        return cls(profile)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        own, asked = self._identity.public, self._config.coordinator
        return f"Session({own.role.value} {own.name!r} at {asked})"

    def _repr_html_(self) -> str:
        own = self._identity.public
        shown = text(
            "query.session",
            role=text(f"role.{own.role.value}"),
            name=own.name,
            coordinator=self._config.coordinator,
        )
        return f"<p>{escape(shown)}</p>"

    # What there is to ask

    def datasets(self) -> list[Table]:
        """Return every table of the catalogue, by name."""
        return [entry.table for _, entry in sorted(self.catalogue().items())]

    def table(self, name: str) -> Table:
        """Return one table; raises InputError SB-1382 with the nearest names, or SB-1390."""
        tables = self.tables()
        if name not in tables:
            raise InputError("SB-1382", table=name, nearest=nearest(name, tables))
        return tables[name]

    def tables(self) -> dict[str, Table]:
        """Return what a statement can name; raises InputError SB-1390 where nothing is offered."""
        catalogue = self.catalogue()
        if not catalogue:
            raise InputError("SB-1390")
        return {name: entry.table for name, entry in catalogue.items()}

    def catalogue(self) -> dict[str, Entry]:
        """Return the signed catalogue as nodes vouch for it now; asked at most once a second."""
        return self._published().tables

    def _published(self) -> Published:
        if self._read is None or time.monotonic() - self._read.at > FRESH_S:
            self._read = Published.of(self._connection.catalogue(), self.identities())
        return self._read

    def identities(self) -> Mapping[str, PublicIdentity]:
        """Return the identities this researcher trusts, and his own."""
        own = self._identity.public
        return {**self._trust.identities(), own.fingerprint: own}

    def policies(self) -> dict[Member, Policy]:
        """Return each dataset's policy as its node publishes it."""
        return self._published().policies

    def sql(self, statement: str) -> Query:
        """Return a query: lazy and free until it is run."""
        return Query(self, statement)

    def join(
        self,
        receiver: str,
        sender: str,
        on: str | Mapping[str, str],
        *,
        malicious: bool = False,
        file: FileFormat = "csv",
    ) -> IdJoin:
        """Return a join after which the receiver's node, and nobody else, has the ids of its rows in
        `receiver` that `sender` has too.

        on: the key's columns, "id" or "id,day", or "id=number" where names differ; a mapping says the
        same. file: "csv" or "parquet", what the node writes.
        """
        return IdJoin(self, receiver, sender, on, malicious=malicious, file=file)

    def prepare(
        self,
        name: str,
        left: str,
        right: str,
        on: str | Mapping[str, str],
        *,
        epsilon: Decimal | float | str | None = None,
        delta: Decimal | float | str | None = None,
        days: int = DAYS,
        verify: bool = False,
    ) -> Preparing:
        """Return a preparation after which joins of two tables on a key can be asked over `name`.

        on: as `join`. epsilon, delta: what hides how many keys match, once for all statements; a
        twentieth and a ten-thousandth of the profile's if None. days: how long nodes keep it, 1..366.
        verify: the nodes check that the coordinator matched; statements over it can be verified then.
        """
        return Preparing(
            self, name, left, right, on, epsilon=epsilon, delta=delta, days=days, verify=verify
        )

    def matchings(self) -> list[PreparedJoin]:
        """Return what this researcher has prepared, by name."""
        return [self.matching(name) for name in self._prepared.names()]

    def matching(self, name: str) -> PreparedJoin:
        """Return what was prepared under a name; raises InputError SB-1119, SB-1122."""
        return PreparedJoin.of(self._notes.read(self._prepared.job(name)), Standing.KEPT)

    def forget(self, name: str) -> None:
        """Let the nodes forget what was prepared under a name, and forget the name.

        Raises Unavailable SB-5118 for nodes that were not reached: the name stays, to ask again.
        """
        made = self.matching(name)
        untold = self.cancel(made.job_id).untold
        if untold:
            until = f"{made.until:%Y-%m-%d}"
            raise Unavailable("SB-5118", parties=", ".join(untold), name=name, until=until)
        self._prepared.drop(name)

    def study(self, written: str) -> Study:
        """Return a study: the statements of a text, to be planned together."""
        return Study(self, read_study(written))

    def grants(
        self,
        statement: str,
        epsilon: Decimal | float | str | None = None,
        delta: Decimal | float | str | None = None,
        purpose: str | None = None,
        *,
        malicious: bool = False,
        verify: bool = False,
    ) -> list[Grant]:
        """Return the smallest changes at each provider that would let `statement` pass."""
        return self.granted(
            partial(plan, statement),
            exact("epsilon", epsilon, self._config.epsilon),
            exact("delta", delta, self._config.delta),
            purpose,
            malicious=malicious,
            verify=verify,
        )

    def granted(
        self,
        planner: Planner,
        epsilon: Decimal | None,
        delta: Decimal | None,
        purpose: str | None = None,
        *,
        malicious: bool = False,
        verify: bool = False,
    ) -> list[Grant]:
        """Return the smallest changes that would let what `planner` plans pass."""
        own = self._identity.public.fingerprint
        purpose = self._config.purpose if purpose is None else purpose
        names = {who: identity.name for who, identity in self.identities().items()}
        asked = Asked(own, purpose, epsilon, delta, malicious, verify)
        return grants(planner, self.tables(), self.policies(), names, asked)

    # Jobs

    def jobs(self, limit: int = 50) -> list[JobView]:
        """Return the newest jobs."""
        return self._connection.jobs(limit)

    def job(self, job: str) -> JobView:
        """Return one job's state now."""
        return next(self.watch(job))

    def watch(self, job: str) -> Iterator[JobView]:
        """Yield a job's state now and at every change, until it ends."""
        return self._connection.watch(job)

    def cancel(self, job: str) -> JobView:
        """Give a job up; what nodes have reserved stays spent."""
        try:
            given_up = Cancellation(job=job, at=int(time.time()))
        except ValueError:  # No job has such an id.
            raise InputError("SB-3124", job=job[:40]) from None
        signed = self._identity.sign(CANCEL_KIND, given_up.body())
        return self._connection.cancel(signed)

    def result(self, job: str, last: JobView | None = None) -> Result:
        """Open a finished job, again if need be; costs nothing.

        last: its last state, as `wait` returned it; asked for if None. Raises what the job failed with,
        InputError SB-3123 if it still runs, SB-1094 for a disclosure.
        """
        ended = self.ended(job, last)
        if isinstance(ended, Joined):
            raise InputError("SB-1094", job=job)
        if isinstance(ended, PreparedJoin):
            raise InputError("SB-1127", job=job)
        return ended

    def joined(self, job: str, last: JobView | None = None) -> Joined:
        """Return a finished disclosure; as `result`, raises InputError SB-1095 for a query."""
        ended = self.ended(job, last)
        if not isinstance(ended, Joined):
            raise InputError("SB-1095", job=job)
        return ended

    def ended(self, job: str, last: JobView | None = None) -> Result | Joined | PreparedJoin:
        """Return what a finished job ended with; as `result`."""
        note = self._notes.read(job)
        view = self.job(job) if last is None else last
        if view.problem is not None:
            raise view.problem
        summed, receipt = self._connection.result(job)
        signed = receipt.job
        if signed.digest != note.signed.digest:
            raise InputError("SB-3124", job=job)
        spec = read_document(JobSpec, signed, json.loads(signed.body))
        opened = open_job(
            note.plan(),
            spec,
            note.seed,
            self.result_key,
            summed,
            receipt,
            self._identity,
            self.identities(),
        )
        # A job that is looked at again does not take its name back from a later one.
        seen = self._notes.has_receipt(job)
        path = self._notes.keep_receipt(job, opened.receipt)
        if spec.disclosure is not None:
            return Joined(spec, self.identities()[spec.disclosure.receiver].name, path)
        if spec.prepare is not None:
            if not seen:
                self._prepared.keep(spec.prepare.name, job)
            return PreparedJoin.of(note, self._prepared.standing(spec.prepare.name, job), path)
        return Result(spec, opened.answer, path, view.left_out, opened.noised)

    # Budgets and status

    def budget(self) -> Budgets:
        """Return what is left at each node, as the node signed it, and which nodes did not say.

        Raises why the first did not, where none did.
        """
        nonce = secrets.token_hex(16)
        own = self._identity.public.fingerprint
        body = BudgetRequest(researcher=own, nonce=nonce, at=int(time.time()))
        reply = self._connection.budget(self._identity.sign(BUDGET_REQUEST_KIND, body.body()))
        if reply.problems and not reply.statements:
            raise error_of(reply.problems[0])
        offering = {m.node for entry in self.catalogue().values() for m in entry.table.members}
        return read_budgets(reply, nonce, self.identities(), offering)

    # What queries need

    @cached_property
    def result_key(self) -> ResultKey:
        """The key that opens results; made at first use."""
        directory = self._profile / RESULT_KEY
        return ResultKey.load(directory) if directory.exists() else ResultKey.generate(directory)

    @property
    def defaults(self) -> ResearcherConfig:
        """What the profile states where a query does not."""
        return self._config

    def limits(self, members: Iterable[Member]) -> Limits:
        """Return what all providers of `members` allow one job; the widest where none is known."""
        return self._published().limits(members)

    def submit(self, planned: Plan, terms: Terms) -> str:
        """Sign and submit a job; return its id. From here on it runs without this session."""
        draft = draft_job(
            planned,
            terms,
            self.catalogue(),
            self.identities(),
            self._identity.public.fingerprint,
            self._coordinator.fingerprint,
            self.result_key,
            int(time.time()),
        )
        signed = sign_job(draft.spec, self._identity)
        # Written before it is sent: a job whose seed is lost could never be opened.
        self._notes.keep(draft.spec.job, signed, draft.seed, draft.tables)
        try:
            self._connection.submit(signed)
        except InputError as error:
            if error.code != "SB-3122":
                raise
            self._upload_contexts(draft.spec)
            self._connection.submit(signed)
        return draft.spec.job

    def wait(self, job: str, progress: Progress | None) -> JobView:
        """Return the job's last state, telling `progress` each one; raises Unavailable SB-5101 for a
        coordinator that stays away."""
        return self._connection.wait(job, progress)

    @property
    def _coordinator(self) -> PublicIdentity:
        identity = self._trust.identities().get(self._config.coordinator_fingerprint)
        if identity is None:
            raise InputError("SB-3113", fingerprint=self._config.coordinator_fingerprint)
        return identity

    def _upload_contexts(self, spec: JobSpec) -> None:
        contexts = self.result_key.public_contexts(ring_named(spec.ring))
        self._connection.upload(spec.context, spec.ring, contexts)
