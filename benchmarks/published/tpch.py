"""TPC-H (www.tpc.org, specification 3.0.1) over three owners: sales, shipping, parts.

Sales knows customers and orders, shipping lineitems and suppliers, each with a view over both; nations
and regions are public, and both have them. An order is the privacy unit of sales and of shipping.
"""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

from benchmarks.published.model import Dataset, Workload, text
from benchmarks.published.tpch_statements import STATEMENTS
from sandbox.catalog import Column, ColumnType, DatasetCard

EPOCH, FIRST, LAST = date(1970, 1, 1), date(1992, 1, 1), date(1998, 12, 31)
ORDERS_PER_SCALE, LINES_PER_ORDER, LINES_PER_PART, ORDERS_PER_CUSTOMER = 1_500_000, 7, 64, 48
NATIONS = (
    "ALGERIA", "ARGENTINA", "BRAZIL", "CANADA", "CHINA", "EGYPT", "ETHIOPIA", "FRANCE", "GERMANY",
    "INDIA", "INDONESIA", "IRAN", "IRAQ", "JAPAN", "JORDAN", "KENYA", "MOROCCO", "MOZAMBIQUE", "PERU",
    "ROMANIA", "RUSSIA", "SAUDI ARABIA", "UNITED KINGDOM", "UNITED STATES", "VIETNAM",
)  # fmt: skip
REGIONS = ("AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST")
PRIORITIES = ("1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW")
SEGMENTS = ("AUTOMOBILE", "BUILDING", "FURNITURE", "HOUSEHOLD", "MACHINERY")
MODES = ("AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK")
INSTRUCTIONS = ("COLLECT COD", "DELIVER IN PERSON", "NONE", "TAKE BACK RETURN")
BRANDS = tuple(f"Brand#{maker}{n}" for maker in range(1, 6) for n in range(1, 6))
CONTAINERS = tuple(
    f"{size} {kind}"
    for size in ("JUMBO", "LG", "MED", "SM", "WRAP")
    for kind in ("BAG", "BOX", "CAN", "CASE", "DRUM", "JAR", "PACK", "PKG")
)
TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")


def _key(name: str, multiplicity: int = 1) -> Column:
    return Column(name, ColumnType.INTEGER, join_key=True, multiplicity=multiplicity)


def _whole(name: str, low: int, high: int) -> Column:
    return Column(name, ColumnType.INTEGER, lower=Decimal(low), upper=Decimal(high))


def _exact(name: str, low: str, high: str) -> Column:
    return Column(name, ColumnType.DECIMAL, lower=Decimal(low), upper=Decimal(high), scale=2)


def _day(name: str) -> Column:
    low, high = (Decimal((day - EPOCH).days) for day in (FIRST, LAST))
    return Column(name, ColumnType.DATE, lower=low, upper=high)


def _card(name: str, rows: int, cap: int, *columns: Column) -> DatasetCard:
    return DatasetCard(
        name, columns, columns[0].name, rows, contribution_cap=cap, typical_rows=rows
    )


