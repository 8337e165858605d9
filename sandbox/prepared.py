"""`sandbox join prepare`: two owners' keys are matched once, and statements to come use the matching.

The nodes keep which slot each key has; the researcher keeps which job prepared it. He alone, under the
name that he gave it, can ask over it (docs/decisions/017).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from sandbox.errors import InputError, Refusal
from sandbox.jobfolder import JobNote
from sandbox.jobs import JobSpec, MatchingName, Preparation, parse_spec
from sandbox.messages import text
from sandbox.privacy.allocate import MATCHING_DELTA, MATCHING_EPSILON
from sandbox.progress import notebook_progress
from sandbox.sql.algebra import Plan
from sandbox.sql.cost import cost
from sandbox.sql.explain import PARTIES, Explained
from sandbox.sql.joinexplained import explain_join
from sandbox.sql.matched import Pairs, columns_on
from sandbox.sql.noise import job_noise
from sandbox.sql.parse import nearest
from sandbox.sql.preparing import preparing_plan, preparing_statement, same_key
from sandbox.sql.runnable import require_protocol
from sandbox.sql.shapes import dummies_of
from sandbox.submission import Terms, noise_of
from sandbox.tables import Catalogue

if TYPE_CHECKING:
    from sandbox.client import Session
    from sandbox.jobview import Progress
    from sandbox.query import Number

DAY_S = 24 * 3600
DAYS = 30
MOST_DAYS = 366


class Standing(StrEnum):
    """What has become of a matching, as far as its researcher knows."""

    KEPT = "kept"
    REPLACED = "replaced"
    FORGOTTEN = "forgotten"
    PAST = "past"
    """The day until which it was to be kept has passed."""


@dataclass(frozen=True)
class PreparedJoin:
    """A matching that two nodes keep. `digest`: of the job that prepared it; `dummies`: keys that each
    node added; `standing`: what has become of it; `receipt`: None until the job's result was fetched."""

    spec: JobSpec
    digest: str
    dummies: int
    standing: Standing
    receipt: Path | None = None

    @classmethod
    def of(cls, note: JobNote, standing: Standing, receipt: Path | None = None) -> PreparedJoin:
        """Return the matching that a researcher's own job prepared."""
        spec = parse_spec(note.signed)
        noise = job_noise(note.plan(), spec.epsilon_value, spec.delta_value, {})
        assert spec.prepare is not None, "only preparations end so"
        if standing is Standing.KEPT and spec.prepare.until <= time.time():
            standing = Standing.PAST
        return cls(
            spec, note.signed.digest, dummies_of(noise, verify=spec.verify), standing, receipt
        )

    @property
    def name(self) -> str:
        """What its researcher calls it."""
        return self._said.name

    @property
    def job_id(self) -> str:
        """The id of the job that prepared it."""
        return self.spec.job

    @property
    def until(self) -> datetime:
        """When the nodes stop using it."""
        return datetime.fromtimestamp(self._said.until, UTC)

    @property
    def tables(self) -> list[str]:
        """The two tables."""
        return sorted(self.spec.tables)

    @property
    def _said(self) -> Preparation:
        assert self.spec.prepare is not None, "only preparations end so"
        return self.spec.prepare

    def require_serves(self, plan: Plan, tables: Mapping[str, str]) -> None:
        """Raise Refusal SB-1123..SB-1126 unless the nodes would take it for `plan`, as far as can be
        known without them; tables: the digest of each that the plan reads."""
        if self.standing is Standing.PAST:
            raise Refusal("SB-1123", name=self.name)
        if set(tables) != set(self.spec.tables):
            raise Refusal("SB-1124", name=self.name, table=plan.name, tables=", ".join(self.tables))
        if not same_key(plan, self.spec.statement):
            raise Refusal("SB-1125", name=self.name, statement=self.spec.statement)
        if dict(tables) != self.spec.tables:
            raise Refusal("SB-1126", name=self.name, tables=", ".join(self.tables))

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "tables": self.tables,
            "job": self.job_id,
            "until": self.until.isoformat(timespec="seconds"),
            "standing": self.standing.value,
            "statement": self.spec.statement,
            "verify": self.spec.verify,
        }

    def __str__(self) -> str:
        return text(
            f"prepared.standing.{self.standing.value}",
            name=self.name,
            tables=", ".join(self.tables),
            until=f"{self.until:%Y-%m-%d}",
            receipt=self.receipt or "",
        )


@dataclass(frozen=True, repr=False)
class PreparingExplanation(Explained):
    """What can be known before a preparation. bytes: all that moves; seconds: expected time."""

    name: str
    tables: tuple[str, str]
    epsilon: Decimal
    delta: Decimal
    dummies: int
    bytes: int
    seconds: float
    trust: tuple[str, ...]

    def cost(self) -> str:
        """Return what it costs, in one line."""
        return text(
            "prepared.cost",
            name=self.name,
            tables=" ⋈ ".join(self.tables),
            epsilon=f"{self.epsilon:f}",
            delta=f"{self.delta:f}",
        )

    def who_learns_what(self) -> dict[str, str]:
        """Return a sentence for each kind of party."""
        return {party: text(f"prepared.learns.{party}", dummies=self.dummies) for party in PARTIES}

    def __str__(self) -> str:
        lines = [
            self.cost(),
            text("join.traffic", kib=f"{self.bytes / 1024:.0f}", seconds=f"{self.seconds:.1f}"),
        ]
        return "\n".join([*lines, *self.learned(), *self.trust])

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "tables": list(self.tables),
            "mode": "blind",
            "epsilon": f"{self.epsilon:f}",
            "delta": f"{self.delta:f}",
            "most_dummies": self.dummies,
            "bytes": self.bytes,
            "seconds": self.seconds,
            "who_learns_what": self.who_learns_what(),
            "trust": list(self.trust),
        }


