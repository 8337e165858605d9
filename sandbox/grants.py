"""What each provider would have to change for a statement to pass: the smallest changes, by name.

Card changes come first, since without a declared bound or domain there is no plan to hold against
a policy; they are found by planning again as if each missing declaration were there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from sandbox.catalog import Column, ColumnType, Member, Table
from sandbox.errors import Refusal
from sandbox.messages import text
from sandbox.privacy.policy import Change, Policy, smallest_change
from sandbox.sql.algebra import Plan, Side
from sandbox.sql.request import request

NO_BOUNDS, NO_DOMAIN, NO_KEY = "SB-1051", "SB-1052", "SB-1060"
_ASSUMED_DOMAIN: dict[ColumnType, tuple[str | int | bool, ...]] = {
    ColumnType.TEXT: ("",),
    ColumnType.INTEGER: (0,),
}


@dataclass(frozen=True)
class Grant:
    """One change at one provider. `document`: "card" or "policy"; `rule`: the key in that file."""

    provider: str
    dataset: str
    document: str
    rule: str
    before: str
    after: str

    def __str__(self) -> str:
        return text(
            f"grants.{self.document}",
            provider=self.provider,
            dataset=self.dataset,
            rule=self.rule,
            before=self.before,
            after=self.after,
        )

    def to_document(self) -> dict[str, str]:
        """Return it as JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Asked:
    """Who asks, and what for. epsilon, delta: None where nothing is stated yet."""

    researcher: str
    purpose: str
    epsilon: Decimal | None
    delta: Decimal | None
    malicious: bool = False
    verify: bool = False


Planner = Callable[[Mapping[str, Table]], Plan]
"""Plans one statement over a catalogue."""


def grants(
    planner: Planner,
    tables: Mapping[str, Table],
    policies: Mapping[Member, Policy],
    names: Mapping[str, str],
    asked: Asked,
) -> list[Grant]:
    """Return every change that is needed; empty if the statement would pass.

    `names`: providers by fingerprint. Raises what planning raises for anything but a missing bound,
    domain or key.
    """
    planned, missing = _plan_as_if_declared(planner, tables)
    sides = {side.table.name: side.table for side in _sides(planned)}
    found = [
        _grant(names, member, "card", change)
        for table, change in missing
        if table in sides
        for member in sides[table].members
    ]
    for member in planned.members:
        policy = policies.get(member)
        if policy is not None:
            changes = _policy_changes(planned, member, policy, names, asked)
            found += [_grant(names, member, "policy", change) for change in changes]
    return found


def _grant(names: Mapping[str, str], member: Member, document: str, change: Change) -> Grant:
    name = names[member.node]
    return Grant(name, member.dataset, document, change.rule, change.before, change.after)


def _sides(planned: Plan) -> tuple[Side, ...]:
    return planned.sides if planned.semi is None else (*planned.sides, planned.semi)


def _policy_changes(
    planned: Plan, member: Member, policy: Policy, names: Mapping[str, str], asked: Asked
) -> list[Change]:
    epsilon = policy.epsilon_max if asked.epsilon is None else asked.epsilon
    delta = policy.delta_max if asked.delta is None else asked.delta
    card = next(side.table.card for side in _sides(planned) if member in side.table.members)
    receiver = planned.table.members[0].node
    return smallest_change(
        policy,
        request(
            planned,
            member,
            card,
            asked.researcher,
            asked.purpose,
            epsilon,
            delta,
            datetime.now(UTC),
            malicious=asked.malicious,
            verify=asked.verify,
            receiver=(receiver, names[receiver]),
        ),
    )


def _plan_as_if_declared(
    planner: Planner, tables: Mapping[str, Table]
) -> tuple[Plan, list[tuple[str, Change]]]:
    """Return the plan over cards completed as it needs, and what of which table was completed."""
    known = dict(tables)
    changes: list[tuple[str, Change]] = []
    while True:
        try:
            return planner(known), changes
        except Refusal as refusal:
            completed = list(_completions(refusal, known))
            if not completed:
                raise
            changes += [(table.name, change) for table, change in completed]
            known.update((table.name, table) for table, _ in completed)


def _completions(refusal: Refusal, tables: Mapping[str, Table]) -> Iterator[tuple[Table, Change]]:
    """Yield each table that has the column a refusal names, with the declaration it lacks."""
    wanted = str(refusal.facts.get("expression" if refusal.code == NO_DOMAIN else "name", ""))
    only = refusal.facts.get("table")
    for name, table in tables.items():
        for column in table.card.columns:
            if column.name.lower() != wanted.strip('"').lower() or only not in (None, name):
                continue
            declared, change = _declared(refusal.code, column)
            if declared is not None and declared != column:
                columns = tuple(declared if c is column else c for c in table.card.columns)
                yield replace(table, card=replace(table.card, columns=columns)), change


def _declared(code: str, column: Column) -> tuple[Column | None, Change]:
    none, some = text("grants.undeclared"), text("grants.declared")
    if code == NO_BOUNDS:
        bounded = replace(column, lower=Decimal(0), upper=Decimal(1))
        return bounded, Change(f"columns.{column.name}.lower, upper", none, some)
    if code == NO_KEY:
        return replace(column, join_key=True), Change(f"columns.{column.name}.join_key", none, some)
    change = Change(f"columns.{column.name}.domain", none, some)
    domain = _ASSUMED_DOMAIN.get(column.type) if code == NO_DOMAIN else None
    return None if domain is None else replace(column, domain=domain), change
