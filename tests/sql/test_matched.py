"""The plan of `sandbox join`: one statement, the key's columns alone, nothing released."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pytest

from sandbox.catalog import Column, ColumnType, DatasetCard, Member, Table
from sandbox.errors import InputError, SandboxError
from sandbox.sql.keys import register
from sandbox.sql.matched import columns_on, matched_plan, matched_sql, matched_statement, plan_of
from sandbox.sql.noise import capacity, job_noise


def card(name: str, person: str, normaliser: str = "") -> DatasetCard:
    return DatasetCard(
        name=name,
        columns=(
            Column(person, ColumnType.TEXT, join_key=True, normaliser=normaliser),
            Column("day", ColumnType.DATE, join_key=True),
            Column("amount", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(9)),
        ),
        privacy_unit=person,
        row_bound=10,
    )


def table(name: str, shown: DatasetCard, *nodes: str) -> Table:
    return Table(name, shown, tuple(Member(node, shown.name) for node in nodes))


TABLES = {
    "a.visits": table("a.visits", card("visits", "person"), "fs1a"),
    "b.bills": table("b.bills", card("bills", "payer"), "fs1b"),
    "c.mails": table("c.mails", card("mails", "person", "email"), "fs1c"),
    "a.others": table("a.others", card("others", "person"), "fs1a"),
    "everyone": table("everyone", card("visits", "person"), "fs1a", "fs1c"),
}
BOTH = matched_statement("a.visits", "b.bills", columns_on("person=payer,day"))


def test_composite_key_of_other_names_is_planned_and_releases_nothing() -> None:
    planned = matched_plan(BOTH, TABLES)
    assert planned.matched == ("person", "day")
    assert planned.semi is not None
    assert [key.name for key in planned.semi.keys] == ["payer", "day"]
    assert planned.length == 0
    noise = job_noise(planned, Decimal(0), Decimal(0), {})
    assert (noise.charge.epsilon, noise.charge.loss(None), capacity(planned, noise)) == (0, 0, 0)


def test_receiver_reads_its_key_as_it_is_beside_the_form_that_is_compared() -> None:
    planned = matched_plan(BOTH, TABLES)
    assert planned.semi is not None
    with duckdb.connect() as connection:
        register(connection)
        connection.execute(
            "CREATE TABLE rows AS SELECT person, person AS payer, '1970-01-03' AS day "
            "FROM (VALUES (' Ann '), ('Bob'), (NULL)) AS people(person)"
        )
        ours = connection.sql(matched_sql(planned.sides[0], "rows")).fetchall()
        theirs = connection.sql(matched_sql(planned.semi, "rows")).fetchall()
    day = "1970-01-03"
    # NULL: it is as it is compared; nobody has the last one.
    assert ours == [("Ann", 2, " Ann ", day), ("Bob", 2, None, day), (None, 2, None, day)]
    assert theirs == [("Ann", 2), ("Bob", 2), (None, 2)]


@pytest.mark.parametrize(
    "statement",
    [
        BOTH + " LIMIT 1",
        BOTH.removesuffix(")") + " WHERE amount > 5)",
        BOTH.replace('SELECT "person", "day"', 'SELECT "person", "amount"'),
        BOTH.replace(" IN ", " NOT IN "),
        f"WITH x AS (SELECT 1) {BOTH}",
        'SELECT "person" FROM "a"."visits"',
        "SELECT COUNT(*) FROM a.visits WHERE person IN (SELECT payer FROM b.bills)",
    ],
)
def test_any_other_statement_is_no_disclosure(statement: str) -> None:
    """A filter on the sender's side would tell more of its rows than their keys."""
    with pytest.raises(SandboxError, match=r"SB-1090|SB-1003"):
        matched_plan(statement, TABLES)


@pytest.mark.parametrize(
    ("receiver", "sender", "on", "code"),
    [
        ("everyone", "b.bills", "person=payer", "SB-1091"),
        ("a.visits", "a.others", "person", None),
        ("a.visits", "a.visits", "person", "SB-1017"),
        ("a.visits", "c.mails", "person", "SB-1071"),
        ("a.visits", "b.bills", "person=day", "SB-1071"),
        ("a.visits", "b.bills", "amount", "SB-1060"),
        ("a.visits", "b.bills", "person", "SB-1005"),
        ("a.visits", "b.bill", "person", "SB-1004"),
    ],
)
def test_tables_and_columns_that_cannot_be_joined_are_refused_by_name(
    receiver: str, sender: str, on: str, code: str | None
) -> None:
    statement = matched_statement(receiver, sender, columns_on(on))
    if code is None:
        assert matched_plan(statement, TABLES).matched == ("person",)
        return
    with pytest.raises(SandboxError, match=code):
        matched_plan(statement, TABLES)


@pytest.mark.parametrize("written", ["", ",", "a,,b", "=b", "a="])
def test_columns_that_are_not_named_are_refused(written: str) -> None:
    with pytest.raises(InputError, match="SB-1093"):
        columns_on(written)


def test_disclosure_signed_as_a_query_is_refused_and_a_query_signed_as_a_disclosure() -> None:
    with pytest.raises(SandboxError):
        plan_of(BOTH, TABLES, disclosed=False)
    counted = "SELECT COUNT(*) FROM a.visits WHERE person IN (SELECT payer FROM b.bills)"
    with pytest.raises(InputError, match="SB-1090"):
        plan_of(counted, TABLES, disclosed=True)
