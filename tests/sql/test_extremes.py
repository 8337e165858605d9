"""The largest bounds a card may declare: nothing overflows, nothing raises, sums stay exact."""

from __future__ import annotations

import random
import sys
from decimal import Decimal
from fractions import Fraction
from itertools import product

import duckdb
import pytest

from sandbox.catalog import WIDEST_COLUMN, Column, ColumnType, DatasetCard, Member, Table
from sandbox.errors import InputError, Refusal
from sandbox.sql.algebra import Plan
from sandbox.sql.compile import fragment_sql
from sandbox.sql.plan import plan
from tests.sql.generator import Generator
from tests.sql.inprocess import exact_answer
from tests.sql.plants import COLUMNS, catalogue, raw_rows, store

WIDE = Decimal(WIDEST_COLUMN)
CARD = DatasetCard(
    name="wide",
    columns=(
        Column("id", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(10**9)),
        Column("x", ColumnType.DECIMAL, lower=-WIDE / 1000, upper=WIDE / 1000, scale=3, nullable=True),
        Column("y", ColumnType.INTEGER, lower=-WIDE, upper=WIDE, nullable=True),
        Column("z", ColumnType.DECIMAL, lower=Decimal(0), upper=Decimal("0.000000001"), scale=9),
        Column("free", ColumnType.DECIMAL, scale=6, nullable=True),
        Column("day", ColumnType.DATE, nullable=True),
        Column("moment", ColumnType.TIMESTAMP, nullable=True),
    ),
    privacy_unit="id",
    row_bound=10**9,
)  # fmt: skip
TABLES = {"wide": Table("wide", CARD, (Member("a", "wide"),))}
EDGES = [str(-WIDE / 1000), str(WIDE / 1000), "0", "0.001", "-0.001", "1e300", "-inf", None]
DATES = [
    "infinity",
    "-infinity",
    "0001-01-01",
    "9999-12-31",
    "290000-01-01",
    "0044-03-15 (BC)",
    None,
]


