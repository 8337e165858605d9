"""Published statements over two and three owners, on small data of the same form."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import duckdb
import pytest

from sandbox.catalog import Column, ColumnType, DatasetCard, Member, Table
from sandbox.sql.algebra import JoinMode, Plan
from sandbox.sql.answer import answer
from sandbox.sql.compile import fragment_sql, vector_from_rows
from sandbox.sql.keys import register
from sandbox.sql.perkey import keys_sql
from sandbox.sql.plan import plan
from tests.sql.inprocess_joins import exact_answer
from tests.sql.town import TYPES

EPOCH, FIRST, LAST = date(1970, 1, 1), date(1993, 1, 1), date(1995, 12, 31)
MODES = ("MAIL", "SHIP", "AIR", "RAIL")
NATIONS = ("CHINA", "INDIA", "JAPAN", "FRANCE")
PRIORITIES = ("1-URGENT", "2-HIGH", "3-MEDIUM", "5-LOW")


def key(name: str, multiplicity: int) -> Column:
    return Column(name, ColumnType.INTEGER, join_key=True, multiplicity=multiplicity)


def text(name: str, *domain: str) -> Column:
    return Column(name, ColumnType.TEXT, domain=domain)


def day(name: str) -> Column:
    low, high = (Decimal((d - EPOCH).days) for d in (FIRST, LAST))
    return Column(name, ColumnType.DATE, lower=low, upper=high)


def decimal(name: str, low: int, high: int, scale: int) -> Column:
    return Column(name, ColumnType.DECIMAL, lower=Decimal(low), upper=Decimal(high), scale=scale)


ORDERS = DatasetCard(
    "orders",
    (key("o_orderkey", 1), text("o_orderpriority", *PRIORITIES), day("o_orderdate"),
     text("n_name", *NATIONS), text("r_name", "ASIA", "EUROPE")),
    "o_orderkey", row_bound=500,
)  # fmt: skip
ITEMS = DatasetCard(
    "lineitem",
    (key("l_orderkey", 7), key("l_partkey", 60), Column("l_id", ColumnType.INTEGER),
     text("l_shipmode", *MODES), decimal("l_extendedprice", 0, 1000, 2), decimal("l_discount", 0, 1, 2),
     day("l_shipdate"), day("l_commitdate"), day("l_receiptdate"), text("s_name", *NATIONS),
     Column("l_quantity", ColumnType.INTEGER, lower=Decimal(1), upper=Decimal(50))),
    "l_id", row_bound=2000,
)  # fmt: skip
PART = DatasetCard(
    "part",
    (key("p_partkey", 1), text("p_brand", "B12", "B23", "B34"), Column("p_type", ColumnType.TEXT),
     Column("p_size", ColumnType.INTEGER, lower=Decimal(1), upper=Decimal(50)),
     text("p_container", "SM", "MED", "LG")),
    "p_partkey", row_bound=100,
)  # fmt: skip
CARDS = {"c.orders": ORDERS, "l.lineitem": ITEMS, "p.part": PART}
TABLES = {n: Table(n, card, (Member(*n.split(".")),)) for n, card in CARDS.items()}
NAMES = {name: name for name in CARDS}
Q5 = """SELECT n_name, SUM(l_extendedprice * (1 - l_discount)) AS revenue FROM c.orders, l.lineitem
WHERE l_orderkey = o_orderkey AND n_name = s_name AND r_name = 'ASIA'
AND o_orderdate >= DATE '1994-01-01' AND o_orderdate < DATE '1995-01-01' GROUP BY n_name
ORDER BY n_name"""
Q12 = """SELECT l_shipmode, SUM(CASE WHEN o_orderpriority IN ('1-URGENT', '2-HIGH') THEN 1 ELSE 0 END)
AS high, SUM(CASE WHEN o_orderpriority NOT IN ('1-URGENT', '2-HIGH') THEN 1 ELSE 0 END) AS low
FROM c.orders, l.lineitem WHERE o_orderkey = l_orderkey AND l_shipmode IN ('MAIL', 'SHIP')
AND l_commitdate < l_receiptdate AND l_receiptdate >= DATE '1994-01-01' GROUP BY 1 ORDER BY 1"""
Q14 = """SELECT 100.0 * SUM(CASE WHEN p_type LIKE 'PROMO%' THEN l_extendedprice * (1 - l_discount)
ELSE 0 END) / SUM(l_extendedprice * (1 - l_discount)) AS promo FROM l.lineitem, p.part
WHERE l_partkey = p_partkey AND l_shipdate >= DATE '1994-09-01'"""
Q19 = """SELECT SUM(l_extendedprice * (1 - l_discount)) AS revenue FROM l.lineitem, p.part
WHERE p_partkey = l_partkey AND ((p_brand = 'B12' AND p_container = 'SM' AND l_quantity BETWEEN 1 AND 11
AND p_size BETWEEN 1 AND 15) OR (p_brand = 'B23' AND p_container IN ('MED', 'SM')
AND l_quantity BETWEEN 10 AND 20) OR (p_brand = 'B34' AND l_quantity BETWEEN 20 AND 40))
AND l_shipmode IN ('AIR', 'RAIL')"""
Q4 = """SELECT o_orderpriority, COUNT(*) AS n FROM c.orders WHERE o_orderdate >= DATE '1993-07-01'
AND EXISTS (SELECT * FROM l.lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)
GROUP BY 1 ORDER BY 1"""


def create(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    card: DatasetCard,
    rows: Sequence[Sequence[object]],
) -> None:
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name.partition('.')[0]}")
    columns = ", ".join(f"{c.name} {TYPES[c.type]}" for c in card.columns)
    connection.execute(f"CREATE TABLE {name} ({columns})")
    connection.executemany(
        f"INSERT INTO {name} VALUES ({', '.join('?' * len(card.columns))})", rows
    )


@pytest.fixture(scope="module")
def trade() -> duckdb.DuckDBPyConnection:
    chance = random.Random(5)
    connection = duckdb.connect()
    register(connection)

    def some_day() -> date:
        return FIRST + timedelta(days=chance.randint(0, (LAST - FIRST).days))

    def cents(most: int) -> Decimal:
        return Decimal(chance.randint(0, most * 100)) / 100

    create(connection, "c.orders", ORDERS, [
        (n, chance.choice(PRIORITIES), some_day(), chance.choice(NATIONS),
         chance.choice(("ASIA", "EUROPE"))) for n in range(120)
    ])  # fmt: skip
    create(connection, "l.lineitem", ITEMS, [
        (order, chance.randrange(45), 10 * order + line, chance.choice(MODES), cents(1000), cents(1),
         some_day(), some_day(), some_day(), chance.choice(NATIONS), chance.randint(1, 50))
        for order in range(130) for line in range(chance.randint(0, 7))
    ])  # fmt: skip
    create(connection, "p.part", PART, [
        (n, chance.choice(("B12", "B23", "B34")), chance.choice(("PROMO TIN", "STANDARD")),
         chance.randint(1, 50), chance.choice(("SM", "MED", "LG"))) for n in range(40)
    ])  # fmt: skip
    return connection


@pytest.mark.parametrize("statement", [Q5, Q12, Q14, Q19], ids=["q5", "q12", "q14", "q19"])
def test_tpch_over_three_owners_is_exact(trade: duckdb.DuckDBPyConnection, statement: str) -> None:
    planned = plan(statement, TABLES)
    assert planned.mode is JoinMode.BLIND
    found = exact_answer(trade, planned, NAMES)
    groups = len(planned.groups)
    wanted = {row[:groups]: row[groups:] for row in trade.execute(statement).fetchall()}
    assert wanted
    for row in found.rows:
        values = [e.value for e in row.estimates if e]
        exact = wanted.pop(row.values[:groups], None)
        if exact is None:
            assert set(values) <= {0, None}
        else:
            assert values == [
                pytest.approx(float(v), rel=1e-12) if isinstance(v, float | Decimal) else v
                for v in exact
            ]
    assert not wanted


def test_tpch_q4_is_a_semi_join(trade: duckdb.DuckDBPyConnection) -> None:
    planned = plan(Q4, TABLES)
    assert planned.mode is JoinMode.PSI
    assert planned.semi is not None
    assert [m.dataset for m in planned.members] == ["orders", "lineitem"]
    assert semi_answer(trade, planned) == trade.execute(Q4).fetchall()


def semi_answer(connection: duckdb.DuckDBPyConnection, planned: Plan) -> list[tuple[object, ...]]:
    assert planned.semi is not None
    keys = keys_sql(planned.semi, planned.semi.table.name)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE matched AS {keys}")
    rows = connection.execute(fragment_sql(planned, planned.table.name)).fetchall()
    vector = vector_from_rows(planned, [(int(p), int(v)) for p, v in rows])
    found = answer(planned, vector, [()] * len(planned.measures))
    return [
        tuple(v if e is None else e.value for v, e in zip(row.values, row.estimates, strict=True))
        for row in found.rows
    ]


def test_the_credit_ranks_of_two_parties_come_out_to_the_cent() -> None:
    """The form of the SCQL tutorial: one row per person at either party, averages exact."""
    person = Column("id", ColumnType.TEXT, join_key=True)
    credit = DatasetCard(
        "credit", (person, Column("credit_rank", ColumnType.INTEGER, domain=(5, 6)),
                   decimal("income", 0, 1_000_000, 0),
                   Column("age", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(120))),
        "id", row_bound=100)  # fmt: skip
    stats = DatasetCard(
        "stats", (person, decimal("order_amount", 0, 100_000, 1),
                  Column("is_active", ColumnType.INTEGER, domain=(0, 1))),
        "id", row_bound=100)  # fmt: skip
    tables = {
        "a.credit": Table("a.credit", credit, (Member("a", "credit"),)),
        "b.stats": Table("b.stats", stats, (Member("b", "stats"),)),
    }
    connection = duckdb.connect()
    register(connection)
    create(connection, "a.credit", credit, [("i1", 6, 100000, 20), ("i2", 5, 90000, 19),
           ("i3", 6, 89700, 32), ("i5", 6, 607000, 30), ("i6", 5, 30070, 25),
           ("i9", 6, 1, 24)])  # fmt: skip
    create(connection, "b.stats", stats, [("i1", Decimal("3598.0"), 1), ("i2", 100, 0),
           ("i5", Decimal("4985.5"), 1), ("i6", Decimal("3598.1"), 1), ("i4", 7, 1)])  # fmt: skip
    statement = """SELECT credit_rank, COUNT(*) AS n, AVG(income) AS income, AVG(order_amount) AS amount
        FROM a.credit c JOIN b.stats s ON c.id = s.id WHERE age >= 20 AND age <= 30 AND is_active = 1
        GROUP BY credit_rank ORDER BY credit_rank"""
    found = exact_answer(connection, plan(statement, tables), {n: n for n in tables})
    values = [[e.value for e in row.estimates if e] for row in found.rows]
    assert values == [[1, 30070, 3598.1], [2, 353500, 4291.75]]


HOSPITALS = """SELECT d.diag, COUNT(*) AS n FROM diagnoses d JOIN k.cohort c ON d.patient = c.patient
GROUP BY d.diag ORDER BY n DESC"""
ASPIRIN = """SELECT COUNT(DISTINCT d.patient) FROM x.diagnoses d JOIN y.medications m USING (patient)
WHERE d.diag = '414' AND m.medication = 'aspirin'"""


def test_two_hospitals_count_diagnoses_of_a_cohort_and_patients_on_aspirin() -> None:
    """The forms of SMCQL's comorbidity and aspirin counts: a collection joined with a third party."""
    patient = key("patient", 3)
    diagnoses = DatasetCard(
        "diagnoses", (patient, text("diag", "008", "414", "250")), "patient", row_bound=50,
        contribution_cap=3, units_span_nodes=True)  # fmt: skip
    cohort = DatasetCard("cohort", (key("patient", 1),), "patient", row_bound=50)
    drugs = DatasetCard(
        "medications", (patient, text("medication", "aspirin", "other")), "patient", row_bound=50,
        contribution_cap=3)  # fmt: skip
    cards = {"x.diagnoses": diagnoses, "y.diagnoses": diagnoses, "k.cohort": cohort,
             "y.medications": drugs}  # fmt: skip
    tables = {n: Table(n, card, (Member(*n.split(".")),)) for n, card in cards.items()}
    tables["diagnoses"] = Table(
        "diagnoses", diagnoses, (Member("x", "diagnoses"), Member("y", "diagnoses"))
    )
    connection = duckdb.connect()
    register(connection)
    create(connection, "x.diagnoses", diagnoses, [(1, "008"), (1, "414"), (2, "414"), (3, "414")])
    create(connection, "y.diagnoses", diagnoses, [(1, "008"), (2, "250"), (4, "414"), (2, "414")])
    create(connection, "k.cohort", cohort, [(1,), (2,), (9,)])
    create(connection, "y.medications", drugs, [(1, "aspirin"), (1, "aspirin"), (3, "aspirin"),
                                                (2, "other"), (8, "aspirin")])  # fmt: skip
    connection.execute(
        "CREATE VIEW diagnoses AS SELECT * FROM x.diagnoses UNION ALL SELECT * FROM y.diagnoses"
    )
    names = {n: n for n in cards}
    planned = plan(HOSPITALS, tables)
    found = {
        row.values[0]: row.estimates[1] for row in exact_answer(connection, planned, names).rows
    }
    assert {k: e.value for k, e in found.items() if e and e.value} == dict(
        connection.execute(HOSPITALS).fetchall()
    )
    # A patient may be at both hospitals: a unit of the cohort meets three rows at each.
    assert planned.measures[0].changes[1].l1 == Fraction(6)
    counted = exact_answer(connection, plan(ASPIRIN, tables), names).rows[0].estimates[0]
    assert counted is not None
    assert [(counted.value,)] == connection.execute(ASPIRIN).fetchall()