class Preparing:
    """A preparation and its plan; nothing runs before `run`. See `Session.prepare`."""

    def __init__(
        self,
        session: Session,
        name: str,
        left: str,
        right: str,
        on: str | Mapping[str, str],
        *,
        epsilon: Number | None,
        delta: Number | None,
        days: int,
        verify: bool,
    ) -> None:
        self._session, self._verify = session, verify
        self._name, self._epsilon, self._delta = _name(name), epsilon, delta
        if not 1 <= days <= MOST_DAYS:
            raise InputError("SB-1128", most=MOST_DAYS)
        self._days = days
        pairs: Pairs = columns_on(on) if isinstance(on, str) else tuple(on.items())
        self.statement = preparing_statement(left, right, pairs)

    @cached_property
    def plan(self) -> Plan:
        """The plan; raises InputError or Refusal."""
        planned = preparing_plan(self.statement, self._session.tables())
        require_protocol(planned)
        return planned

    @cached_property
    def terms(self) -> Terms:
        """What it is asked under. Raises InputError SB-3130 where epsilon or delta is neither given nor
        follows from the profile: the parts of them that a single join would spend on its matching."""
        from sandbox.query import exact

        defaults, limits = self._session.defaults, self._session.limits(self.plan.members)
        epsilon = exact("epsilon", self._epsilon, None)
        if epsilon is None and defaults.epsilon is not None:
            epsilon = max(defaults.epsilon * MATCHING_EPSILON, limits.epsilon_min)
        delta = exact("delta", self._delta, None)
        if delta is None and defaults.delta is not None:
            delta = defaults.delta * MATCHING_DELTA
        if epsilon is None or delta is None:
            raise limits.unstated("epsilon" if epsilon is None else "delta", self.plan.name)
        return Terms(
            epsilon,
            delta,
            defaults.purpose,
            verify=self._verify,
            prepare=Preparation(name=self._name, until=int(time.time()) + self._days * DAY_S),
        )

    def explain(self) -> PreparingExplanation:
        """Say what it costs and who learns what; reads no rows."""
        plan, terms = self.plan, self.terms
        noise = noise_of(plan, terms)
        takes = cost(plan, noise, verify=terms.verify)
        joined = explain_join(plan, noise, verify=terms.verify)
        assert joined is not None, "a preparation matches two tables"
        left, right = (side.table.name for side in plan.sides)
        return PreparingExplanation(
            self._name,
            (left, right),
            terms.epsilon,
            terms.delta,
            noise.member_dummies,
            takes.bytes,
            takes.seconds,
            tuple(joined.trust()),
        )

    def run(self, *, progress: Progress | None = None) -> PreparedJoin:
        """Submit, wait, verify. Interrupted, the job goes on; see `Session.ended`."""
        with notebook_progress(progress) as tell:
            job = self._session.submit(self.plan, self.terms)
            last = self._session.wait(job, tell)
        ended = self._session.ended(job, last)
        assert isinstance(ended, PreparedJoin), "the job prepared a matching"
        return ended


class PreparedFolder:
    """A researcher's notes of which job prepared what he calls by a name."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, name: str, job: str) -> None:
        """Let a name stand for what a job prepared; what it stood for before is forgotten."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        (self._directory / name).write_text(job, encoding="ascii")

    def names(self) -> list[str]:
        """Return all names."""
        found = self._directory.iterdir() if self._directory.exists() else ()
        return sorted(file.name for file in found)

    def job(self, name: str) -> str:
        """Return the id of the job that a name stands for; raises InputError SB-1119, SB-1122."""
        names = self.names()
        if not names:
            raise InputError("SB-1119", name=name[:40])
        if name not in names:
            raise InputError("SB-1122", name=name[:40], nearest=nearest(name, names))
        return (self._directory / name).read_text(encoding="ascii")

    def standing(self, name: str, job: str) -> Standing:
        """Return what has become of what a job prepared under a name."""
        if name not in self.names():
            return Standing.FORGOTTEN
        return Standing.KEPT if self.job(name) == job else Standing.REPLACED

    def drop(self, name: str) -> None:
        """Let a name stand for nothing."""
        (self._directory / name).unlink(missing_ok=True)


def digests(plan: Plan, catalogue: Catalogue) -> dict[str, str]:
    """Return the digest under which the catalogue has each table of a plan."""
    names = {side.table.name for side in plan.sides}
    return {name: catalogue[name].digest for name in names}


def _name(written: str) -> str:
    try:
        return TypeAdapter(MatchingName).validate_python(written)
    except ValidationError:
        raise InputError("SB-1129", name=written[:40]) from None
