"""Preparations: which statements they are of, what they cost; their keys are every statement's."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from sandbox.errors import SandboxError
from sandbox.privacy.accounting import rho_of
from sandbox.sql.algebra import Plan
from sandbox.sql.cost import cost
from sandbox.sql.explain import explain
from sandbox.sql.joinexplained import KeptMatching
from sandbox.sql.noise import job_noise
from sandbox.sql.perkey import keys_sql, per_key_sql
from sandbox.sql.plan import plan
from sandbox.sql.preparing import preparing_plan, preparing_statement, same_key
from tests.sql.test_join_sensitivity import crowded_catalogue, crowded_rows
from tests.sql.town import catalogue, database

EPSILON, DELTA = Decimal(1), Decimal("0.000001")
ON = "FROM c.visits v JOIN b.orders o ON v.person = o.person"
STATEMENTS = (
    f"SELECT COUNT(*) {ON}",
    f"SELECT SUM(o.amount), COUNT(*) {ON} WHERE o.paid AND v.ward = 'a'",
    f"SELECT o.kind, SUM(v.score) {ON} GROUP BY o.kind",
    "SELECT COUNT(*), SUM(v.score * o.amount) FROM b.orders o LEFT JOIN c.visits v "
    "ON o.person = v.person WHERE o.level = 2",
)


def preparing(left: str = "c.visits", right: str = "b.orders", on: str = "person") -> str:
    return preparing_statement(left, right, [(on, on)])


def keys_of(planned: Plan, name: str, seed: int) -> set[object]:
    """Return the keys whose rows count in one table: a preparation's, or a statement's."""
    town = database(crowded_rows(seed))
    (side,) = (side for side in planned.sides if side.table.name == name)
    sql = keys_sql(side, name) if planned.prepares else per_key_sql(planned, side, name)
    return {row[0] for row in town.connection.execute(sql).fetchall()}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("table", ["c.visits", "b.orders"])
def test_keys_that_count_are_the_same_for_a_preparation_and_for_every_statement(
    seed: int, table: str
) -> None:
    """Units have more rows than count here: which rows are left out must not hang on what is asked."""
    tables = crowded_catalogue()
    prepared = keys_of(preparing_plan(preparing(), tables), table, seed)
    for statement in STATEMENTS:
        assert keys_of(plan(statement, tables), table, seed) == prepared
    whole = database(crowded_rows(seed)).connection.execute(f"SELECT DISTINCT person FROM {table}")
    assert prepared <= {row[0] for row in whole.fetchall()}


def test_some_key_does_not_count_or_the_test_above_says_nothing() -> None:
    tables = crowded_catalogue()
    left_out = 0
    for seed in range(6):
        found = database(crowded_rows(seed)).connection.execute(
            "SELECT COUNT(DISTINCT person) FROM b.orders"
        )
        (count,) = found.fetchone() or (0,)
        left_out += count - len(keys_of(preparing_plan(preparing(), tables), "b.orders", seed))
    assert left_out > 0


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        (f"SELECT COUNT(*) {ON}", "SB-1120"),
        (preparing() + " WHERE l.ward = 'a'", "SB-1120"),
        (preparing().lower(), "SB-1120"),
        ("SELECT COUNT(*) FROM a.people", "SB-1120"),
        (preparing("visits"), "SB-1121"),
        (preparing(on="number"), "SB-1068"),
    ],
)
def test_only_the_statement_that_the_command_writes_is_a_preparation(
    statement: str, code: str
) -> None:
    with pytest.raises(SandboxError, match=code):
        preparing_plan(statement, catalogue())


def test_a_matching_serves_joins_of_its_tables_on_its_key_in_either_order() -> None:
    for statement in STATEMENTS:
        assert same_key(plan(statement, catalogue()), preparing())
    assert not same_key(plan(STATEMENTS[0], catalogue()), preparing("d.visits"))
    assert not same_key(plan("SELECT COUNT(*) FROM a.people", catalogue()), preparing())
    both = "FROM e.stock s JOIN f.sales t ON s.shop = t.shop AND s.week = t.week"
    wide = plan(f"SELECT COUNT(*) {both}", catalogue())
    on = [("shop", "shop"), ("week", "week")]
    assert same_key(wide, preparing_statement("e.stock", "f.sales", on))
    assert not same_key(wide, preparing_statement("e.stock", "f.sales", on[::-1]))
    assert not same_key(wide, preparing_statement("e.stock", "f.sales", on[:1]))


def test_the_pattern_is_charged_to_the_preparation_and_to_no_statement() -> None:
    made = job_noise(preparing_plan(preparing(), catalogue()), EPSILON, DELTA, {})
    assert made.charge.pure == (Fraction(EPSILON),)
    assert made.charge.extra_delta == Fraction(DELTA)
    assert made.scales == ()
    assert made.matching is not None
    planned = plan(STATEMENTS[1], catalogue())
    over = job_noise(planned, EPSILON, DELTA, {}, prepared=True)
    anew = job_noise(planned, EPSILON, DELTA, {})
    assert (over.charge.pure, over.charge.extra_delta) == ((), 0)
    assert over.charge.rho == rho_of(EPSILON, DELTA) > anew.charge.rho
    assert anew.matching is not None
    # What hides as much in a join of its own costs a twentieth of it, and a ten-thousandth.
    alike = job_noise(
        preparing_plan(preparing(), catalogue()), anew.matching.epsilon, anew.matching.delta, {}
    )
    assert alike.matching == anew.matching


def test_cost_of_a_statement_over_a_matching_is_less_and_moves_with_rows_and_dummies() -> None:
    planned = plan(STATEMENTS[1], catalogue())
    noise = job_noise(planned, EPSILON, DELTA, {}, prepared=True)
    kept = KeptMatching("mine", 100)
    over = cost(planned, noise, kept=kept)
    anew = cost(planned, job_noise(planned, EPSILON, DELTA, {}))
    assert over.bytes < anew.bytes
    assert over.seconds < anew.seconds
    assert cost(planned, noise, kept=replace(kept, dummies=200)).bytes > over.bytes
    tables = catalogue()
    name = "b.orders"
    card = replace(tables[name].card, row_bound=2 * tables[name].card.row_bound)
    twice = plan(STATEMENTS[1], {**tables, name: replace(tables[name], card=card)})
    assert cost(twice, noise, kept=kept).bytes > over.bytes
    made = preparing_plan(preparing(), catalogue())
    alone = cost(made, job_noise(made, EPSILON, DELTA, {}))
    assert 0 < alone.bytes < anew.bytes


def test_explain_says_what_the_coordinator_learns_of_it() -> None:
    planned = plan(STATEMENTS[0], catalogue())
    noise = job_noise(planned, EPSILON, DELTA, {}, prepared=True)
    told = explain(planned, noise, kept=KeptMatching("mine", 100))
    assert "'mine'" in told.who_learns_what()["coordinator"]
    assert told.to_document()["join"]["prepared"] == "mine"
    assert told.to_document()["join"]["most_dummies"] == 100
