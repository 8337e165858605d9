"""How many keys each set of tables has in common, which a coordinator counts: what a unit moves."""

from __future__ import annotations

import math
import random
from collections import Counter
from decimal import Decimal
from itertools import product

import pytest

from sandbox.privacy.allocate import MatchingNoise
from sandbox.sql.algebra import Plan
from sandbox.sql.noise import job_noise
from sandbox.sql.perkey import keys_sql
from sandbox.sql.plan import plan
from tests.sql.test_join_sensitivity import CROWDED, crowded_catalogue, crowded_rows, without
from tests.sql.town import Rows, catalogue, database

EPSILON, DELTA = Decimal(1), Decimal("0.000001")
STATEMENTS = (
    "SELECT COUNT(*) FROM a.people p JOIN b.orders o USING (person) JOIN e.notes n USING (person)",
    "SELECT COUNT(*) FROM a.people p JOIN f.members m USING (person) JOIN b.orders o USING (person)",
    "SELECT COUNT(*) FROM visits v JOIN f.members m USING (person) JOIN a.people p USING (person)",
    "SELECT COUNT(*) FROM b.orders o JOIN a.people p USING (person) LEFT JOIN f.members m "
    "ON m.person = o.person JOIN e.notes n ON n.person = o.person",
    "SELECT COUNT(*) FROM a.people p JOIN b.orders o USING (person)",
)


def counted(planned: Plan, rows: Rows) -> Counter[tuple[object, ...]]:
    """Return what a coordinator counts, without dummies, in each join of members."""
    connection = database(rows, CROWDED).connection
    found: Counter[tuple[object, ...]] = Counter()
    for members in product(*(side.table.members for side in planned.sides)):
        has: dict[object, set[str]] = {}
        for side, member in zip(planned.sides, members, strict=True):
            name = f"{member.node}.{member.dataset}"
            for key in connection.execute(keys_sql(side, name)).fetchall():
                has.setdefault(key, set()).add(name)
        for names in has.values():
            if len(names) > 1:
                found[members, frozenset(names)] += 1
    return found


def moved(before: Counter[tuple[object, ...]], after: Counter[tuple[object, ...]]) -> int:
    return sum(abs(before[way] - after[way]) for way in {*before, *after})


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("seed", range(2))
def test_a_unit_moves_all_counts_together_by_no_more_than_is_charged(
    statement: str, seed: int
) -> None:
    tables, rows = crowded_catalogue(), crowded_rows(seed)
    planned, chance = plan(statement, tables), random.Random(seed)
    noise = job_noise(planned, EPSILON, DELTA, {})
    assert noise.matching is not None
    before, most = counted(planned, rows), 0
    for side in planned.sides:
        for member in side.table.members:
            name = f"{member.node}.{member.dataset}"
            card = CROWDED[name]
            place = [c.name for c in card.columns].index(card.privacy_unit)
            units = sorted({str(row[place]) for row in rows[name]})
            for unit in chance.sample(units, min(4, len(units))):
                after = without(rows, name, int(unit))
                if card.privacy_unit == "person":
                    for other in ("a.people", "f.members"):
                        after = without(after, other, int(unit))
                most = max(most, moved(before, counted(planned, after)))
    assert 0 < most <= noise.matching.keys


def test_a_key_that_leaves_one_count_and_enters_another_moves_both() -> None:
    """Else the test above could pass with a bound that is too large."""
    tables = catalogue()
    planned = plan(STATEMENTS[0], tables)
    assert planned.sides[0].keys_per_unit == 1
    noise = job_noise(planned, EPSILON, DELTA, {})
    assert noise.matching is not None
    person = (1, 30, "north", 1, True, 1)
    orders, notes = [(7, 1, 5, "x", True, "2024-01-02", 1)], [(3, 1, 2, True)]
    nothing: dict[str, list[tuple[object, ...]]] = {name: [] for name in CROWDED}
    rows = {**nothing, "a.people": [person], "b.orders": orders, "e.notes": notes}
    change = moved(counted(planned, rows), counted(planned, {**rows, "a.people": []}))
    assert change == 2 == noise.matching.keys


@pytest.mark.parametrize(("sides", "sets", "own"), [(2, 1, 1), (3, 4, 3), (4, 11, 7), (5, 26, 15)])
def test_every_set_of_tables_has_dummies_and_its_part_of_delta(
    sides: int, sets: int, own: int
) -> None:
    names = ("a.people p", "b.orders o", "e.notes n", "f.members m", "visits v")[:sides]
    text = f"SELECT COUNT(*) FROM {names[0]}"
    text += "".join(f" JOIN {name} USING (person)" for name in names[1:])
    planned = plan(text, catalogue())
    noise = job_noise(planned, EPSILON, DELTA, {})
    assert noise.matching is not None
    joins = 2 if sides == 5 else 1
    assert noise.charge.extra_delta == DELTA / 10_000
    assert float(noise.matching.delta * sets * joins) == pytest.approx(float(DELTA) / 10_000)
    assert noise.matching.member_dummies == own * noise.matching.most_dummies


def test_two_counts_that_a_unit_moves_stay_within_epsilon_and_delta() -> None:
    """The exact hockey-stick divergence of both counts, one going down as the other goes up."""
    matching = MatchingNoise(Decimal(1), Decimal("0.001"), 2, sides=3)
    t = matching.most_dummies // 2
    weights = {x: math.exp(-abs(x) / 2) for x in range(-t, t + 1)}
    total, gain = sum(weights.values()), math.e
    excess = sum(
        max(0.0, p * q - gain * weights.get(x - 1, 0.0) * weights.get(y + 1, 0.0))
        for (x, p), (y, q) in product(weights.items(), repeat=2)
    ) / (total * total)  # fmt: skip
    assert 0 < excess <= 2 * 0.001
