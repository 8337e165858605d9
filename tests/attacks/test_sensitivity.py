"""Attacks by what rows hold (THREATS.md 19-21, 26): no unit moves a measure beyond its noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sandbox.errors import Refusal
from sandbox.sql import plan as planning
from sandbox.sql.algebra import Plan
from tests.attacks.test_sql import planned, refused
from tests.sql.inprocess import sums
from tests.sql.plants import CARD, COLUMNS, Raw, catalogue, raw_rows


def _measured(rows: list[Raw], plan: Plan) -> list[int]:
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE t ({', '.join(f'{c} VARCHAR' for c in COLUMNS)})")
    if rows:
        connection.executemany(
            f"INSERT INTO t VALUES ({', '.join('?' * len(COLUMNS))})",
            [[row[c] for c in COLUMNS] for row in rows],
        )
    names: Mapping[str, str] = {"a.machines": "t"}
    return sums({"a.machines": connection}, plan, names)


def _assert_within_sensitivity(plan: Plan, some: list[int], more: list[int]) -> None:
    start = 0
    for measure in plan.measures:
        end = start + plan.cells * measure.width
        moved = [abs(a - b) for a, b in zip(some[start:end], more[start:end], strict=True)]
        assert sum(moved) <= measure.l1, measure.label
        assert sum(m * m for m in moved) <= measure.l2_squared, measure.label
        start = end


def test_attack_19_a_huge_value_for_one_row_is_refused_or_paid_for() -> None:
    assert (
        refused("SELECT SUM(CASE WHEN id = 7 THEN 1e300 ELSE torque END) FROM a.machines")
        == "SB-1011"
    )
    rows = raw_rows(1, 1, 5)
    for statement in (
        "SELECT SUM(CASE WHEN id = 7 THEN 1e9 ELSE torque END) FROM a.machines",
        "SELECT AVG(CASE WHEN id = 7 THEN -100000 ELSE 0 END) FROM a.machines",
        "SELECT SUM(torque), VARIANCE(price), COVAR_POP(torque, price) FROM a.machines",
    ):
        plan = planned(statement)
        for torque, price in (
            ("1e17", "1e17"),
            ("-1e17", "9e99"),
            ("inf", "-inf"),
            ("1e308", "nan"),
            ("102.3", "160"),
            ("-20", "-130"),
        ):
            unit = [
                {**rows[0], "id": "7", "torque": torque, "price": price}
            ] * CARD.contribution_cap
            _assert_within_sensitivity(plan, _measured(rows, plan), _measured(rows + unit, plan))


@pytest.mark.parametrize("name", ["torque", "speed", "price", "day"])
@pytest.mark.parametrize(
    "call",
    ["SUM({})", "AVG({})", "STDDEV({})", "CORR({}, stars)", "MEDIAN({})", "SUM(LEAST({}, 9))"],
)
def test_attack_20_a_column_without_bounds_is_refused(name: str, call: str) -> None:
    columns = tuple(
        replace(c, lower=None, upper=None) if c.name == name else c for c in CARD.columns
    )
    table = catalogue()["a.machines"]
    unbounded = {"a.machines": replace(table, card=replace(CARD, columns=columns))}
    x = "DATE_DIFF('day', DATE '2024-01-01', day)" if name == "day" else name
    with pytest.raises(Refusal) as caught:
        planning.plan(f"SELECT {call.format(x)} FROM a.machines", unbounded)
    assert caught.value.code == "SB-1051"
    assert caught.value.facts["name"] == name


_TEXT = st.one_of(
    st.none(),
    st.text(max_size=8),
    st.sampled_from(["1e400", "-1e400", "nan", "1_0", "0x9", "1e5", "99999999999999999999", "5 5"]),
    st.floats().map(str),
    st.integers(-(10**20), 10**20).map(str),
)
_PLAUSIBLE = raw_rows(2, 1, 40)
_ROW = st.fixed_dictionaries(
    {c: st.sampled_from([row[c] for row in _PLAUSIBLE]) | _TEXT for c in COLUMNS}
)
_ATTACKED = planned(
    "SELECT failed, SUM(torque), AVG(price - speed), STDDEV(torque), CORR(torque, price), "
    "SUM(stars * torque), MEDIAN(speed), SUM(YEAR(day)), COUNT(seen), SUM(torque / speed), "
    "AVG(DATE_DIFF('day', day, DATE '2024-06-01')), SUM(HOUR(seen)), COUNT(DISTINCT id) "
    "FROM a.machines WHERE LENGTH(note) <> 3 GROUP BY failed"
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_ROW, min_size=1, max_size=6))
@example([{**_PLAUSIBLE[0], "torque": "1000", "price": "-1000"}] * 4)
def test_attack_21_whatever_a_unit_holds_moves_no_measure_beyond_its_sensitivity(
    rows: list[Raw],
) -> None:
    """Also attack 15: no text whatever makes a fragment fail."""
    unit = [{**row, "id": "9999"} for row in rows]
    others = raw_rows(3, 1, 2)
    _assert_within_sensitivity(
        _ATTACKED, _measured(others, _ATTACKED), _measured(others + unit, _ATTACKED)
    )


@pytest.mark.parametrize(
    "key",
    [
        "id % 7",
        "id",
        "id < 50",
        "CASE WHEN id = 7 THEN 1 ELSE 0 END",
        "FLOOR(id / 100000)",
        "id + 0",
    ],
)
def test_attack_26_groups_of_a_unique_key_are_refused(key: str) -> None:
    for statement in (
        f"SELECT COUNT(*) FROM machines GROUP BY {key}",
        f"SELECT k, COUNT(*) FROM (SELECT {key} AS k FROM machines) GROUP BY k",
        f"WITH t AS (SELECT *, {key} AS k FROM machines) SELECT k, AVG(torque) FROM t GROUP BY 1",
    ):
        with pytest.raises(Refusal) as caught:
            planned(statement)
        assert caught.value.code == "SB-1053"


def test_attack_26_groups_of_a_join_key_are_refused() -> None:
    columns = tuple(replace(c, join_key=c.name == "stars") for c in CARD.columns)
    table = catalogue()["a.machines"]
    keyed = {"a.machines": replace(table, card=replace(CARD, columns=columns))}
    with pytest.raises(Refusal) as caught:
        planning.plan("SELECT stars, COUNT(*) FROM a.machines GROUP BY stars", keyed)
    assert caught.value.code == "SB-1053"
