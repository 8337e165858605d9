"""Declared sensitivities, held against what one privacy unit really moves."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import duckdb
import pytest

from sandbox.catalog import Table
from sandbox.sql.algebra import MeasureKind, Plan
from sandbox.sql.plan import plan
from tests.sql.expressions import Expressions
from tests.sql.generator import Generator
from tests.sql.inprocess import sums
from tests.sql.plants import CAP, DATASETS, Raw, catalogue, raw_rows, store, world

NAMES = {name: "rows_" + name.replace(".", "_") for name in DATASETS}
UNIT = "777777"


def moved(
    plan_: Plan, before: Mapping[str, list[Raw]], after: Mapping[str, list[Raw]]
) -> list[list[int]]:
    """Return by how much each measure's integers change."""
    vectors = []
    for rows in (before, after):
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        for name in {f"{m.node}.{m.dataset}" for m in plan_.table.members}:
            store(connection, NAMES[name], rows[name], typed=False)
        vectors.append(sums(dict.fromkeys(DATASETS, connection), plan_, NAMES))
    change = [abs(a - b) for a, b in zip(*vectors, strict=True)]
    parts, start = [], 0
    for measure in plan_.measures:
        end = start + plan_.cells * measure.width
        parts.append(change[start:end])
        start = end
    return parts


def assert_within(plan_: Plan, parts: list[list[int]]) -> None:
    for measure, part in zip(plan_.measures, parts, strict=True):
        assert sum(part) <= measure.l1, (plan_.statement, measure)
        assert sum(p * p for p in part) <= measure.l2_squared, (plan_.statement, measure)


def a_unit(chance: random.Random, unit: str | None) -> list[Raw]:
    """Return more rows of one unit than count."""
    rows = raw_rows(chance.randrange(10**6), 1, 2 * CAP)[: CAP + 3]
    return [{**row, "id": unit} for row in rows]


@pytest.mark.parametrize("seed", range(4))
def test_one_unit_at_one_node_moves_no_measure_beyond_its_sensitivity(seed: int) -> None:
    chance = random.Random(seed)
    generator, tables = Generator(chance), catalogue()
    before = world(seed, 8)
    for _ in range(12):
        planned = plan(generator.statement().text, tables)
        member = chance.choice(planned.table.members)
        dataset = f"{member.node}.{member.dataset}"
        after = {**before, dataset: before[dataset] + a_unit(chance, UNIT)}
        assert_within(planned, moved(planned, before, after))


@pytest.mark.parametrize("seed", range(4))
def test_one_unit_at_every_node_is_counted_at_each(seed: int) -> None:
    """Attack 61 at the planner: the card says that a unit may occur everywhere, or UNION ALL puts
    datasets together that nobody declared to be apart."""
    chance = random.Random(seed)
    card = replace(catalogue()["machines"].card, units_span_nodes=True)
    tables = {name: replace(table, card=card) for name, table in catalogue().items()}
    before = world(seed, 8)
    arms = (f"SELECT * FROM {name}" for name in ("a.machines", "a.pumps", "b.machines"))
    union = f"({' UNION ALL '.join(arms)})"
    written = Expressions(chance)
    for n in range(12):
        where = written.condition(1).text
        text = (
            f"SELECT kind, COUNT(*), SUM({written.modest().text}), STDDEV(torque), MEDIAN(speed) "
            f"FROM {'machines' if n % 2 else union} WHERE {where} GROUP BY kind"
        )
        planned = plan(text, tables)
        unit = a_unit(chance, UNIT)
        after = {name: rows + unit for name, rows in before.items()}
        assert_within(planned, moved(planned, before, after))


def test_a_unit_at_every_node_uses_up_the_whole_sensitivity() -> None:
    """Else the test above could pass with a bound that is too large by any factor."""
    card = replace(catalogue()["machines"].card, units_span_nodes=True)
    tables = {"machines": replace(catalogue()["machines"], card=card)}
    planned = plan("SELECT COUNT(*), SUM(torque) FROM machines", tables)
    before = world(1, 5)
    extreme = {**before["a.machines"][0], "id": UNIT, "torque": "80"}
    after = {name: [*rows, *[extreme] * (CAP + 1)] for name, rows in before.items()}
    for measure, part in zip(planned.measures, moved(planned, before, after), strict=True):
        assert sum(part) == measure.l1


def test_two_datasets_of_one_node_count_a_shared_unit_twice() -> None:
    union = "(SELECT * FROM a.machines UNION ALL SELECT * FROM a.pumps)"
    planned = plan(f"SELECT COUNT(*) FROM {union}", catalogue())
    before = world(1, 5)
    after = {name: rows + [{**rows[0], "id": UNIT}] * (CAP + 1) for name, rows in before.items()}
    assert moved(planned, before, after) == [[2 * CAP]]
    assert planned.measures[0].l1 == 2 * CAP


def test_distinct_units_move_one_per_cell_in_at_most_cap_cells() -> None:
    planned = plan("SELECT stars, COUNT(DISTINCT id) FROM machines GROUP BY stars", catalogue())
    before = world(1, 5)
    rows = [{**before["b.machines"][0], "id": UNIT, "stars": str(s)} for s in (1, 1, 2, 3, 4, 5)]
    (part,) = moved(planned, before, {**before, "b.machines": before["b.machines"] + rows})
    units = next(m for m in planned.measures if m.kind is MeasureKind.UNITS)
    assert max(part) == 1
    assert 1 < sum(part) <= CAP == units.l1 == units.l2_squared


def test_rows_without_a_unit_count_as_one_unit() -> None:
    columns = tuple(
        replace(c, nullable=c.name == "id" or c.nullable)
        for c in catalogue()["a.machines"].card.columns
    )
    card = replace(catalogue()["a.machines"].card, columns=columns)
    table = Table("a.machines", card, catalogue()["a.machines"].members)
    planned = plan("SELECT COUNT(*), COUNT(DISTINCT id) FROM a.machines", {"a.machines": table})
    before = world(1, 5)
    nameless = [{**before["a.machines"][0], "id": None}] * 10
    after = {**before, "a.machines": before["a.machines"] + nameless}
    assert moved(planned, before, after) == [[CAP], [0]]
