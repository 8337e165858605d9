"""The planner on anything that can be typed: a plan or a refusal, the same one each time."""

from __future__ import annotations

import random
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.catalog import Table
from sandbox.errors import SandboxError
from sandbox.sql.algebra import Plan
from sandbox.sql.compile import fragment_sql
from sandbox.sql.plan import plan
from tests.sql.generator import Generator
from tests.sql.joingenerator import JoinGenerator
from tests.sql.plants import catalogue
from tests.sql.town import catalogue as town_catalogue

TABLES = catalogue()
TOWN = town_catalogue()
WORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "HAVING", "ORDER BY", "LIMIT", "COUNT(*)", "AVG(torque)",
    "machines", "a.machines", "kind", "torque", "day", "seen", "failed", "id", "note", "(", ")", ",",
    "+",
    "-", "*", "/", "//", "%", "=", "<", "AND", "OR", "NOT", "IN", "IS NULL", "CASE WHEN", "THEN", "ELSE",
    "END", "CAST(", "AS", "DECIMAL(3,99)", "DATE", "'2024-01-01'", "'L'", "NULL", "1", "0", "1e9999",
    "99999999999999999999999", "²", "UNION ALL", "WITH t AS (", "OVER ()", "FILTER (WHERE", "DISTINCT",
    "JOIN", "LEFT JOIN", "ON", "USING (person)", "b.orders o", "o.amount", "p.age", "EXISTS (SELECT",
    "IN (SELECT person FROM e.notes)", "INTERVAL", "::",
    "[", "]", "{", "}", "$1", "?", "--", "/*", "*/", ";", '"', "'", "\x00", "é", "\\",
)  # fmt: skip


def outcome(text: str, tables: Mapping[str, Table] = TABLES) -> Plan | str:
    """Return the plan or the refusal's text; anything else is the test's failure."""
    try:
        return plan(text, tables)
    except SandboxError as error:
        return str(error)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_planned_or_refused(text: str) -> None:
    assert outcome(text) == outcome(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=25))
def test_any_words_are_planned_or_refused(words: list[str]) -> None:
    assert outcome(f"SELECT {' '.join(words)}") == outcome(f"SELECT {' '.join(words)}")


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_mutated_statements_are_planned_or_refused(seed: int, change: int) -> None:
    text = _mutated(Generator(random.Random(seed)).statement().text, random.Random(change))
    assert outcome(text) == outcome(text)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_mutated_joins_are_planned_or_refused(seed: int, change: int) -> None:
    text = JoinGenerator(random.Random(seed)).statement().text
    mutated = _mutated(text, random.Random(change))
    assert outcome(mutated, TOWN) == outcome(mutated, TOWN)


def _mutated(text: str, chance: random.Random) -> str:
    tokens = text.split(" ")
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(tokens))
        match chance.randrange(4):
            case 0:
                tokens.insert(at, chance.choice(WORDS))
            case 1 if len(tokens) > 1:
                del tokens[at]
            case 2:
                tokens[at] = chance.choice(WORDS)
            case _:
                tokens[at] = tokens[chance.randrange(len(tokens))]
    return " ".join(tokens)


def test_a_plan_is_a_function_of_text_and_catalogue() -> None:
    """Every node derives the fragment again; it must be the same to the letter."""
    generator = Generator(random.Random(3))
    backwards = dict(reversed(TABLES.items()))
    for _ in range(100):
        text = generator.statement().text
        assert plan(text, TABLES) == plan(text, backwards)
        assert fragment_sql(plan(text, TABLES)) == fragment_sql(plan(text, backwards))
