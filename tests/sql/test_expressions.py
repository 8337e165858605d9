"""Row-level columns of fragments stay in the intervals that sensitivities are computed from."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import parse_one

from sandbox.errors import SandboxError
from sandbox.sql import rows
from sandbox.sql.plan import plan
from sandbox.sql.rows import Scope
from sandbox.sql.scalar import Moment
from tests.sql import town
from tests.sql.generator import Generator
from tests.sql.inprocess import exact_answer
from tests.sql.plants import catalogue, raw_rows, store


@pytest.mark.parametrize("seed", range(3))
def test_every_row_value_is_within_its_declared_interval(seed: int) -> None:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    store(connection, "base", raw_rows(seed, 1, 60), typed=False)
    generator = Generator(random.Random(100 + seed))
    tables = catalogue()
    for _ in range(80):
        fragment = plan(generator.statement().text, tables).fragment
        for column in fragment.columns:
            low, high, empty = connection.execute(
                f"SELECT min({column.name}), max({column.name}), bool_or({column.name} IS NULL) "
                f"FROM ({fragment.rows_sql})"
            ).fetchone() or (None, None, None)
            if low is not None:
                assert column.lower <= low <= high <= column.upper, (column, fragment.rows_sql)
            assert column.nullable or not empty, (column, fragment.rows_sql)


@pytest.mark.parametrize("offset", ["+02", "+05:30", "Z", "-11:00", ""])
def test_a_time_with_an_offset_is_an_instant(offset: str) -> None:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    row = {**raw_rows(1, 1, 1)[0], "seen": f"2024-02-10 12:00:00{offset}"}
    store(connection, "base", [row], typed=False)
    planned = plan("SELECT SUM(HOUR(seen) * 60 + MINUTE(seen)) FROM a.machines", catalogue())
    (total,) = exact_answer({"a.machines": connection}, planned, {"a.machines": "base"}).rows
    ahead = {"+02": 120, "+05:30": 330, "-11:00": -660}.get(offset, 0)
    assert total.estimates[0] is not None
    assert total.estimates[0].value == (720 - ahead) % 1440


@pytest.mark.parametrize(
    ("select", "labels"),
    [
        ("level * 2 AS d, COUNT(*) FROM a.people GROUP BY d", [(2, 4, 6)]),
        ("level, level * 2 AS d, COUNT(*) FROM a.people GROUP BY 1, 2", [(1, 2, 3), (2, 4, 6)]),
        ("p.level, p.level / 2 AS d, COUNT(*) FROM a.people p JOIN b.orders USING (person) "
         "GROUP BY 1, 2", [(1, 2, 3), (Decimal("0.5"), 1, Decimal("1.5"))]),
    ],
)  # fmt: skip
def test_a_multiple_of_a_column_is_another_group(
    select: str, labels: list[tuple[object, ...]]
) -> None:
    planned = plan(f"SELECT {select}", town.catalogue())
    assert [group.values for group in planned.groups] == labels
    assert [o.group for o in planned.outputs] == [*range(len(labels)), None]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT level * 2, COUNT(*) FROM a.people GROUP BY level", "SB-1008"),
        ("SELECT COUNT(score) FROM (SELECT score FROM c.visits UNION ALL "
         "SELECT score * 2 AS score FROM d.visits)", "SB-1015"),
    ],
)  # fmt: skip
def test_a_multiple_of_a_column_is_not_taken_for_it(statement: str, code: str) -> None:
    with pytest.raises(SandboxError, match=code):
        plan(statement, town.catalogue())


@given(
    day=st.dates(date(1900, 1, 1), date(2200, 12, 31)),
    count=st.integers(0, 500),
    unit=st.sampled_from(("day", "week", "month", "quarter", "year", "hour", "SECONDS")),
    form=st.sampled_from(("{} + {}", "{} - {}", "{1} + {0}")),
)
def test_a_literal_date_and_an_interval_are_duckdbs_time(
    day: date, count: int, unit: str, form: str
) -> None:
    written = form.format(f"DATE '{day}'", f"INTERVAL '{count}' {unit}")
    found = rows.bind(parse_one(written, dialect="duckdb"), Scope("", frozenset(), {}))
    ((wanted,),) = duckdb.sql(f"SELECT epoch({written})::BIGINT").fetchall()
    assert isinstance(found, Moment)
    assert (found.lower, found.upper, found.sql) == (wanted, wanted, f"{wanted}::BIGINT")
