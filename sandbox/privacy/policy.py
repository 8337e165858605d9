"""A provider's policy: who may ask what of his data, at what cost, and who must approve.

Every rule is a function of (policy, request) that finds nothing or one `Violation`; the same rules
refuse a job (`check`) and tell a researcher what would let it pass (`smallest_change`). Budgets are
only stated here; budget.py enforces them. The minimum group size is a display rule: it hides small
noised groups from the researcher's table, the noise is what protects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum

from sandbox.catalog import Grade
from sandbox.errors import Fact, Refusal
from sandbox.privacy.budget import BudgetLimits

ANY = "*"
"""In a list of a policy: no restriction."""


class Approval(Enum):
    """How a job that keeps every rule is approved."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"
    LISTED = "listed"
    """Statements on the policy's list pass, others wait for the owner."""


class Decision(Enum):
    """What a policy says to a job that breaks no rule."""

    ALLOW = "allow"
    NEEDS_APPROVAL = "needs_approval"


class OperationClass(Enum):
    """Operations by what they tell: how many, how much, in which order."""

    COUNTING = "counting"
    MOMENTS = "moments"
    ORDER = "order"


CLASS_OF = {
    "count": OperationClass.COUNTING,
    "count_distinct": OperationClass.COUNTING,
    "histogram": OperationClass.COUNTING,
    "sum": OperationClass.MOMENTS,
    "avg": OperationClass.MOMENTS,
    "var": OperationClass.MOMENTS,
    "stddev": OperationClass.MOMENTS,
    "covar": OperationClass.MOMENTS,
    "corr": OperationClass.MOMENTS,
    "quantile": OperationClass.ORDER,
}
"""The operations a policy can name."""


@dataclass(frozen=True)
class Approved:
    """A statement approved once for a person, until the end of a day (UTC)."""

    digest: str
    researcher: str
    until: date


JOIN_DELTA = Decimal("0.00000001")
"""Additive delta that joins may draw: a hundred joins at delta 0.000001, in all."""
_RESEARCHER_BUDGET = BudgetLimits(
    Decimal(8), Decimal("0.000001"), timedelta(days=90), Decimal(16), JOIN_DELTA
)
_DATASET_BUDGET = BudgetLimits(
    Decimal(16), Decimal("0.000001"), timedelta(days=90), Decimal(32), JOIN_DELTA
)


@dataclass(frozen=True)
class Policy:
    """A provider's rules. `version` is raised by every change.

    `researchers`: identity fingerprints, or "*"; empty: nobody. `disclose_ids_to`: nodes, by
    fingerprint or by the name under which the owner pinned them, that may learn which of their ids this
    dataset has. `require_malicious`: a PSI must hold against members that depart from it.
    `require_verify`: the members of a blind join must check what the coordinator does.
    `maximum_grades`: highest column grade by class of operation; `dataset_grade`: highest dataset
    grade. `expires`: last day (UTC).
    `collusion`: h, how many others may collude with the researcher; a job may raise it.
    """

    version: int = 1
    expires: date | None = None
    researchers: tuple[str, ...] = ()
    purposes: tuple[str, ...] = (ANY,)
    operations: tuple[str, ...] = tuple(CLASS_OF)
    join_modes: tuple[str, ...] = ()
    disclose_ids_to: tuple[str, ...] = ()
    require_malicious: bool = False
    require_verify: bool = False
    dataset_grade: Grade = Grade.L3
    maximum_grades: dict[OperationClass, Grade] = field(
        default_factory=lambda: dict.fromkeys(OperationClass, Grade.L3), hash=False
    )
    allowed_columns: tuple[str, ...] = (ANY,)
    denied_columns: tuple[str, ...] = ()
    minimum_group_size: int = 10
    maximum_cells: int = 10_000
    collusion: int = 1
    epsilon_min: Decimal = Decimal("0.01")
    epsilon_max: Decimal = Decimal(2)
    delta_max: Decimal = Decimal("0.000001")
    researcher_budget: BudgetLimits = _RESEARCHER_BUDGET
    dataset_budget: BudgetLimits = _DATASET_BUDGET
    approval: Approval = Approval.AUTOMATIC
    approved: tuple[Approved, ...] = ()


