"""A study: many statements planned at once, epsilon split among them, nothing spent.

A study file is SQL, statements ending with ";". A comment line "-- error: 2%" inside a statement's
text states the error wanted of it (see targets.py); statements without one share what is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot.errors import SqlglotError

from sandbox.errors import InputError, Refusal
from sandbox.messages import text
from sandbox.privacy.allocate import split_study
from sandbox.query import Wishes
from sandbox.sql.algebra import Plan
from sandbox.sql.explain import Explanation, explain
from sandbox.sql.noise import job_noise
from sandbox.targets import release_of, wanted_errors

if TYPE_CHECKING:
    from sandbox.client import Session

_ERROR_LINE = re.compile(
    r"^[^\S\n]*--[^\S\n]*error:[^\S\n]*(.+?)[^\S\n]*$", re.MULTILINE | re.IGNORECASE
)


@dataclass(frozen=True)
class Statement:
    """One statement of a study; `error`: the error wanted, as written, or None. `line`: where it
    begins in the study, from 1."""

    sql: str
    error: str | None
    line: int


@dataclass(frozen=True)
class Left:
    """What one provider's budget would at least allow after the study."""

    provider: str
    dataset: str
    before: Decimal
    after: Decimal
    renews: str


@dataclass(frozen=True)
class StudyPlan:
    """A study's statements with the epsilon each gets. Nothing has been spent."""

    explanations: tuple[Explanation, ...]
    epsilon: Decimal
    left: tuple[Left, ...]
    unanswered: tuple[str, ...] = ()
    """Providers that did not say what is left."""

    @property
    def needed(self) -> Decimal:
        """Epsilon of all statements together."""
        return sum((each.epsilon for each in self.explanations), Decimal(0))

    def __str__(self) -> str:
        lines = [
            text("study.title", statements=len(self.explanations), epsilon=self.epsilon),
        ]
        for number, each in enumerate(self.explanations, start=1):
            statement = " ".join(each.statement.split())
            lines.append(text("study.statement", n=number, epsilon=each.epsilon, sql=statement))
            lines += [f"   {line}" for line in each.errors()]
        if rest := self.epsilon - self.needed:
            lines.append(text("study.remains", epsilon=f"{rest.normalize():f}"))
        for one in self.left:
            lines.append(text("study.left", **vars(one)))
            if one.before < self.needed:
                lines.append(text("study.short"))
        lines += [text("study.unanswered", provider=name) for name in self.unanswered]
        return "\n".join(lines)

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "epsilon": str(self.epsilon),
            "needed": str(self.needed),
            "remaining": str(self.epsilon - self.needed),
            "statements": [each.to_document() for each in self.explanations],
            "budgets": [
                {**vars(one), "before": str(one.before), "after": str(one.after)}
                for one in self.left
            ],
            "unanswered": list(self.unanswered),
        }


def read_study(written: str) -> list[Statement]:
    """Return the statements of a study file; raises InputError SB-3134 if there are none."""
    try:
        tokens = sqlglot.tokenize(written, dialect="duckdb")
    except SqlglotError:
        raise InputError("SB-3134") from None
    ends = [token.start for token in tokens if token.token_type is sqlglot.TokenType.SEMICOLON]
    statements, start = [], 0
    for end in [*ends, len(written)]:
        sql, before = written[start:end], written[:start]
        start = end + 1
        if any(line.strip() and not line.strip().startswith("--") for line in sql.splitlines()):
            error = _ERROR_LINE.search(sql)
            plain = _ERROR_LINE.sub("", sql)
            blank = plain[: len(plain) - len(plain.lstrip())]
            line = 1 + (before + blank).count("\n")
            statements.append(Statement(plain.strip(), error and error[1], line))
    if not statements:
        raise InputError("SB-3134")
    return statements


class Study:
    """The statements of a study at one coordinator; use `Session.study`."""

    def __init__(self, session: Session, statements: Sequence[Statement]) -> None:
        self._session = session
        self.statements = tuple(statements)

    def explain(
        self,
        epsilon: Decimal | float | str | None = None,
        delta: Decimal | float | str | None = None,
        collusion: int = 1,
    ) -> StudyPlan:
        """Split epsilon over the statements; reads no rows and spends nothing."""
        queries = [self._session.sql(statement.sql) for statement in self.statements]
        for query, statement in zip(queries, self.statements, strict=True):
            with _placed_from(statement.line):
                _ = query.plan
        terms = queries[0].terms(Wishes(epsilon=epsilon, delta=delta, collusion=collusion))
        limits = [self._session.limits(query.plan.members) for query in queries]
        planned = plan_study(
            [(q.plan, s.error) for q, s in zip(queries, self.statements, strict=True)],
            terms.epsilon,
            terms.delta,
            max(limit.epsilon_min for limit in limits),
            collusion,
        )
        names = self._session.identities()
        members = {member for query in queries for member in query.plan.members}
        asked = {(names[member.node].name, member.dataset) for member in members}
        found = self._session.budget()
        return replace(
            planned,
            left=tuple(
                Left(
                    line["node"],
                    line["dataset"],
                    Decimal(line["epsilon_remaining"]),
                    max(Decimal(line["epsilon_remaining"]) - terms.epsilon, Decimal(0)),
                    line["renews"],
                )
                for line in found
                if (line["node"], line["dataset"]) in asked
            ),
            unanswered=tuple(sorted({node for node, _ in asked} & found.unanswered.keys())),
        )


@contextmanager
def _placed_from(line: int) -> Iterator[None]:
    """Let an error tell its line in the study, not in its statement."""
    try:
        yield
    except (InputError, Refusal) as error:
        if "line" in error.facts:
            error.facts["line"] = int(error.facts["line"]) + line - 1
        raise


def plan_study(
    statements: Sequence[tuple[Plan, str | None]],
    epsilon: Decimal,
    delta: Decimal,
    least: Decimal,
    collusion: int,
    left: Sequence[Left] = (),
) -> StudyPlan:
    """Split `epsilon` over planned statements with their wanted errors; reads no rows.

    `least`: what one statement must at least ask for. Raises Refusal SB-2213, SB-2215 where the
    wanted errors need more than `epsilon`.
    """
    none: Mapping[str, Fraction] = {}
    releases = [release_of(plan, delta, none, collusion) for plan, _ in statements]
    wanted = [
        wanted_errors(plan, error, none) if error else [None] * len(release.workload.targets)
        for (plan, error), release in zip(statements, releases, strict=True)
    ]
    parts = split_study(releases, wanted, epsilon, least)
    explanations = tuple(
        explain(plan, job_noise(plan, part, delta, none), collusion)
        for (plan, _), part in zip(statements, parts, strict=True)
    )
    return StudyPlan(explanations, epsilon, tuple(left))
