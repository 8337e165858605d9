"""Joins without a protocol are refused at explain, by name."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from sandbox.catalog import Column, ColumnType, DatasetCard, Member, Table
from sandbox.errors import InputError, Refusal
from sandbox.sql.noise import job_noise
from sandbox.sql.perkey import key_columns
from sandbox.sql.plan import plan
from sandbox.sql.preparing import preparing_plan, preparing_statement
from sandbox.sql.runnable import MOST_DUMMIES, require_protocol, require_verifiable

CARD = DatasetCard(
    name="t",
    columns=(
        Column("k", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(99), join_key=True),
        Column("x", ColumnType.INTEGER, lower=Decimal(0), upper=Decimal(9)),
        Column("g", ColumnType.INTEGER, domain=tuple(range(100))),
    ),
    privacy_unit="k",
    row_bound=100,
)


def table(name: str, node: str, rows: int = 100) -> Table:
    return Table(name, replace(CARD, row_bound=rows), (Member(node, name),))


def collection(name: str, members: int) -> Table:
    """Return a table of many nodes, by fingerprints as long as they are."""
    nodes = (f"{name}{n:063d}" for n in range(members))
    return Table(name, replace(CARD, name=name), tuple(Member(node, name) for node in nodes))


TABLES = {name: table(name, name) for name in ("a", "b", "c")}


def test_two_tables_at_two_nodes_run() -> None:
    require_protocol(plan("SELECT COUNT(*) FROM a JOIN b USING (k)", TABLES))
    require_protocol(plan("SELECT COUNT(*) FROM a WHERE k IN (SELECT k FROM b)", TABLES))
    require_protocol(plan("SELECT SUM(x) FROM a", TABLES))


def test_three_to_five_tables_run() -> None:
    tables = {name: table(name, name) for name in "abcde"}
    for names in ("abc", "abcd", "abcde"):
        first, *others = names
        text = f"SELECT a.x, COUNT(*) FROM {first}"
        text += "".join(f" JOIN {other} USING (k)" for other in others)
        require_protocol(plan(f"{text} GROUP BY 1", tables))


def test_joins_of_two_tables_by_the_coordinator_are_verified_and_no_others() -> None:
    require_verifiable(plan("SELECT COUNT(*) FROM a JOIN b USING (k)", TABLES))
    require_verifiable(plan("SELECT COUNT(*) FROM a LEFT JOIN b USING (k)", TABLES))
    for text in ("SELECT COUNT(*) FROM a WHERE k IN (SELECT k FROM b)", "SELECT SUM(x) FROM a"):
        with pytest.raises(InputError, match="SB-1096"):
            require_verifiable(plan(text, TABLES))
    with pytest.raises(Refusal, match="SB-1105"):
        require_verifiable(plan("SELECT COUNT(*) FROM a JOIN b USING (k) JOIN c USING (k)", TABLES))


def test_an_equality_with_what_is_grouped_by_takes_one_column_for_each_value() -> None:
    card = replace(CARD, columns=(*CARD.columns, Column("h", ColumnType.INTEGER, domain=(0, 1, 2))))
    tables = {n: Table(n, replace(card, name=n), (Member(n, n),)) for n in ("a", "b")}
    for grouped in ("a.h", "b.h", "a.h, b.h"):
        equal = plan(
            f"SELECT COUNT(*) FROM a JOIN b USING (k) WHERE a.h = b.h GROUP BY {grouped}", tables
        )
        assert [len(key_columns(equal, side)) for side in equal.sides] == [3, 3]
    two = plan(
        "SELECT a.h, COUNT(*) FROM a JOIN b USING (k) "
        "WHERE a.h = 1 AND b.x = 1 OR a.h = 2 AND b.x = 3 GROUP BY a.h",
        tables,
    )
    assert {cell for _, cell in key_columns(two, two.sides[0])} >= {1, 2}
    never = plan("SELECT a.h, COUNT(*) FROM a JOIN b USING (k) WHERE a.h = 1 AND a.h = 2 GROUP BY 1",
                 tables)  # fmt: skip
    assert len(key_columns(never, never.sides[0])) == 1


@pytest.mark.parametrize(
    ("statement", "tables", "code"),
    [
        (
            "SELECT COUNT(*) FROM a JOIN b USING (k) WHERE (a.x > 3 OR b.x > 3) AND NOT "
            "(a.x > 3 OR b.x > 3)",
            TABLES,
            "SB-1102",
        ),
        (
            "SELECT a.x, b.x, c.x, COUNT(*), SUM(a.x * b.x), SUM(b.x * c.x), SUM(a.x * c.x), "
            "SUM(a.x * b.x * c.x) FROM a JOIN b USING (k) JOIN c USING (k) GROUP BY 1, 2, 3",
            TABLES,
            "SB-1100",
        ),
        (
            "SELECT a.x, b.x, COUNT(*) FROM a JOIN b USING (k) JOIN c USING (k) GROUP BY 1, 2",
            {name: table(name, name, 2**24) for name in "abc"},
            "SB-1101",
        ),
        (
            "SELECT COUNT(*) FROM a JOIN b USING (k)",
            {name: collection(name, 40) for name in "ab"},
            "SB-1103",
        ),
        (
            "SELECT a.x, b.x, COUNT(*), SUM(c.x) FROM a JOIN b USING (k) JOIN c USING (k) "
            "GROUP BY 1, 2",
            {"a": collection("a", 900), "b": table("b", "b"), "c": table("c", "c")},
            "SB-1103",
        ),
        (
            "SELECT COUNT(*) FROM a JOIN b USING (k)",
            {"a": table("a", "one"), "b": table("b", "one")},
            "SB-1089",
        ),
        ("SELECT a.g, COUNT(*) FROM a JOIN b USING (k) GROUP BY a.g", TABLES, "SB-1087"),
        (
            "SELECT COUNT(*) FROM a WHERE k IN (SELECT k FROM b)",
            {"a": table("a", "a"), "b": table("b", "b", 2**30)},
            "SB-1087",
        ),
    ],
)
def test_what_has_no_protocol_is_refused(
    statement: str, tables: dict[str, Table], code: str
) -> None:
    with pytest.raises(Refusal, match=code):
        require_protocol(plan(statement, tables))


EPSILON, DELTA = Decimal(1), Decimal("0.000001")


def reaching(keys: int, *names: str) -> dict[str, Table]:
    """Return tables of which one unit reaches many keys."""
    unit = Column("u", ColumnType.INTEGER)
    card = replace(
        CARD,
        columns=(*CARD.columns, unit),
        privacy_unit="u",
        contribution_cap=keys,
        row_bound=50_000,
    )
    return {n: Table(n, replace(card, name=n), (Member(n, n),)) for n in names}


def test_a_join_that_drowns_in_dummies_is_refused_before_anything_is_spent() -> None:
    two = "SELECT COUNT(*) FROM a JOIN b USING (k)"
    planned = plan(two, reaching(23_184, "a", "b"))
    require_protocol(planned)
    with pytest.raises(Refusal, match="SB-1104") as refused:
        job_noise(planned, EPSILON, DELTA, {})
    assert refused.value.facts["keys"] == 23_184
    assert refused.value.facts["table"] in {"a", "b"}
    # What the text says helps does: fewer rows of a unit, more epsilon.
    assert job_noise(plan(two, reaching(100, "a", "b")), EPSILON, DELTA, {}).member_dummies > 0
    edge = plan(two, reaching(4_000, "a", "b"))
    assert job_noise(edge, EPSILON, DELTA, {}).member_dummies <= MOST_DUMMIES
    with pytest.raises(Refusal, match="SB-1104"):
        job_noise(edge, Decimal("0.5"), DELTA, {})


def test_a_preparation_and_what_runs_over_it_are_held_to_their_own_dummies() -> None:
    tables = reaching(23_184, "a", "b")
    prepared = preparing_plan(preparing_statement("a", "b", (("k", "k"),)), tables)
    with pytest.raises(Refusal, match="SB-1104"):
        job_noise(prepared, Decimal("0.05"), Decimal("1e-10"), {})
    assert job_noise(prepared, Decimal(1), DELTA, {}).member_dummies <= MOST_DUMMIES
    over = plan("SELECT COUNT(*) FROM a JOIN b USING (k)", tables)
    assert job_noise(over, EPSILON, DELTA, {}, prepared=True).member_dummies == 0


def test_shares_of_three_tables_are_held_to_rows_and_dummies_together() -> None:
    text = "SELECT a.x, b.x, COUNT(*) FROM a JOIN b USING (k) JOIN c USING (k) GROUP BY 1, 2"
    few, many = (plan(text, reaching(keys, "a", "b", "c")) for keys in (1, 500))
    for planned in (few, many):
        require_protocol(planned)
    job_noise(few, EPSILON, DELTA, {})
    with pytest.raises(Refusal, match="SB-1101"):
        job_noise(many, EPSILON, DELTA, {})