@pytest.fixture(scope="module")
def session() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    names = [c.name for c in CARD.columns]
    connection.execute(f"CREATE TABLE base ({', '.join(f'{n} VARCHAR' for n in names)})")
    wholes = [str(-WIDE), str(WIDE), "0", "1", "-1", "3", None]
    rows = [
        [str(n), x, y, "0.000000001", x, day, day]
        for n, (x, y, day) in enumerate(product(EDGES, wholes, DATES))
    ]
    connection.executemany("INSERT INTO base VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    return connection


EXPRESSIONS = (
    "x", "y", "z", "-x", "x + y", "x - y", "x * y", "x * z", "x * y * z", "y * y", "x / y", "y / x",
    "z / y", "1 / z", "x / 7", "ABS(y)", "SIGN(x)", "ROUND(x)", "ROUND(x, -3)", "FLOOR(x)",
    "ROUND(x / 3, 2)",
    "CEIL(x)", "TRUNC(x)", "FLOOR(-x / 7)", "y % 7", "7 % y", "x % y", "y // 3", "y // y", "3 // y",

    "POWER(x, 2)", "POWER(z, 3)", "SQRT(y)", "LN(x)", "LOG10(y)", "LOG2(ABS(x))", "EXP(LEAST(x, 30))",
    "EXP(-ABS(x))", "LEAST(x, y)", "GREATEST(x, y, 0)", "COALESCE(x, y)", "NULLIF(y, 3)",
    "CASE WHEN x > y THEN x ELSE y END", "CAST(x AS INTEGER)", "CAST(x AS DECIMAL(9, 1))",
    "WIDTH_BUCKET(x, -1000, 1000, 10)", "YEAR(moment)", "MONTH(day)", "WEEK(day)", "HOUR(moment)",
    "LEAST(GREATEST(DATE_DIFF('day', DATE '2020-01-01', day), 0), 9)", "x * 1e30", "x * 1e-30",
    "DATE_PART('dayofyear', day + 0)", "QUARTER(DATE_TRUNC('quarter', day))", "x - x", "y + 0.0005",
)  # fmt: skip


def planned(statement: str) -> Plan | None:
    """Return the plan; None where it is refused as too wide or unbounded, which is an answer too."""
    try:
        return plan(statement, TABLES)
    except (InputError, Refusal) as error:
        refused = error.code
    assert refused in ("SB-1007", "SB-1011", "SB-1051"), statement
    return None


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_no_extreme_leaves_its_interval_or_raises(
    session: duckdb.DuckDBPyConnection, expression: str
) -> None:
    for call in (
        "SUM({})",
        "STDDEV({})",
        "CORR({}, x)",
        "MEDIAN({})",
        "COUNT(*) FILTER (WHERE {} > 1)",
    ):
        found = planned(f"SELECT {call.format(expression)} FROM wide")
        if found is None:
            continue
        session.execute(fragment_sql(found)).fetchall()
        for column in found.fragment.columns:
            low, high = session.execute(
                f"SELECT min({column.name}), max({column.name}) FROM ({found.fragment.rows_sql})"
            ).fetchone() or (None, None)
            assert low is None or column.lower <= low <= high <= column.upper, column


@pytest.mark.parametrize("expression", ["x", "y", "x * y", "x + y", "y * z", "ABS(y)", "x * 1e-30"])
def test_sums_of_extremes_are_exact_up_to_the_stated_rounding(
    session: duckdb.DuckDBPyConnection, expression: str
) -> None:
    found = plan(f"SELECT SUM({expression}) AS s, COUNT({expression}) AS n FROM wide", TABLES)
    (row,) = exact_answer({"a.wide": session}, found, {"a.wide": "base"}).rows
    total, count = (e.value for e in row.estimates if e)
    exact = Fraction(0)
    for x, y in session.execute("SELECT x, y FROM base").fetchall():
        u = _clamped(x, Fraction(WIDEST_COLUMN, 1000))
        v = _clamped(y, Fraction(WIDEST_COLUMN))
        value = _evaluate(expression, u, v)
        exact += value if value is not None else 0
    most = sum((q.most for q in found.quantisation if q.what.startswith("SUM")), Fraction(0))
    assert abs(Fraction(total or 0) - exact) <= most * int(count or 0) + abs(exact) / 2**52


def _clamped(text: str | None, bound: Fraction) -> Fraction | None:
    if text is None:
        return None
    if "inf" in text:
        return -bound
    return min(max(Fraction(text), -bound), bound)


def _evaluate(expression: str, x: Fraction | None, y: Fraction | None) -> Fraction | None:
    z = Fraction(1, 10**9)
    needs = [v for name, v in (("x", x), ("y", y)) if name in expression.replace("1e", "")]
    if None in needs:
        return None
    a, b = x or Fraction(0), y or Fraction(0)
    return {
        "x": a, "y": b, "x * y": a * b, "x + y": a + b, "y * z": b * z, "ABS(y)": abs(b),
        "x * 1e-30": a / 10**30,
    }[expression]  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
def test_generated_statements_never_raise_on_hostile_rows(seed: int) -> None:
    chance = random.Random(seed)
    hostile = {
        "torque": EDGES,
        "speed": ["1e18", "-1e18", "2000.5", "1e400", "99999999999999999999999"],
        "price": ["1e17", "-1e17", "0.005", "inf"],
        "day": ["infinity", "-infinity", "290000-01-01", "0001-01-01"],
        "seen": ["infinity", "-infinity", "290000-01-01 00:00:00", "1900-01-01", None],
        "stars": ["5.4", "1e9", "", None],
        "note": ["\x01", "%", "_", "\\", "é" * 50, "'", '"', ""],
    }
    rows = raw_rows(seed, 1, 40)
    for row in rows:
        for column, values in hostile.items():
            if chance.random() < 0.4:
                row[column] = chance.choice(values)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    store(connection, "base", [{c: row[c] for c in COLUMNS} for row in rows], typed=False)
    generator, tables = Generator(random.Random(50 + seed)), catalogue()
    for _ in range(150):
        found = plan(generator.statement().text, tables)
        connection.execute(fragment_sql(found)).fetchall()


@pytest.mark.parametrize("period", ["year", "month", "day", "second"])
def test_a_statement_full_of_periods_is_planned_without_walking_them(period: str) -> None:
    """A node plans before it asks its policy, and while it plans it does nothing else."""
    column = Column("at", ColumnType.TIMESTAMP, lower=Decimal(0), upper=Decimal(10**10))
    unit = Column("id", ColumnType.INTEGER)
    card = DatasetCard(name="t", columns=(unit, column), privacy_unit="id", row_bound=1000)
    table = {"t": Table("t", card, (Member("a", "t"),))}
    counts = ", ".join([f"COUNT(DATE_TRUNC('{period}', at))"] * 100)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        plan(f"SELECT {counts} FROM t", table)
    finally:
        sys.setprofile(None)
    assert calls < 1_000_000