@dataclass(frozen=True)
class Request:
    """What a job asks of one provider's dataset, as his own node planned it."""

    researcher: str
    purpose: str
    operations: tuple[str, ...]
    columns: tuple[tuple[str, Grade], ...]
    epsilon: Decimal
    delta: Decimal
    dataset_grade: Grade
    cells: int
    statement_digest: str
    now: datetime
    join_mode: str | None = None
    malicious: bool = False
    verify: bool = False
    disclosure: bool = False
    """Whether the job tells a node which of its ids match, and releases no number."""
    told: tuple[str, ...] = ()
    """Who then learns which of his ids this dataset has: a node's fingerprint, its name after it."""


@dataclass(frozen=True)
class Change:
    """One rule as it is and as it would have to be; `rule` is its key in the policy file."""

    rule: str
    before: str
    after: str


@dataclass(frozen=True)
class Violation:
    """A rule that says no: the error's code and facts, and the smallest change that says yes."""

    code: str
    change: Change
    facts: dict[str, Fact]


def default_policy() -> Policy:
    """Return the policy a new dataset has: nobody until its owner names researchers, no L4."""
    return Policy()


def check(policy: Policy, request: Request, owner: str) -> Decision:
    """Return what the policy says to a request; `owner` names whose rules they are.

    Raises Refusal SB-2010..SB-2021, SB-2250, SB-2251, SB-2253 for the first rule broken.
    """
    for violation in violations(policy, request):
        change = violation.change
        facts = {"owner": owner, "rule": change.rule, "passes": change.after}
        raise Refusal(violation.code, **(facts | violation.facts))
    if policy.approval is Approval.AUTOMATIC:
        return Decision.ALLOW
    if policy.approval is Approval.LISTED and _is_listed(policy, request):
        return Decision.ALLOW
    return Decision.NEEDS_APPROVAL


def smallest_change(policy: Policy, request: Request) -> list[Change]:
    """Return the fewest rule changes that would let the request pass; empty if it passes."""
    return [violation.change for violation in violations(policy, request)]


def violations(policy: Policy, request: Request) -> Iterator[Violation]:
    """Yield every rule that a request breaks."""
    for rule in _RULES:
        violation = rule(policy, request)
        if violation is not None:
            yield violation


def _is_listed(policy: Policy, request: Request) -> bool:
    today = request.now.astimezone(UTC).date()
    return any(
        entry.digest == request.statement_digest
        and entry.researcher == request.researcher
        and today <= entry.until
        for entry in policy.approved
    )


def _in_force(policy: Policy, request: Request) -> Violation | None:
    today = request.now.astimezone(UTC).date()
    if policy.expires is None or today <= policy.expires:
        return None
    change = Change("expires", str(policy.expires), f">= {today}")
    return Violation("SB-2010", change, {"expires": str(policy.expires)})


def _researcher(policy: Policy, request: Request) -> Violation | None:
    return _member(
        "SB-2011", "researchers", policy.researchers, (request.researcher,), "researcher"
    )


def _purpose(policy: Policy, request: Request) -> Violation | None:
    return _member("SB-2012", "purposes", policy.purposes, (request.purpose,), "purpose")


def _operation(policy: Policy, request: Request) -> Violation | None:
    return _member("SB-2013", "operations", policy.operations, request.operations, "operation")


def _join_mode(policy: Policy, request: Request) -> Violation | None:
    if request.join_mode is None:
        return None
    return _member("SB-2017", "join_modes", policy.join_modes, (request.join_mode,), "join_mode")


def _disclosure(policy: Policy, request: Request) -> Violation | None:
    allowed = policy.disclose_ids_to
    if not request.told or not set(request.told).isdisjoint(allowed):
        return None
    change = Change("disclose_ids_to", _listed(allowed), _listed((*allowed, request.told[0])))
    return Violation("SB-2250", change, {"receiver": request.told[-1]})


def _malicious(policy: Policy, request: Request) -> Violation | None:
    if request.join_mode != "psi" or request.malicious or not policy.require_malicious:
        return None
    return Violation("SB-2251", Change("require_malicious", "true", "false"), {})


def _verify(policy: Policy, request: Request) -> Violation | None:
    if request.join_mode != "blind" or request.verify or not policy.require_verify:
        return None
    return Violation("SB-2253", Change("require_verify", "true", "false"), {})


