"""The smallest changes that would let a statement pass: each makes it pass, none is idle."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import ClassVar

import pytest

from sandbox.catalog import Column, ColumnType, DatasetCard, Member, Table
from sandbox.errors import InputError
from sandbox.grants import Asked, Grant, Planner, grants
from sandbox.privacy.policy import Policy, check
from sandbox.sql.matched import matched_plan, matched_statement
from sandbox.sql.plan import plan
from sandbox.sql.request import request
from tests.client.tables import MACHINES_TABLE, MEMBERS, NAMES, TABLES

WHO = "fs1-researcher"
OPEN = Policy(researchers=(WHO,))
COUNT = "SELECT COUNT(*) FROM machines"


def asked(epsilon: str | None = None) -> Asked:
    return Asked(WHO, "maintenance", None if epsilon is None else Decimal(epsilon), None)


def needed(statement: str, *policies: Policy, table: Table = MACHINES_TABLE) -> list[Grant]:
    by_member = dict(zip(MEMBERS, policies, strict=False))
    return grants(partial(plan, statement), {"machines": table}, by_member, NAMES, asked())


def test_what_passes_needs_no_grant() -> None:
    assert needed(COUNT, OPEN, OPEN, OPEN) == []


def test_each_provider_is_told_its_own_change() -> None:
    closed = replace(OPEN, researchers=())
    wrong_purpose = replace(OPEN, purposes=("billing",))
    found = needed(COUNT, OPEN, closed, wrong_purpose)
    assert [(g.provider, g.document, g.rule) for g in found] == [
        ("b", "policy", "researchers"),
        ("c", "policy", "purposes"),
    ]


def test_purpose_that_is_empty_is_seen_in_the_list() -> None:
    policy = replace(OPEN, purposes=("maintenance",))
    nothing = Asked(WHO, "", None, None)
    (found,) = grants(partial(plan, COUNT), TABLES, {MEMBERS[0]: policy}, NAMES, nothing)
    assert (found.before, found.after) == ('["maintenance"]', '["maintenance", ""]')


def test_following_the_policy_grants_makes_it_pass() -> None:
    policy = Policy(operations=("sum",), allowed_columns=("torque_nm",))
    found = needed("SELECT AVG(torque_nm) FROM machines", policy)
    assert {g.rule for g in found} == {"researchers", "operations"}
    followed = replace(policy, researchers=(WHO,), operations=("sum", "avg"))
    planned = plan("SELECT AVG(torque_nm) FROM machines", TABLES)
    now = datetime.now(UTC)
    card = MACHINES_TABLE.card
    check(
        followed,
        request(planned, planned.members[0], card, WHO, "", Decimal(1), Decimal(0), now),
        "a",
    )


def test_a_missing_bound_is_a_change_of_the_card_at_every_provider() -> None:
    columns = tuple(
        replace(c, lower=None, upper=None) if c.name == "torque_nm" else c
        for c in MACHINES_TABLE.card.columns
    )
    bare = replace(MACHINES_TABLE, card=replace(MACHINES_TABLE.card, columns=columns))
    found = needed("SELECT SUM(torque_nm) FROM machines", OPEN, OPEN, OPEN, table=bare)
    assert [(g.provider, g.document, g.rule) for g in found] == [
        (name, "card", "columns.torque_nm.lower, upper") for name in "abc"
    ]


def test_a_missing_domain_is_a_change_of_the_card() -> None:
    columns = tuple(
        replace(c, domain=()) if c.name == "product_type" else c
        for c in MACHINES_TABLE.card.columns
    )
    bare = replace(MACHINES_TABLE, card=replace(MACHINES_TABLE.card, columns=columns))
    statement = "SELECT product_type, COUNT(*) FROM machines GROUP BY product_type"
    found = needed(statement, OPEN, table=bare)
    assert {g.rule for g in found} == {"columns.product_type.domain"}


def test_an_unknown_column_is_no_grant_but_an_error() -> None:
    with pytest.raises(InputError, match="SB-1005"):
        needed("SELECT SUM(torq) FROM machines", OPEN)


def test_a_stated_epsilon_is_held_against_the_policy() -> None:
    found = grants(partial(plan, COUNT), TABLES, {MEMBERS[0]: OPEN}, NAMES, asked("5"))
    assert [(g.rule, g.after) for g in found] == [("job.epsilon_max", "5")]


class Plants:
    """Two plants that match the serial numbers of their machines, or do not yet."""

    NAMES: ClassVar = {"fs1-a": "a", "fs1-b": "b"}
    STATEMENT = matched_statement("a.made", "b.failed", [("serial", "unit")])
    JOINED = "SELECT COUNT(*) FROM a.made JOIN b.failed ON made.serial = failed.unit"
    READY = replace(OPEN, join_modes=("psi",))

    @staticmethod
    def table(node: str, name: str, column: str, *, join_key: bool = True) -> Table:
        columns = (Column(column, ColumnType.TEXT, join_key=join_key),)
        card = DatasetCard(name=name, columns=columns, privacy_unit=column, row_bound=10)
        return Table(f"{node}.{name}", card, (Member(f"fs1-{node}", name),))

    @classmethod
    def needed(
        cls,
        receiver: Policy,
        sender: Policy,
        *,
        join_key: bool = True,
        malicious: bool = False,
        verify: bool = False,
        planner: Planner = partial(matched_plan, STATEMENT),  # noqa: B008 - frozen
    ) -> list[Grant]:
        tables = [
            cls.table("a", "made", "serial"),
            cls.table("b", "failed", "unit", join_key=join_key),
        ]
        policies = {
            table.members[0]: policy
            for table, policy in zip(tables, (receiver, sender), strict=True)
        }
        known = {table.name: table for table in tables}
        who = Asked(WHO, "", Decimal(0), Decimal(0), malicious, verify)
        return grants(planner, known, policies, cls.NAMES, who)


def test_join_of_ids_needs_its_mode_at_both_and_its_receiver_at_the_sender() -> None:
    found = Plants.needed(OPEN, OPEN)
    assert [(g.provider, g.rule, g.after) for g in found] == [
        ("a", "join_modes", '["psi"]'),
        ("b", "join_modes", '["psi"]'),
        ("b", "disclose_ids_to", '["fs1-a"]'),
    ]


def test_join_of_ids_that_passes_needs_no_grant() -> None:
    for told in ("fs1-a", "a"):
        willing = replace(Plants.READY, disclose_ids_to=(told,))
        assert Plants.needed(Plants.READY, willing) == []
        strict = replace(willing, require_malicious=True)
        assert [g.rule for g in Plants.needed(Plants.READY, strict)] == ["require_malicious"]
        assert Plants.needed(Plants.READY, strict, malicious=True) == []


def test_owner_who_wants_the_coordinator_checked_need_not_give_in_to_who_checks_it() -> None:
    strict = replace(OPEN, join_modes=("blind",), require_verify=True)
    joined = partial(plan, Plants.JOINED)
    rules = {
        verify: {g.rule for g in Plants.needed(strict, strict, verify=verify, planner=joined)}
        for verify in (False, True)
    }
    assert rules[False] - rules[True] == {"require_verify"}


def test_key_that_is_not_declared_is_a_change_of_its_own_providers_card() -> None:
    willing = replace(Plants.READY, disclose_ids_to=("a",))
    found = Plants.needed(Plants.READY, willing, join_key=False)
    assert [(g.provider, g.document, g.rule) for g in found] == [
        ("b", "card", "columns.unit.join_key")
    ]
