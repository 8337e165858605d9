"""A statement as its researcher sees it: planned for free, explained, then run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cached_property
from html import escape
from textwrap import shorten
from typing import TYPE_CHECKING, TypedDict, Unpack

from sandbox.errors import InputError, Refusal
from sandbox.jobs import Missing, Prepared
from sandbox.prepared import digests
from sandbox.privacy.allocate import solve_epsilon
from sandbox.progress import notebook_progress
from sandbox.sql.algebra import JoinMode, Plan
from sandbox.sql.joinexplained import KeptMatching
from sandbox.sql.parse import nearest
from sandbox.sql.plan import plan
from sandbox.sql.preparing import require_two_members
from sandbox.sql.runnable import require_protocol, require_verifiable
from sandbox.submission import Terms, noise_of
from sandbox.targets import Pilot, release_of, typical_sizes, wanted_errors

if TYPE_CHECKING:
    from sandbox.client import Session
    from sandbox.jobview import Progress
    from sandbox.result import Result
    from sandbox.sql.explain import Explanation

Number = Decimal | float | str

SHOWN = 80
"""Characters of a statement that name its query."""
PILOT_SHARE = 20
"""A pilot costs this part of the largest epsilon that the providers allow a job."""


@dataclass(frozen=True)
class Wishes:
    """What a researcher asks beside the statement.

    epsilon, delta: exact; the profile's if None. error: the error wanted instead of an epsilon (see
    targets.py). magnitudes: typical sizes of outputs by name. on_missing: "fail", "wait" or
    "present", with minimum_members providers at least. collusion: h, how many providers may collude
    with the researcher. malicious: a PSI holds against providers that depart from it. verify: the
    members of a blind join check what the coordinator does. prepared: the name of the matching that a
    join is over (see `Session.prepare`).
    """

    epsilon: Number | None = None
    delta: Number | None = None
    error: str | None = None
    purpose: str | None = None
    on_missing: str = "fail"
    minimum_members: int | None = None
    collusion: int = 1
    magnitudes: Mapping[str, Number] = field(default_factory=dict)
    malicious: bool = False
    verify: bool = False
    prepared: str | None = None


class Stated(TypedDict, total=False):
    """What `explain` and `run` take by name, as Wishes describes it."""

    purpose: str | None
    on_missing: str
    minimum_members: int | None
    collusion: int
    magnitudes: Mapping[str, Number]
    malicious: bool
    verify: bool
    prepared: str | None


class Query:
    """A statement and its plan. Planning reads the catalogue only; nothing is spent before `run`."""

    def __init__(self, session: Session, statement: str) -> None:
        self._session = session
        self.statement = statement

    @cached_property
    def plan(self) -> Plan:
        """The plan; raises InputError or Refusal with the position in the text."""
        planned = plan(self.statement, self._session.tables())
        require_protocol(planned)
        return planned

    def explain(
        self,
        epsilon: Number | None = None,
        delta: Number | None = None,
        error: str | None = None,
        **stated: Unpack[Stated],
    ) -> Explanation:
        """Say what it costs, how precise it will be, and who learns what; reads no rows."""
        return self.explained(Wishes(epsilon, delta, error, **stated))

    def explained(self, wishes: Wishes, pilot: Pilot | None = None) -> Explanation:
        """Return the explanation under `wishes`, planned from what a pilot showed."""
        from sandbox.sql.explain import explain

        terms = self.terms(wishes, pilot)
        return explain(
            self.plan,
            noise_of(self.plan, terms),
            terms.collusion,
            terms.missing,
            malicious=terms.malicious,
            verify=terms.verify,
            kept=self._kept(terms),
        )

    def _kept(self, terms: Terms) -> KeptMatching | None:
        if terms.prepared is None:
            return None
        found = self._session.matching(terms.prepared.name)
        return KeptMatching(found.name, found.dummies)

    def run(
        self,
        epsilon: Number | None = None,
        delta: Number | None = None,
        error: str | None = None,
        *,
        pilot: bool = False,
        progress: Progress | None = None,
        **stated: Unpack[Stated],
    ) -> Result:
        """Spend: submit, wait, open. Interrupted, the job goes on; see `Session.result`.

        pilot: first pay for a small release, and plan the wanted error from what it shows. Raises
        InputError SB-3130 where epsilon or delta is neither given nor in the profile, naming the
        range that the providers allow.
        """
        wishes = Wishes(epsilon, delta, error, **stated)
        with notebook_progress(progress) as tell:
            seen = self.pilot(wishes, tell) if pilot else None
            return self.answered(wishes, seen, tell)

    def answered(
        self, wishes: Wishes, pilot: Pilot | None = None, progress: Progress | None = None
    ) -> Result:
        """Return the result of a run under `wishes`, planned from what a pilot showed."""
        return self._spend(self.terms(wishes, pilot), progress)

    def pilot(self, wishes: Wishes, progress: Progress | None = None) -> Pilot:
        """Pay for a small release; return what it showed. Raises InputError SB-3136."""
        if not wishes.error:
            raise InputError("SB-3136")
        first = self._spend(self.terms(self.pilot_wishes(wishes)), progress)
        outputs = [i for i, output in enumerate(self.plan.outputs) if output.formula is not None]
        columns = [
            [estimate.value for row in first.answer.rows if (estimate := row.estimates[i])]
            for i in outputs
        ]
        names = [self.plan.outputs[i].name for i in outputs]
        return Pilot(first.noised, typical_sizes(names, columns))

    def pilot_wishes(self, wishes: Wishes) -> Wishes:
        """Return the wishes of a pilot: no error, and a small epsilon."""
        limits = self._session.limits(self.plan.members)
        epsilon = max(limits.epsilon_min, limits.epsilon_max / PILOT_SHARE)
        return replace(wishes, epsilon=epsilon, error=None)

    def _spend(self, terms: Terms, progress: Progress | None) -> Result:
        job = self._session.submit(self.plan, terms)
        return self._session.result(job, self._session.wait(job, progress))

    def terms(self, wishes: Wishes, pilot: Pilot | None = None) -> Terms:
        """Return complete terms.

        Raises InputError SB-1092, SB-1096, SB-1351, SB-3130, SB-3132, SB-3135; Refusal SB-1105,
        SB-2213.
        """
        defaults = self._session.defaults
        collusion = max(wishes.collusion, self._session.limits(self.plan.members).collusion)
        wishes = replace(wishes, collusion=collusion)
        magnitudes = {name: _magnitude(name, size) for name, size in wishes.magnitudes.items()}
        known = [output.name for output in self.plan.outputs if output.formula is not None]
        for name in magnitudes:
            if name not in known:
                raise InputError("SB-3132", output=name, nearest=nearest(name, known))
        if pilot is not None:
            magnitudes = {**pilot.magnitudes, **magnitudes}
        delta = exact("delta", wishes.delta, defaults.delta)
        epsilon = exact("epsilon", wishes.epsilon, None if wishes.error else defaults.epsilon)
        if wishes.error and epsilon is not None:
            raise InputError("SB-3135")
        if delta is None or (epsilon is None and not wishes.error):
            limits = self._session.limits(self.plan.members)
            raise limits.unstated("delta" if delta is None else "epsilon", self.plan.name)
        if epsilon is None:
            epsilon = self._solved(wishes, delta, magnitudes, pilot)
        return Terms(
            epsilon=epsilon,
            delta=delta,
            purpose=defaults.purpose if wishes.purpose is None else wishes.purpose,
            magnitudes=magnitudes,
            missing=_missing(wishes.on_missing),
            minimum_members=wishes.minimum_members,
            collusion=wishes.collusion,
            malicious=self._malicious(wishes),
            verify=self._verify(wishes),
            prepared=self._prepared(wishes),
        )

    def _prepared(self, wishes: Wishes) -> Prepared | None:
        """Return the matching that is wished for; raises InputError SB-1121, SB-1122, Refusal
        SB-1106, SB-1123..SB-1126 where it does not serve."""
        if wishes.prepared is None:
            return None
        found = self._session.matching(wishes.prepared)
        require_two_members(self.plan)
        found.require_serves(self.plan, digests(self.plan, self._session.catalogue()))
        if wishes.verify and not found.spec.verify:
            raise Refusal("SB-1106", name=found.name)
        return Prepared(name=found.name, job=found.digest)

    def _malicious(self, wishes: Wishes) -> bool:
        """Return whether a PSI holds against all; raises InputError SB-1092 where there is none."""
        if wishes.malicious and self.plan.mode is not JoinMode.PSI:
            raise InputError("SB-1092", table=self.plan.name)
        return wishes.malicious

    def _verify(self, wishes: Wishes) -> bool:
        """Return whether the coordinator is checked; raises as `require_verifiable`."""
        if wishes.verify:
            require_verifiable(self.plan)
        return wishes.verify

    def _solved(
        self,
        wishes: Wishes,
        delta: Decimal,
        magnitudes: Mapping[str, Fraction],
        pilot: Pilot | None,
    ) -> Decimal:
        limits = self._session.limits(self.plan.members)
        wanted = wanted_errors(self.plan, wishes.error or "", magnitudes)
        release = release_of(
            self.plan,
            delta,
            magnitudes,
            wishes.collusion,
            pilot,
            prepared=wishes.prepared is not None,
        )
        found = solve_epsilon(release, wanted, limits.epsilon_min, limits.epsilon_max)
        return Decimal(f"{found.normalize():f}")

    def __repr__(self) -> str:
        return f"Query({shorten(self.statement, SHOWN, placeholder='…')!r})"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.statement)}</pre>"


def _magnitude(name: str, size: Number) -> Fraction:
    try:
        magnitude = Fraction(str(size))
    except (ValueError, ZeroDivisionError):
        magnitude = Fraction(0)
    if magnitude <= 0:
        raise InputError("SB-3138", output=name)
    return magnitude


def _missing(written: str) -> Missing:
    try:
        return Missing(written)
    except ValueError:
        known = ", ".join(Missing)
        raise InputError("SB-3137", written=written[:40], known=known) from None


def exact(name: str, given: Number | None, default: Decimal | None) -> Decimal | None:
    """Return a number as it is written, `default` if none is given; raises InputError SB-1351."""
    if given is None:
        return default
    try:
        number = Decimal(str(given))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise InputError("SB-1351", option=name, written=str(given)[:40])
    return number
