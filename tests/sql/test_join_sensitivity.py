"""Sensitivities of joins, held against what taking one privacy unit away really changes.

Caps and multiplicities are smaller than the rows are many, so that rows displace others.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import pytest

from sandbox.catalog import DatasetCard, Table
from sandbox.sql.algebra import Change, Plan
from sandbox.sql.compile import fragment_sql, vector_from_rows
from sandbox.sql.perkey import keys_sql
from sandbox.sql.plan import plan
from tests.sql.inprocess_joins import sums
from tests.sql.joingenerator import JoinGenerator
from tests.sql.town import CARDS, Rows, catalogue, database, rows


def _crowded(card: DatasetCard) -> DatasetCard:
    """Return a card whose rows number / 3 are one unit, of which two count, two of a key."""
    if card.privacy_unit == "person":
        return card
    columns = tuple(replace(c, multiplicity=min(c.multiplicity, 2)) for c in card.columns)
    return replace(card, columns=columns, contribution_cap=2)


CROWDED = {name: _crowded(card) for name, card in CARDS.items()}


def crowded_rows(seed: int) -> dict[str, list[tuple[object, ...]]]:
    found = rows(seed, people=8)
    chance = random.Random(seed)
    for name, card in CARDS.items():
        if card.privacy_unit == "number":
            numbers = [chance.randrange(1 + len(found[name]) // 3) for _ in found[name]]
            found[name] = [
                (n + (1000 if name[0] == "d" else 0), *row[1:])
                for n, row in zip(numbers, found[name], strict=True)
            ]
    return found


def crowded_catalogue() -> dict[str, Table]:
    return {
        name: replace(table, card=CROWDED.get(name, CROWDED["c.visits"]))
        for name, table in catalogue().items()
    }


def without(rows_: Rows, name: str, unit: object) -> Rows:
    """Return the rows without one unit in dataset `name`."""
    place = [c.name for c in CROWDED[name].columns].index(CROWDED[name].privacy_unit)
    return {**rows_, name: [row for row in rows_[name] if row[place] != unit]}


def assert_within(planned: Plan, place: int, before: list[int], after: list[int]) -> None:
    start = 0
    for measure in planned.measures:
        moved = [abs(a - b) for a, b in zip(before, after, strict=True)]
        moved = moved[start : start + planned.cells * measure.width]
        start += planned.cells * measure.width
        change = measure.changes[place]
        assert sum(moved) <= change.l1, (planned.statement, place, measure)
        assert sum(m * m for m in moved) <= change.l2_squared, (planned.statement, place, measure)
        assert change.l1 <= measure.l1
        assert change.l2_squared <= measure.l2_squared


def joined_sums(planned: Plan, rows_: Rows) -> list[int]:
    town = database(rows_, CROWDED)
    return sums(town.connection, planned, town.names)


@pytest.mark.parametrize("seed", range(6))
def test_one_unit_of_any_side_moves_no_measure_beyond_its_sensitivity(seed: int) -> None:
    chance = random.Random(seed)
    generator, tables, before = JoinGenerator(chance), crowded_catalogue(), crowded_rows(seed)
    for _ in range(8):
        planned = plan(generator.statement().text, tables)
        vector = joined_sums(planned, before)
        for place, side in enumerate(planned.sides):
            member = chance.choice(side.table.members)
            name = f"{member.node}.{member.dataset}"
            card = CROWDED[name]
            unit = chance.choice(before[name])[
                [c.name for c in card.columns].index(card.privacy_unit)
            ]
            assert_within(planned, place, vector, joined_sums(planned, without(before, name, unit)))


@pytest.mark.parametrize("seed", range(4))
def test_distinct_units_move_within_their_sensitivity(seed: int) -> None:
    """One row of each order counts; people's notes come as often as their keys allow."""
    before, chance = crowded_rows(seed), random.Random(seed)
    tables = crowded_catalogue()
    orders = tables["b.orders"]
    tables["b.orders"] = replace(orders, card=replace(orders.card, contribution_cap=1))
    text = (
        "SELECT o.kind, n.flag, COUNT(DISTINCT o.number), COUNT(DISTINCT o.number) FILTER (WHERE paid) "
        "FROM b.orders o JOIN e.notes n USING (person) WHERE n.weight > 1 GROUP BY 1, 2"
    )
    planned = plan(text, tables)
    vector = joined_sums(planned, before)
    for place, name in enumerate(("b.orders", "e.notes")):
        units = sorted({int(str(row[0])) for row in before[name]})
        for unit in chance.sample(units, min(6, len(units))):
            assert_within(planned, place, vector, joined_sums(planned, without(before, name, unit)))


@pytest.mark.parametrize("seed", range(3))
def test_a_person_that_two_sides_know_is_covered_when_both_forget_it(seed: int) -> None:
    tables, before = crowded_catalogue(), crowded_rows(seed)
    for text in (
        "SELECT p.region, m.tier, COUNT(*), SUM(p.income), SUM(p.age * m.points) FROM a.people p "
        "JOIN f.members m USING (person) GROUP BY 1, 2",
        "SELECT m.tier, COUNT(*), AVG(m.points) FROM a.people p LEFT JOIN f.members m "
        "USING (person) GROUP BY 1",
        "SELECT COUNT(*), SUM(o.amount + m.points) FROM b.orders o LEFT JOIN a.people p USING (person) "
        "LEFT JOIN f.members m ON m.person = o.person",
    ):
        planned = plan(text, tables)
        vector = joined_sums(planned, before)
        for person in {row[0] for row in before["a.people"]}:
            after = without(without(before, "a.people", person), "f.members", person)
            moved = joined_sums(planned, after)
            for place, side in enumerate(planned.sides):
                if side.table.card.privacy_unit == "person":
                    assert_within(planned, place, vector, moved)