def workload(scale: Decimal) -> Workload:
    """Return TPC-H at a scale factor; cards bound rows as the specification does."""
    orders = int(ORDERS_PER_SCALE * scale)
    lines, customers, parts = LINES_PER_ORDER * orders, orders // 10, orders * 2 // 15
    bought = (
        _key("o_orderkey"), _key("o_custkey", ORDERS_PER_CUSTOMER), text("o_orderstatus", "F", "O", "P"),
        _exact("o_totalprice", "0", "700000"), _day("o_orderdate"),
        text("o_orderpriority", *PRIORITIES), text("o_clerk"), _whole("o_shippriority", 0, 0),
        text("o_comment"),
    )  # fmt: skip
    shipped = (
        _key("l_orderkey", LINES_PER_ORDER), _key("l_partkey", LINES_PER_PART), _key("l_suppkey", 10**5),
        _exact("l_quantity", "1", "50"), _exact("l_extendedprice", "0", "105000"),
        _exact("l_discount", "0", "0.1"), _exact("l_tax", "0", "0.08"),
        text("l_returnflag", "A", "N", "R"), text("l_linestatus", "F", "O"), _day("l_shipdate"),
        _day("l_commitdate"), _day("l_receiptdate"), text("l_shipinstruct", *INSTRUCTIONS),
        text("l_shipmode", *MODES),
    )  # fmt: skip
    nation = _card(
        "nation", 25, 1, _key("n_nationkey"), text("n_name", *NATIONS), _key("n_regionkey", 5)
    )
    region = _card("region", 5, 1, _key("r_regionkey"), text("r_name", *REGIONS))
    datasets = (
        Dataset("sales", nation, "nation"),
        Dataset("sales", region, "region"),
        Dataset("sales", _card("customer", customers, 1, _key("c_custkey"), text("c_name"),
                text("c_phone"), _key("c_nationkey", customers), text("c_mktsegment", *SEGMENTS),
                text("c_address"), text("c_comment"), _exact("c_acctbal", "-1000", "10000")),
                "customer"),
        Dataset("sales", _card("orders", orders, 1, *bought), "orders"),
        Dataset("sales", _card("customer_orders", orders, 1, *bought, text("c_nation", *NATIONS),
                text("c_region", *REGIONS), text("c_mktsegment", *SEGMENTS)), view=CUSTOMER_ORDERS),
        Dataset("sales", _card("order_counts", customers, 1, _key("c_custkey"),
                _whole("c_count", 0, ORDERS_PER_CUSTOMER)), view=ORDER_COUNTS),
        Dataset("shipping", nation, "nation"),
        Dataset("shipping", region, "region"),
        Dataset("shipping", _card("supplier", orders // 150, 1, _key("s_suppkey"), text("s_name"),
                text("s_address"), _key("s_nationkey", orders), text("s_phone"), text("s_comment"),
                _exact("s_acctbal", "-1000", "10000")), "supplier"),
        Dataset("shipping", _card("lineitem", lines, LINES_PER_ORDER, *shipped), "lineitem"),
        Dataset("shipping", _card("lineitem_supplier", lines, LINES_PER_ORDER, *shipped,
                text("s_nation", *NATIONS), text("s_region", *REGIONS)), view=LINEITEM_SUPPLIER),
        Dataset("parts", _card("part", parts, 1, _key("p_partkey"), text("p_name"), text("p_mfgr"),
                text("p_brand", *BRANDS), text("p_type"), _whole("p_size", 1, 50),
                text("p_container", *CONTAINERS), _exact("p_retailprice", "900", "2100")), "part"),
        Dataset("parts", _card("partsupp", 4 * parts, 4, _key("ps_partkey", 4),
                _key("ps_suppkey", 10**5), _whole("ps_availqty", 1, 9999),
                _exact("ps_supplycost", "1", "1000")), "partsupp"),
    )  # fmt: skip
    # What two owners have is named by the one who is asked first.
    names = {d.card.name: d.name for d in reversed(datasets)}
    return Workload("tpch", datasets, names, STATEMENTS, _files)


CUSTOMER_ORDERS = """
SELECT orders.*, n_name AS c_nation, r_name AS c_region, c_mktsegment FROM orders
JOIN customer ON o_custkey = c_custkey JOIN nation ON c_nationkey = n_nationkey
JOIN region ON n_regionkey = r_regionkey"""
ORDER_COUNTS = """
SELECT c_custkey, COUNT(o_orderkey) AS c_count FROM customer
LEFT JOIN orders ON c_custkey = o_custkey AND o_comment NOT LIKE '%special%requests%'
GROUP BY c_custkey"""
LINEITEM_SUPPLIER = """
SELECT lineitem.*, n_name AS s_nation, r_name AS s_region FROM lineitem
JOIN supplier ON l_suppkey = s_suppkey JOIN nation ON s_nationkey = n_nationkey
JOIN region ON n_regionkey = r_regionkey"""


def _files(data: Path, _: Path) -> dict[str, Path]:
    return {table: data / f"{table}.parquet" for table in TABLES}


def reference(data: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return the answers that come with the tables, by statement; empty if none do."""
    file = data / "reference_answers.json"
    if not file.exists():
        return {}
    answers = json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)["answers"]
    return {name: [tuple(row.values()) for row in rows] for name, rows in answers.items()}
