"""Joined plans against DuckDB's own answers: what all sides compute per key, multiplied term by term."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from sandbox.sql.algebra import JoinMode
from sandbox.sql.answer import Answer
from sandbox.sql.plan import plan
from tests.sql.inprocess_joins import exact_answer
from tests.sql.joincomparison import assert_duckdbs
from tests.sql.joingenerator import JoinGenerator
from tests.sql.town import Town, catalogue, database, rows

STATEMENTS, BATCHES = 40, 10


@pytest.fixture(scope="module")
def town() -> Town:
    return database(rows(seed=3, people=24))


def assert_answers(town: Town, text: str, groups: int, plain: str = "") -> Answer:
    """Hold a plan's exact answer against DuckDB's own of `text`, or of `plain` where keys are read
    otherwise."""
    found = exact_answer(town.connection, plan(text, catalogue()), town.names)
    assert_duckdbs(town.connection, found, text, groups, plain)
    return found


def _statements(batch: int) -> Iterator[tuple[str, int]]:
    generator = JoinGenerator(random.Random(batch))
    for _ in range(STATEMENTS):
        statement = generator.statement()
        yield statement.text, statement.groups


@pytest.mark.parametrize("batch", range(BATCHES))
def test_joined_plans_answer_as_plain_sql_does(town: Town, batch: int) -> None:
    for text, groups in _statements(batch):
        assert_answers(town, text, groups)


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("SELECT COUNT(DISTINCT p.person), COUNT(*) FROM a.people p JOIN b.orders o USING (person) "
         "WHERE o.kind = 'x' AND p.age > 30", 0),
        ("WITH paid AS (SELECT person, amount FROM b.orders WHERE paid) SELECT region, SUM(amount) "
         "FROM a.people JOIN paid USING (person) GROUP BY region", 1),
        ("SELECT v.ward, COUNT(*), AVG(p.age) FROM visits v LEFT JOIN a.people p USING (person) "
         "WHERE p.region IS NULL GROUP BY 1", 1),
        ("SELECT o.kind, COUNT(*) FROM a.people p LEFT JOIN b.orders o ON p.person = o.person "
         "AND o.amount > 20 AND p.age > 30 GROUP BY 1", 1),
        ("SELECT COUNT(*) FROM b.orders o JOIN visits v USING (person) WHERE o.day <= v.day", 0),
        ("SELECT p.level, o.kind, COUNT(*), SUM(o.amount) FROM a.people p JOIN b.orders o "
         "USING (person) WHERE p.level = o.level AND o.kind = 'x' GROUP BY 1, 2", 2),
        ("SELECT p.region, p.level, COUNT(*), SUM(p.income) FROM a.people p LEFT JOIN b.orders o "
         "USING (person) WHERE p.region = 'north' AND o.level = 2 OR p.region = 'south' "
         "AND o.level = 1 OR p.level = 3 GROUP BY 1, 2", 2),
        ("SELECT p.level, COUNT(*) FROM b.orders o LEFT JOIN a.people p ON p.person = o.person "
         "AND p.level = 2 WHERE o.level = 2 OR p.level IS NULL GROUP BY 1", 1),
        ("SELECT COUNT(*), SUM(o.amount) FROM a.people p, b.orders o WHERE (p.person = o.person AND "
         "p.age > 30 AND o.kind = 'x') OR (o.paid AND (p.person = o.person AND p.level = 2) OR "
         "p.person = o.person AND o.day < DATE '2024-01-05' + INTERVAL 3 DAY)", 0),
        ("SELECT COUNT(*) FROM a.people p, b.orders o WHERE p.person = o.person AND o.paid OR "
         "p.person = o.person", 0),
        ("SELECT o.kind, COUNT(DISTINCT o.number), COUNT(DISTINCT n.person) FILTER (WHERE n.flag), "
         "COUNT(DISTINCT o.number) FILTER (WHERE n.weight > 2 AND o.amount < 60), COUNT(*) "
         "FROM b.orders o JOIN e.notes n USING (person) WHERE o.paid GROUP BY 1", 1),
        ("SELECT n.flag, COUNT(DISTINCT v.number), COUNT(*) FROM visits v JOIN e.notes n "
         "USING (person) WHERE n.weight > 1 AND v.score > -5 GROUP BY 1", 1),
        ("SELECT p.level, COUNT(*) AS n FROM a.people p JOIN b.orders o USING (person) GROUP BY 1 "
         "HAVING COUNT(*) > 3 ORDER BY n DESC LIMIT 2", 1),
    ],
)  # fmt: skip
def test_shapes_that_the_generator_does_not_make(town: Town, text: str, groups: int) -> None:
    assert plan(text, catalogue()).mode is JoinMode.BLIND
    assert_answers(town, text, groups)


@pytest.mark.parametrize("kind", ["", "LEFT "])
def test_composite_keys_match_as_their_normaliser_reads_them(town: Town, kind: str) -> None:
    text = (
        "SELECT COUNT(*), SUM(s.sold * t.pieces), AVG(t.pieces), COUNT(s.sold) FROM e.stock t "
        f"{kind}JOIN f.sales s ON {{}} AND t.week = s.week"
    )
    plain = text.format("lower(t.shop) = lower(s.shop)")
    assert_answers(town, text.format("t.shop = s.shop"), 0, plain)
