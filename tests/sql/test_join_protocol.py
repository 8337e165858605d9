"""Statements over three to five tables, by the members' machines and the dealer's, equal DuckDB's."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from decimal import Decimal

import pytest

from sandbox.crypto.join.schedule import words
from sandbox.errors import Refusal
from sandbox.sql.algebra import Plan
from sandbox.sql.cost import cost
from sandbox.sql.noise import job_noise
from sandbox.sql.plan import plan
from sandbox.sql.runnable import require_protocol
from sandbox.sql.shapes import entries, products, shapes_of
from tests.sql.inprocess_joins import exact_answer, shared_answer
from tests.sql.joincomparison import assert_duckdbs
from tests.sql.joingenerator import JoinGenerator
from tests.sql.town import Town, catalogue, database, rows

STATEMENTS, BATCHES = 16, 8
MOST_REFUSED = 1


@pytest.fixture(scope="module")
def town() -> Town:
    return database(rows(seed=11, people=24))


def too_large(planned: Plan) -> bool:
    try:
        require_protocol(planned)
    except Refusal as refusal:
        return refusal.code in ("SB-1087", "SB-1100", "SB-1101")
    return False


@pytest.mark.parametrize("batch", range(BATCHES))
def test_shares_of_many_tables_answer_as_plain_sql_does(town: Town, batch: int) -> None:
    """At least 15 of a batch's 16 statements run, 120 in all."""
    generator = JoinGenerator(random.Random(1000 + batch), (3, 3, 4, 5))
    refused = 0
    for _ in range(STATEMENTS):
        statement = generator.statement()
        planned = plan(statement.text, catalogue())
        if too_large(planned):
            refused += 1
            continue
        found = shared_answer(town.connection, planned, town.names)
        assert_duckdbs(town.connection, found, statement.text, statement.groups)
    assert refused <= MOST_REFUSED


THREE = "FROM a.people p JOIN b.orders o ON o.person = p.person {} JOIN e.notes n ON n.person = p.person"


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("SELECT p.region, o.kind, n.flag, COUNT(*), SUM(p.age * o.amount * n.weight) "
         f"{THREE.format('')} GROUP BY 1, 2, 3", 3),
        (f"SELECT COUNT(*), SUM(n.weight), COUNT(n.weight) {THREE.format('LEFT')} WHERE o.paid", 0),
        ("SELECT v.ward, COUNT(*), CORR(p.age, v.score) FROM visits v JOIN a.people p USING (person) "
         "JOIN f.members m USING (person) WHERE m.tier = 'gold' OR p.active GROUP BY 1", 1),
        (f"SELECT COUNT(DISTINCT p.person), COUNT(*) {THREE.format('')} WHERE n.flag AND o.paid", 0),
        (f"SELECT COUNT(*) {THREE.format('')} WHERE o.level = p.level AND n.weight > p.level", 0),
    ],
)  # fmt: skip
def test_shapes_that_are_named(town: Town, text: str, groups: int) -> None:
    planned = plan(text, catalogue())
    require_protocol(planned)
    found = shared_answer(town.connection, planned, town.names)
    assert found.rows == exact_answer(town.connection, planned, town.names).rows
    assert_duckdbs(town.connection, found, text, groups)


def test_only_products_that_a_measure_needs_are_computed() -> None:
    planned = plan(
        f"SELECT p.region, o.kind, COUNT(*), SUM(p.age), SUM(o.amount), SUM(n.weight) "
        f"{THREE.format('')} GROUP BY 1, 2",
        catalogue(),
    )
    (shape,) = shapes_of(planned, 0)
    needed = {entry.columns for entry in entries(planned)}
    assert set(products(planned)) == needed == set(shape.products)
    assert 2 * len(needed) < math.prod(shape.columns)


@pytest.mark.parametrize("name", ["a.people", "b.orders", "e.notes"])
def test_cost_moves_with_the_rows_of_any_table(name: str) -> None:
    def at(rows: int) -> tuple[int, float]:
        tables = catalogue()
        for other in ("a.people", "b.orders", "e.notes"):
            bound = rows if other == name else 10**5
            table = tables[other]
            tables[other] = replace(table, card=replace(table.card, row_bound=bound))
        planned = plan(f"SELECT COUNT(*), SUM(p.age * n.weight) {THREE.format('')}", tables)
        found = cost(planned, job_noise(planned, Decimal(1), Decimal("1e-6"), {}))
        return found.bytes, found.seconds

    (few, fast), (many, slow) = at(10**5), at(2 * 10**5)
    assert many > 1.2 * few
    assert slow > 1.1 * fast


def test_cost_counts_every_word_and_tag_that_moves() -> None:
    planned = plan(f"SELECT COUNT(*), SUM(p.age * n.weight) {THREE.format('')}", catalogue())
    noise = job_noise(planned, Decimal(1), Decimal("1e-6"), {})
    assert noise.matching is not None
    (shape,) = shapes_of(planned, noise.matching.member_dummies)
    sealed = 8 * planned.length * 3
    tags = (shape.tag_bytes + 4) * sum(shape.padded)
    assert cost(planned, noise).bytes == 8 * words(shape) + tags + sealed