def test_units_of_one_domain_count_on_every_side() -> None:
    """Nothing but unit_domain says that a number here and there is the same unit."""
    cards = {name: replace(card, unit_domain="numbers") for name, card in CROWDED.items()}
    tables = {
        name: replace(table, card=cards.get(name, cards["c.visits"]))
        for name, table in catalogue().items()
    }
    text = "SELECT kind, COUNT(*), SUM(weight) FROM b.orders JOIN e.notes USING (person) GROUP BY 1"
    apart, together = plan(text, crowded_catalogue()), plan(text, tables)
    for one, both in zip(apart.measures, together.measures, strict=True):
        for change in both.changes:
            assert change.l1 == sum(c.l1 for c in one.changes)


def test_a_key_of_many_rows_uses_the_whole_sensitivity() -> None:
    """Else the tests above could pass with a bound that is too large by any factor."""
    tables = catalogue()
    planned = plan("SELECT COUNT(*) FROM a.people p JOIN b.orders o USING (person)", tables)
    before = {**rows(1, people=4), "b.orders": []}
    before["a.people"] = [(1, 30, "north", 1, True, 1)]
    before["b.orders"] = [(n, 1, 5, "x", True, None, 1) for n in range(6)]
    town = database(before)
    none = database({**before, "a.people": []})
    moved = (
        sums(town.connection, planned, town.names)[0]
        - sums(none.connection, planned, none.names)[0]
    )
    assert moved == planned.measures[0].changes[0].l1 == 4


def test_a_row_that_takes_the_place_of_another_moves_two_cells() -> None:
    planned = plan(
        "SELECT kind, COUNT(*) FROM a.people p JOIN b.orders o USING (person) GROUP BY 1",
        catalogue(),
    )
    assert planned.measures[0].changes[1] == Change(Fraction(2), Fraction(2))


SEMI_JOINS = (
    ("SELECT kind, COUNT(*), AVG(amount), MEDIAN(amount), COUNT(DISTINCT number) FROM b.orders "
     "WHERE person IN (SELECT person FROM a.people WHERE age > 20) GROUP BY 1",
     ("b.orders", "a.people")),
    ("SELECT region, COUNT(*), SUM(income) FROM a.people p WHERE EXISTS (SELECT * FROM b.orders o "
     "WHERE o.person = p.person AND paid) GROUP BY 1", ("a.people", "b.orders")),
    ("SELECT ward, COUNT(*), SUM(score) FROM visits WHERE person IN (SELECT person FROM e.notes "
     "WHERE weight > 2) GROUP BY 1", ("c.visits", "e.notes")),
)  # fmt: skip
"""Statements, and the dataset of each side."""


def semi_sums(
    planned: Plan, rows_: Mapping[str, list[tuple[object, ...]]], *, once: bool = False
) -> list[int]:
    """Return the measure vector of a PSI plan: what matches at each member, added up."""
    town = database(rows_, CROWDED)
    assert planned.semi is not None
    total = [0] * planned.length
    keys = " UNION ".join(
        f"(SELECT * FROM ({keys_sql(planned.semi, f'{m.node}.{m.dataset}')}))"
        for m in planned.semi.table.members
    )
    town.connection.execute(f"CREATE TABLE matched AS {keys}")
    for member in planned.table.members:
        name = f"{member.node}.{member.dataset}"
        found = town.connection.execute(fragment_sql(planned, name, once=once)).fetchall()
        vector = vector_from_rows(planned, [(int(p), int(v)) for p, v in found])
        total = [a + b for a, b in zip(total, vector, strict=True)]
    return total


@pytest.mark.parametrize("seed", range(4))
def test_one_unit_of_either_side_of_a_semi_join_stays_within(seed: int) -> None:
    tables, before, chance = crowded_catalogue(), crowded_rows(seed), random.Random(seed)
    for text, names in SEMI_JOINS:
        planned = plan(text, tables)
        vector = semi_sums(planned, before)
        for place, name in enumerate(names):
            column = [c.name for c in CROWDED[name].columns].index(CROWDED[name].privacy_unit)
            units = sorted({str(r[column]) for r in before[name]})
            for unit in chance.sample(units, min(4, len(units))):
                after = without(before, name, int(unit))
                assert_within(planned, place, vector, semi_sums(planned, after))


def once_each(card: DatasetCard, rows_: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Return rows none of which has the key or the unit of another."""
    places = [n for n, c in enumerate(card.columns) if c.name in ("person", card.privacy_unit)]
    seen, alone = set[object](), []
    for row in rows_:
        if not any((place, row[place]) in seen for place in places):
            seen.update((place, row[place]) for place in places)
            alone.append(row)
    return alone


@pytest.mark.parametrize("seed", range(4))
def test_where_no_key_and_no_unit_repeats_there_is_nothing_to_choose(seed: int) -> None:
    """Then a semi-join counts without looking for what is too much, and counts the same."""
    tables, given = crowded_catalogue(), crowded_rows(seed)
    counted = 0
    for text, _ in SEMI_JOINS:
        planned = plan(text, tables)
        names = [f"{member.node}.{member.dataset}" for member in planned.table.members]
        alone = {**given, **{name: once_each(CROWDED[name], given[name]) for name in names}}
        assert semi_sums(planned, alone) == semi_sums(planned, alone, once=True)
        counted += sum(semi_sums(planned, alone))
    assert counted
