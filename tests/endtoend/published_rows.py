"""Small tables of the form of TPC-H's, SMCQL's and SCQL's, in which every statement has an answer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.published.tpch import INSTRUCTIONS, NATIONS, PRIORITIES, REGIONS, SEGMENTS

REGION_OF = {"CHINA": 2, "INDIA": 2, "FRANCE": 3, "GERMANY": 3}
BOUGHT = (date(1993, 8, 1), date(1994, 3, 1), date(1995, 2, 1), date(1996, 5, 1))
PARTS = (
    ("Brand#12", "SM CASE", "PROMO TIN"),
    ("Brand#23", "MED BAG", "STANDARD"),
    ("Brand#34", "LG BOX", "PROMO"),
)
Rows = Sequence[Sequence[object]]


def tpch(folder: Path) -> None:
    """Write the eight tables as Parquet: 60 orders of 1 to 7 lines."""
    chance = random.Random(11)
    known = [NATIONS.index(name) for name in REGION_OF]

    def money(low: int, high: int) -> Decimal:
        return Decimal(chance.randint(100 * low, 100 * high)) / 100

    def soon(after: date) -> date:
        return after + timedelta(days=chance.randint(1, 300))

    orders = [
        (n, chance.randrange(14), chance.choice("FOP"), money(1, 1000),
         chance.choice(BOUGHT) + timedelta(days=chance.randint(0, 60)), chance.choice(PRIORITIES), "c",
         0, chance.choice(("", "a special lot of requests")))
        for n in range(60)
    ]  # fmt: skip
    lines = [
        (order[0], chance.randrange(9), chance.randrange(6), line, Decimal(chance.randint(1, 50)),
         money(900, 90_000), Decimal(chance.randint(0, 10)) / 100, Decimal(chance.randint(0, 8)) / 100,
         *chance.choice((("A", "F"), ("N", "F"), ("N", "O"), ("R", "F"))), soon(order[4]),
         soon(order[4]), soon(order[4]), chance.choice(INSTRUCTIONS[:2]),
         chance.choice(("AIR", "MAIL", "SHIP")))
        for order in orders for line in range(chance.randint(1, 7))
    ]  # fmt: skip
    tables: dict[str, tuple[str, Rows]] = {
        "nation": ("n_nationkey n_name n_regionkey",
                   [(n, name, REGION_OF.get(name, 0)) for n, name in enumerate(NATIONS)]),
        "region": ("r_regionkey r_name", list(enumerate(REGIONS))),
        "customer": ("c_custkey c_name c_address c_nationkey c_phone c_acctbal c_mktsegment c_comment",
                     [(n, f"c{n}", "", known[n % 4], f"13-{n}", money(-100, 900),
                       chance.choice(SEGMENTS), "") for n in range(15)]),
        "supplier": ("s_suppkey s_name s_address s_nationkey s_phone s_acctbal s_comment",
                     [(n, f"s{n}", "", known[n % 4], "", money(-100, 900), "")
                      for n in range(6)]),
        "part": ("p_partkey p_name p_mfgr p_brand p_type p_size p_container p_retailprice",
                 [(n, "green", "", *PARTS[n % 3][::2], chance.randint(1, 5), PARTS[n % 3][1],
                   Decimal(1000)) for n in range(9)]),
        "partsupp": ("ps_partkey ps_suppkey ps_availqty ps_supplycost",
                     [(n, n % 6, 5, Decimal(10)) for n in range(9)]),
        "orders": ("o_orderkey o_custkey o_orderstatus o_totalprice o_orderdate o_orderpriority o_clerk "
                   "o_shippriority o_comment", orders),
        "lineitem": ("l_orderkey l_partkey l_suppkey l_linenumber l_quantity l_extendedprice l_discount "
                     "l_tax l_returnflag l_linestatus l_shipdate l_commitdate l_receiptdate "
                     "l_shipinstruct l_shipmode", lines),
    }  # fmt: skip
    for name, (columns, rows) in tables.items():
        written = dict(zip(columns.split(), map(_column, zip(*rows, strict=True)), strict=True))
        pq.write_table(pa.table(written), folder / f"{name}.parquet")


def _column(values: Sequence[object]) -> pa.Array:
    exact = any(isinstance(value, Decimal) for value in values)
    return pa.array(values, pa.decimal128(15, 2) if exact else None)


HEART = {
    "site1": ([(1, "03/05/06"), (3, "05/02/06"), (4, "01/05/06"), (6, "06/10/06"), (7, "05/30/06"),
               (8, "02/01/06"), (4, "12/05/06")],
              [(2, "05/20/06"), (3, "04/01/06"), (4, "02/05/06"), (7, "05/01/06"), (8, "01/01/06")]),
    "site2": ([(2, "05/02/06"), (4, "01/06/06"), (5, "04/04/06"), (8, "03/01/06")],
              [(1, "04/01/06"), (4, "03/05/06"), (5, "04/04/06"), (6, "06/09/06"), (7, "05/30/06"),
               (8, "02/15/06")]),
}  # fmt: skip
"""Diagnoses of the heart and doses of aspirin, by hospital: a date of each may be needed, of one month
or of two; the same day counts, a day before does not, and who is treated at both is one patient."""
CDIFF = {
    "site1": [(1, "01/01/06"), (2, "01/01/06"), (4, "03/16/06"), (5, "03/01/06"), (6, "01/01/06"),
              (6, "01/15/06")],
    "site2": [(1, "01/20/06"), (2, "01/10/06"), (2, "02/20/06"), (4, "03/01/06"), (5, "04/27/06"),
              (6, "01/20/06")],
}  # fmt: skip
"""Infections: 19 days apart at two hospitals, 41 at one, 15, 57, and 19 with another in between."""


def smcql(folder: Path) -> None:
    """Write both hospitals' tables as SMCQL does: no header, American dates."""
    for site, (hearts, doses) in HEART.items():
        found = [(*h, "414.01") for h in hearts] + [(*c, "008.45") for c in CDIFF[site]]
        with (folder / f"{site}_diagnoses.csv").open("w", encoding="utf-8") as file:
            for patient, day, code in found:
                print(
                    patient,
                    4,
                    2006,
                    1,
                    1,
                    1,
                    1,
                    1,
                    code,
                    1,
                    day,
                    code,
                    code[:3],
                    sep=",",
                    file=file,
                )
        with (folder / f"{site}_medications.csv").open("w", encoding="utf-8") as file:
            for patient, day in doses:
                drug = "Aspirin" if patient % 2 else "baby aspirin"
                print(patient, 4, 2006, 1, drug, "10 mg", "oral", day, sep=",", file=file)
            print(3, 4, 2006, 1, "ibuprofen", "10 mg", "oral", "12/01/06", sep=",", file=file)


def scql(folder: Path) -> None:
    """Write both parties' tables with a header."""
    chance = random.Random(2)
    alice = [(f"id{n}", chance.choice((5, 6, 7)), 70 * n + 10_000, 18 + n % 15) for n in range(30)]
    bob = [(f"id{n}", f"{chance.randint(0, 99_999) / 10}", n % 2) for n in range(5, 40)]
    for name, head, rows in (
        ("alice_user_credit", "ID,credit_rank,income,age", alice),
        ("bob_user_stats", "ID,order_amount,is_active", bob),
    ):
        text = "\n".join([head, *(",".join(map(str, row)) for row in rows)])
        (folder / f"{name}.csv").write_text(text + "\n", encoding="utf-8")
