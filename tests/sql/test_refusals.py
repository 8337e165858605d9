"""What is not supported is refused with its position, the reason, and what to write instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandbox.catalog import Table
from sandbox.errors import InputError, Refusal, SandboxError
from sandbox.sql.plan import plan
from tests.sql.plants import CARD, catalogue

BOTH = "SELECT * FROM a.machines UNION ALL SELECT * FROM b.machines"
SPANNING = replace(CARD, units_span_nodes=True)


def refusal(statement: str, tables: dict[str, Table] | None = None) -> SandboxError:
    with pytest.raises((InputError, Refusal)) as caught:
        plan(statement, tables or catalogue())
    return caught.value


def one(where: str) -> str:
    return f"SELECT COUNT(*) FROM machines {where}"


@pytest.mark.parametrize(
    ("statement", "code", "column", "cure"),
    [
        ("SELECT COUNT(*) FROM machine", "SB-1004", 22, "machines"),
        ("SELECT COUNT(*) FROM a.machnes", "SB-1004", 22, "a.machines"),
        ("SELECT x.kind, COUNT(*) FROM machines", "SB-1004", 8, "machines"),
        ("SELECT AVG(torqe) FROM machines", "SB-1005", 12, "torque"),
        ("SELECT AVGG(torque) FROM machines", "SB-1006", 8, "AVG"),
        ("SELECT AVG(sqroot(torque)) FROM machines", "SB-1006", 12, "SQRT"),
        ("SELECT AVG(kind) FROM machines", "SB-1007", 12, "one type"),
        (one("WHERE kind = 3"), "SB-1007", 37, "one type"),
        (one("WHERE torque"), "SB-1007", 37, "one type"),
        (one("WHERE day > '2024-13-01'"), "SB-1007", 37, "DATE"),
        (one("WHERE seen > '2024-01-01 00:00:00.5'"), "SB-1007", 37, "DATE"),
        (one("WHERE seen > '2024-01-01 00:00:00+02:00'"), "SB-1007", 37, "DATE"),
        ("SELECT kind, COUNT(*) FROM machines", "SB-1008", 8, "GROUP BY"),
        ("SELECT torque + COUNT(*) FROM machines", "SB-1008", 8, "AVG(torque)"),
        ("SELECT COUNT(*) FROM machines GROUP BY 2", "SB-1009", 1, "1 to 1"),
        ("SELECT COUNT(*) FROM machines ORDER BY 3", "SB-1009", 1, "1 to 1"),
        ("SELECT SUM(ROUND(torque, 1, 2)) FROM machines", "SB-10", 1, ""),
        ("SELECT SUM(LEFT(kind)) FROM machines", "SB-10", 1, ""),
        ("SELECT AVG(torque * 1e999) FROM machines", "SB-1011", 21, "LEAST"),
        ("SELECT AVG(torque + 1e99999999) FROM machines", "SB-1011", 21, "LEAST"),
        ("SELECT SUM(POWER(price * speed * id, 8)) FROM machines", "SB-1011", 12, "LEAST"),
        ("SELECT SUM(AVG(torque)) FROM machines", "SB-1013", 12, "HAVING"),
        (one("WHERE AVG(torque) > 3"), "SB-1013", 37, "HAVING"),
        (one("GROUP BY COUNT(*)"), "SB-1013", 1, "HAVING"),
        (
            "SELECT COUNT(*) FROM (SELECT kind FROM machines GROUP BY kind)",
            "SB-1014",
            58,
            "outermost",
        ),
        ("SELECT COUNT(*) FROM (SELECT kind FROM machines LIMIT 5)", "SB-1014", 1, "outermost"),
        (
            "WITH t AS (SELECT kind FROM machines ORDER BY kind) SELECT COUNT(*) FROM t",
            "SB-1014",
            1,
            "outermost",
        ),
        (one("JOIN a.machines USING (id)"), "SB-1060", 54, "join_key"),
        ("SELECT COUNT(*) FROM machines, a.machines", "SB-1068", 32, "USING"),
        ("SELECT COUNT(*) FROM machines m CROSS JOIN machines n", "SB-1069", 1, "JOIN"),
        ("SELECT COUNT(*) + 'x' FROM machines", "SB-1018", 1, "WHERE"),
        ("SELECT COUNT(*) * 1e999 FROM machines", "SB-1011", 19, "LEAST"),
        ("SELECT LOWER(kind), COUNT(*) FROM machines", "SB-1018", 8, "aggregates"),
        ("SELECT COALESCE(AVG(torque), 0) FROM machines", "SB-1018", 8, "aggregates"),
        ("SELECT CASE WHEN COUNT(*) > 3 THEN 1 END FROM machines", "SB-1018", 18, "aggregates"),
        (
            "SELECT kind, COUNT(*) FROM machines GROUP BY kind HAVING kind = 'L'",
            "SB-1018",
            58,
            "WHERE",
        ),
        (
            "SELECT kind, COUNT(*) FROM machines GROUP BY kind HAVING COUNT(*) IN (1)",
            "SB-1018",
            1,
            "WHERE",
        ),
        ("SELECT kind FROM machines GROUP BY kind", "SB-1019", 8, "COUNT(*)"),
        (
            one("GROUP BY DATE_TRUNC('day', day), HOUR(seen), kind, failed"),
            "SB-1020",
            1,
            "fewer",
        ),
        (
            "SELECT kind, COUNT(*) FROM machines GROUP BY kind ORDER BY SUM(torque)",
            "SB-1022",
            1,
            "SELECT list",
        ),
        ("SELECT MIN(torque) FROM machines", "SB-1050", 8, "APPROX_QUANTILE"),
        ("SELECT string_agg(note, ',') FROM machines", "SB-1050", 8, "COUNT(*)"),
        ("SELECT quantile_cont(torque + (speed), 0.5) FROM machines", "SB-1050", 8, "QUANTILE"),
        ("SELECT SUM(SUBSTRING(torque, 1, 2)) FROM machines", "SB-1007", 12, "one type"),
        ("SELECT AVG(EXTRACT(year FROM torque)) FROM machines", "SB-1007", 12, "one type"),
        ("SELECT COUNT(*) FROM machines GROUP BY note", "SB-1052", 40, "CASE"),
        ("SELECT COUNT(*) FROM machines GROUP BY torque * price", "SB-1052", 40, "FLOOR"),
        ("SELECT COUNT(*) FROM machines GROUP BY id", "SB-1053", 40, "COUNT(DISTINCT id)"),
        ("SELECT COUNT(DISTINCT kind) FROM machines", "SB-1054", 23, "COUNT(DISTINCT id)"),
        ("SELECT COUNT(DISTINCT id + 1) FROM machines", "SB-1054", 1, "COUNT(DISTINCT id)"),
        ("SELECT SUM(DISTINCT torque) FROM machines", "SB-1054", 1, "COUNT(DISTINCT id)"),
        ("SELECT APPROX_QUANTILE(torque, 1.5) FROM machines", "SB-1007", 1, "range"),
        ("SELECT ROUND(AVG(torque), 99) FROM machines", "SB-1007", 8, "range"),
        ("SELECT * FROM machines", "SB-1003", 8, "AVG(x)"),
        ("SELECT COUNT(*)", "SB-1003", 1, "FROM"),
        ("SELECT DISTINCT kind FROM machines", "SB-1003", 1, "GROUP BY"),
        ("SELECT AVG(torque) OVER () FROM machines", "SB-1003", 8, "GROUP BY"),
        (one("OFFSET 3"), "SB-1003", 38, "LIMIT"),
        (one("LIMIT 10%"), "SB-1003", 1, "LIMIT 10"),
        (one("QUALIFY TRUE"), "SB-1003", 1, "HAVING"),
        (one("USING SAMPLE 10"), "SB-1003", 1, "WHERE"),
        (one("TABLESAMPLE 10%"), "SB-1003", 22, "WHERE"),
        (one("PIVOT (COUNT(*) FOR kind IN ('L'))"), "SB-1003", 22, "FILTER"),
        ("WITH RECURSIVE t AS (SELECT 1) SELECT COUNT(*) FROM t", "SB-1003", 16, "WITH"),
        ("SELECT kind, COUNT(*) FROM machines GROUP BY ROLLUP(kind)", "SB-1003", 1, ""),
        ("SELECT kind, COUNT(*) FROM machines GROUP BY ALL", "SB-1003", 1, "by its name"),
        (one("WHERE id IN (SELECT id FROM machines)"), "SB-1060", 51, "join_key"),
        (one("WHERE NOT id IN (SELECT id FROM machines)"), "SB-1076", 41, "AND"),
        (one("WHERE EXISTS (SELECT 1 FROM machines)"), "SB-1076", 37, "AND"),
        (one("WHERE seen + INTERVAL 3 DAY > TIMESTAMP '2024-01-01'"), "SB-1003", 1, "date + 30"),
        (
            one("WHERE seen > TIMESTAMP '2024-01-01' + INTERVAL '3.5' DAY"),
            "SB-1003",
            1,
            "date + 30",
        ),
        (one("WHERE seen > INTERVAL 3 CENTURY + TIMESTAMP '2024-01-01'"), "SB-1007", 1, ""),
        (one("WHERE kind || 'x' = 'Lx'"), "SB-1003", 37, "CASE"),
        (f"SELECT COUNT(*) FROM ({BOTH.replace(' ALL', '')})", "SB-1003", 1, "UNION ALL"),
        ("SELECT COUNT(*) FROM read_csv('x')", "SB-1003", 22, "FROM table"),
        ("SELECT 1; SELECT 2", "SB-1002", 1, "SELECT"),
        ("DROP TABLE machines", "SB-1002", 1, "SELECT"),
        ("SELECT COUNT(* FROM machines", "SB-1000", 1, "SELECT"),
    ],
)
def test_refusal_names_code_place_and_cure(
    statement: str, code: str, column: int, cure: str
) -> None:
    """Columns given as 1 are not asserted."""
    error = refusal(statement)
    assert error.code.startswith(code), str(error)
    if column > 1:
        assert (error.facts["line"], error.facts["column"]) == (1, column)
    assert cure in str(error)
    assert error.facts["line"] == 1
    assert "{" not in str(error)


@pytest.mark.parametrize("verb", ["DROP TABLE machines", "DELETE FROM machines", "SHOW machines"])
def test_what_is_no_select_is_placed_where_it_begins(verb: str) -> None:
    error = refusal(f"-- all of it\n  {verb}")
    assert error.code == "SB-1002"
    assert (error.facts["line"], error.facts["column"]) == (2, 3)


@pytest.mark.parametrize("statement", ["SELECT 1; DROP TABLE machines", "", ";"])
def test_several_statements_and_none_are_named_without_a_word_of_english(statement: str) -> None:
    facts = refusal(statement).facts
    assert facts.get("found") == ("SELECT; DROP" if statement[1:] else None)
    assert facts.get("near") == (None if statement[1:] else "")


def test_position_counts_lines() -> None:
    error = refusal("SELECT AVG(torque),\n       AVG(torqe)\nFROM machines")
    assert (error.facts["line"], error.facts["column"]) == (2, 12)


def test_union_of_a_dataset_with_itself_is_refused() -> None:
    for left, right in (("a.machines", "a.machines"), ("machines", "b.machines")):
        statement = f"SELECT COUNT(*) FROM (SELECT * FROM {left} UNION ALL SELECT * FROM {right})"
        assert refusal(statement).code == "SB-1017"


def test_union_of_a_named_table_with_itself_is_refused() -> None:
    statement = (
        "WITH t AS (SELECT * FROM a.machines WHERE failed), u AS (SELECT * FROM a.machines WHERE failed)"
        " SELECT COUNT(*) FROM (SELECT * FROM t UNION ALL SELECT * FROM u)"
    )
    assert refusal(statement).code == "SB-1017"


@pytest.mark.parametrize(
    "change",
    [
        {"privacy_unit": "speed"},
        {"contribution_cap": 1},
        {"columns": CARD.columns[1:] + CARD.columns[:1]},
        {"columns": (replace(CARD.columns[0], upper=None), *CARD.columns[1:])},
        {
            "columns": (
                *CARD.columns[:2],
                replace(CARD.columns[2], join_key=True),
                *CARD.columns[3:],
            )
        },
    ],
)
def test_union_of_tables_whose_cards_differ_is_refused(change: dict[str, object]) -> None:
    tables = catalogue()
    tables["b.machines"] = replace(tables["b.machines"], card=replace(CARD, **change))  # type: ignore[arg-type]
    assert refusal(f"SELECT COUNT(*) FROM ({BOTH})", tables).code == "SB-1015"


def test_union_arms_that_read_differently_are_refused() -> None:
    for right in ("price AS x FROM b.machines", "torque AS x FROM b.machines WHERE failed"):
        union = f"SELECT kind, torque AS x FROM a.machines UNION ALL SELECT kind, {right}"
        assert refusal(f"SELECT AVG(x) FROM ({union})").code == "SB-1015"


def test_distinct_units_are_refused_where_a_unit_may_occur_at_several_nodes() -> None:
    tables = {name: replace(table, card=SPANNING) for name, table in catalogue().items()}
    assert refusal("SELECT COUNT(DISTINCT id) FROM machines", tables).code == "SB-1055"
    assert refusal(f"SELECT COUNT(DISTINCT id) FROM ({BOTH})").code == "SB-1055"


@pytest.mark.parametrize("u", ["id % 7", "id + 0", "NULLIF(id, 3)", "-id", "FLOOR(id / 10)"])
def test_distinct_values_computed_from_the_unit_are_not_taken_for_units(u: str) -> None:
    derived = f"SELECT COUNT(DISTINCT u) FROM (SELECT {u} AS u FROM machines)"
    assert refusal(derived).code == "SB-1054"


def test_the_unit_may_be_counted_under_another_name() -> None:
    renamed = "SELECT COUNT(DISTINCT u) FROM (SELECT id AS u FROM machines)"
    assert plan(renamed, catalogue()).operations == ("count_distinct",)


def test_distinct_units_of_one_dataset_are_counted_as_the_refusal_advises() -> None:
    tables = {name: replace(table, card=SPANNING) for name, table in catalogue().items()}
    assert plan("SELECT COUNT(DISTINCT id) FROM a.machines", tables).operations == (
        "count_distinct",
    )


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT COUNT(*) FROM machines WHERE " + " AND ".join(["failed"] * 200),
        "SELECT " + "(" * 300 + "COUNT(*)" + ")" * 300 + " FROM machines",
        "SELECT COUNT(*) FROM machines WHERE note = '" + "x" * 20_000 + "'",
    ],
)
def test_statement_too_long_or_deep_is_refused(statement: str) -> None:
    assert refusal(statement).code == "SB-1001"


def test_statement_that_doubles_with_every_sub_query_is_refused_in_time() -> None:
    text = "SELECT torque AS x FROM machines"
    for _ in range(25):
        text = f"SELECT x * 0.5 + x * 0.5 AS x FROM ({text})"
    assert refusal(f"SELECT SUM(x) FROM ({text})").code in ("SB-1001", "SB-1011", "SB-1012")
    wide = "(SELECT " + " + ".join(["torque * speed"] * 40) + " AS x FROM machines)"
    many = ", ".join(map(str, range(3000)))
    assert refusal(f"SELECT COUNT(*) FROM {wide} WHERE x IN ({many})").code == "SB-1012"


def test_function_is_named_as_it_is_written() -> None:
    assert (
        "QUANTILE_CONT shows" in refusal("SELECT quantile_cont(torque, 0.5) FROM machines").sentence
    )
    assert (
        "REGEXP_MATCHES." in refusal("SELECT SUM(regexp_matches(kind, 'a')) FROM machines").sentence
    )