def _dataset_grade(policy: Policy, request: Request) -> Violation | None:
    if request.dataset_grade.value <= policy.dataset_grade.value:
        return None
    change = Change("grades.dataset", policy.dataset_grade.name, request.dataset_grade.name)
    return Violation(
        "SB-2014", change, {"grade": request.dataset_grade.name, "limit": policy.dataset_grade.name}
    )


def _grade_for(kind: OperationClass) -> Callable[[Policy, Request], Violation | None]:
    """Return the rule for one class of operations.

    Filters and groups tell as much as the aggregate they feed, so every column of a request is held
    to every class it uses; an operation of no known class counts as all of them.
    """

    def column_grade(policy: Policy, request: Request) -> Violation | None:
        limit = policy.maximum_grades[kind]
        # An exact disclosure tells as much of its columns as all operations together.
        used = bool(request.told) or any(kind in _classes(o) for o in request.operations)
        if not used or not request.columns:
            return None
        column, grade = max(request.columns, key=lambda pair: pair[1].value)
        if grade.value <= limit.value:
            return None
        return Violation(
            "SB-2015",
            Change(f"grades.{kind.value}", limit.name, grade.name),
            {"column": column, "grade": grade.name, "limit": limit.name, "operations": kind.value},
        )

    return column_grade


def _denied_columns(policy: Policy, request: Request) -> Violation | None:
    denied = [name for name, _ in request.columns if name in policy.denied_columns]
    if not denied:
        return None
    kept = [name for name in policy.denied_columns if name not in denied]
    change = Change("columns.denied", _listed(policy.denied_columns), _listed(kept))
    return Violation("SB-2016", change, {"column": denied[0]})


def _allowed_columns(policy: Policy, request: Request) -> Violation | None:
    names = tuple(name for name, _ in request.columns)
    return _member("SB-2016", "columns.allowed", policy.allowed_columns, names, "column")


def _epsilon_most(policy: Policy, request: Request) -> Violation | None:
    asked, limit = request.epsilon, policy.epsilon_max
    return None if asked <= limit else _number("SB-2018", "job.epsilon_max", limit, asked)


def _epsilon_least(policy: Policy, request: Request) -> Violation | None:
    asked, limit = request.epsilon, policy.epsilon_min
    return (
        None
        if asked >= limit or request.disclosure
        else _number("SB-2019", "job.epsilon_min", limit, asked)
    )


def _delta(policy: Policy, request: Request) -> Violation | None:
    asked, limit = request.delta, policy.delta_max
    return None if asked <= limit else _number("SB-2020", "job.delta_max", limit, asked)


def _cells(policy: Policy, request: Request) -> Violation | None:
    asked, limit = request.cells, policy.maximum_cells
    return None if asked <= limit else _number("SB-2021", "maximum_cells", limit, asked)


_RULES: tuple[Callable[[Policy, Request], Violation | None], ...] = (
    _in_force,
    _researcher,
    _purpose,
    _operation,
    _dataset_grade,
    *(_grade_for(kind) for kind in OperationClass),
    _denied_columns,
    _allowed_columns,
    _join_mode,
    _disclosure,
    _malicious,
    _verify,
    _epsilon_most,
    _epsilon_least,
    _delta,
    _cells,
)


def _member(
    code: str, rule: str, allowed: tuple[str, ...], asked: tuple[str, ...], noun: str
) -> Violation | None:
    """Every name asked for must be in the list, unless the list holds "*"."""
    missing = [name for name in dict.fromkeys(asked) if name not in allowed]
    if ANY in allowed or not missing:
        return None
    change = Change(rule, _listed(allowed), _listed((*allowed, *missing)))
    return Violation(code, change, {noun: missing[0], "allowed": _listed(allowed)})


def _number(code: str, rule: str, limit: Decimal | int, asked: Decimal | int) -> Violation:
    change = Change(rule, str(limit), str(asked))
    return Violation(code, change, {"asked": str(asked), "limit": str(limit), "passes": str(limit)})


def _classes(operation: str) -> tuple[OperationClass, ...]:
    known = CLASS_OF.get(operation)
    return tuple(OperationClass) if known is None else (known,)


def _listed(names: tuple[str, ...] | list[str]) -> str:
    """Return names as a policy's TOML has them, so that a cure can be copied."""
    return json.dumps(list(names), ensure_ascii=False)
