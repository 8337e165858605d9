"""Attacks by SQL text (THREATS.md 12-18): the allow-list in front of the locked session."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from nodes import sources
from nodes.inspection import open_source
from nodes.workers import FragmentRequest, Workers
from sandbox.errors import InputError, Refusal, Unavailable
from sandbox.sql import plan as planning
from sandbox.sql.algebra import Plan
from sandbox.sql.compile import fragment_sql
from tests.sql.generator import Generator
from tests.sql.plants import COLUMNS, catalogue

SECRET = "4711-secret"


def planned(statement: str) -> Plan:
    return planning.plan(statement, catalogue())


def refused(statement: str) -> str:
    """Return the code with which `statement` is refused; fails if it is planned."""
    with pytest.raises((InputError, Refusal)) as caught:
        planned(statement)
    assert SECRET not in str(caught.value)
    return caught.value.code


@pytest.fixture
def source(tmp_path: Path) -> sources.Source:
    path = tmp_path / "machines.csv"
    header, row = ",".join(COLUMNS), f"1,L,,10,1000,1,,true,,2024-01-01,,{SECRET}"
    path.write_text(f"{header}\n{row}\n")
    (tmp_path / "other.csv").write_text(f"x\n{SECRET}\n")
    return open_source(path)


@pytest.fixture
def locked(source: sources.Source) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        sources.open_locked(connection, source, list(COLUMNS), {"threads": 1})
        yield connection


UNKNOWN = ("SB-1000", "SB-1002", "SB-1003", "SB-1004")
OTHER_FILES = (
    "SELECT * FROM read_csv('{folder}/other.csv')",
    "SELECT * FROM read_text('{folder}/other.csv')",
    "SELECT * FROM '{folder}/other.csv'",
    "SELECT * FROM glob('{folder}/o*')",
    "COPY task.base TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{folder}/out.parquet'",
    "EXPORT DATABASE '{folder}/out'",
    "ATTACH '{folder}/out.duckdb' AS out",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SELECT * FROM read_csv('https://example.org/x.csv')",
)


@pytest.mark.parametrize("statement", OTHER_FILES)
def test_attack_12_files_are_unknown_to_the_planner(statement: str) -> None:
    assert refused(statement.format(folder="/srv")) in UNKNOWN


@pytest.mark.parametrize("statement", OTHER_FILES)
def test_attack_12_a_locked_session_reaches_no_other_file(
    locked: duckdb.DuckDBPyConnection, tmp_path: Path, statement: str
) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(duckdb.Error):
        locked.execute(statement.format(folder=tmp_path)).fetchall()
    assert sorted(tmp_path.iterdir()) == before


SETTINGS = (
    "SET enable_external_access = true",
    "SET memory_limit = '64GB'",
    "SET threads = 64",
    "RESET memory_limit",
    "RESET lock_configuration",
    "SET lock_configuration = false",
    "PRAGMA enable_external_access = true",
    "SET allowed_paths = ['/']",
)


@pytest.mark.parametrize("statement", SETTINGS)
def test_attack_13_settings_do_not_change_after_the_lock(
    locked: duckdb.DuckDBPyConnection, statement: str
) -> None:
    assert refused(statement) == "SB-1002"
    with pytest.raises(duckdb.Error):
        locked.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT COUNT(*) FROM query('SELECT 1')",
        "SELECT COUNT(*) FROM query_table('machines')",
        "SELECT COUNT(*) FROM json_execute_serialized_sql('{}')",
        "SELECT SUM(query('SELECT 1')) FROM machines",
        "SELECT SUM(json_execute_serialized_sql('{}')) FROM machines",
        "SELECT COUNT(*) FROM machines WHERE getenv('HOME') = 'x'",
        "SELECT SUM(nextval('s')) FROM machines",
        "SELECT SUM(current_setting('threads')::INTEGER) FROM machines",
    ],
)
def test_attack_14_sql_in_strings_is_no_function_of_ours(statement: str) -> None:
    assert refused(statement) in ("SB-1003", "SB-1006")


OURS = {
    "abs", "sign", "floor", "ceil", "round", "least", "greatest", "coalesce", "nullif", "lower",
    "upper", "trim", "substring", "length", "starts_with", "contains", "year", "quarter", "month",
    "day", "dayofweek", "isodow", "dayofyear", "week", "hour", "minute", "second", "date_trunc",
    "date_diff", "epoch_us", "make_timestamp", "isnan", "sqrt", "exp", "ln", "log10", "log2", "hash",
    "count", "count_star", "sum", "min", "histogram", "unnest", "range", "map_entries", "list_value",
    "list_min", "list_transform", "enum_code", "struct_extract", "array_extract", "row_number", "xor",
    "+", "-", "*", "/", "//", "%", ">>", "~~", "!~~", "~~*", "!~~*",
}  # fmt: skip
"""Everything that a fragment may call."""


def test_attack_14_a_fragment_calls_only_functions_of_ours() -> None:
    generator = Generator(random.Random(14))
    session = duckdb.connect()
    for _ in range(300):
        text = fragment_sql(planned(generator.statement().text))
        (tree,) = session.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchone() or ()
        called = set(_values(json.loads(tree), "function_name"))
        assert called <= OURS, called - OURS


def _values(node: object, key: str) -> Iterator[str]:
    if isinstance(node, dict):
        if key in node and isinstance(node[key], str) and node[key]:
            yield node[key]
        for below in node.values():
            yield from _values(below, key)
    elif isinstance(node, list):
        for below in node:
            yield from _values(below, key)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT COUNT(*) FROM machines WHERE error('x' || note) IS NULL",
        "SELECT SUM(error(note)) FROM machines",
        "SELECT SUM(CAST(note AS INTEGER)) FROM machines",
        "SELECT SUM(note::DOUBLE) FROM machines",
        "SELECT COUNT(*) FROM machines WHERE CAST(note AS DATE) > DATE '2020-01-01'",
        "SELECT SUM(1 / (CASE WHEN note = 'x' THEN 0 END)) + 'y' FROM machines",
    ],
)
def test_attack_15_nothing_that_can_fail_on_a_row_is_planned(statement: str) -> None:
    refused(statement)


def _run(folder: Path, request: FragmentRequest, deadline_s: float | None = None) -> list[int]:
    async def work() -> list[int]:
        async with Workers(folder) as workers:
            return await asyncio.wait_for(workers.sum_fragment(request, deadline_s), 30)

    return asyncio.run(work())


def test_attack_15_a_failing_worker_says_nothing_about_the_row(
    tmp_path: Path, source: sources.Source, caplog: pytest.LogCaptureFixture
) -> None:
    plan = planned("SELECT COUNT(*) FROM a.machines")
    failing = replace(
        plan.fragment, rows_sql="SELECT id AS unit FROM base WHERE error(note) IS NULL"
    )
    with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable) as caught:
        _run(
            tmp_path,
            FragmentRequest(
                "r",
                "machines",
                source,
                replace(plan, sides=(replace(plan.sides[0], fragment=failing),)),
            ),
        )
    assert caught.value.code == "SB-5201"
    written = "".join(f.read_text() for f in (tmp_path / "workers").glob("*.log"))
    assert SECRET not in str(caught.value) + caplog.text + written


@pytest.mark.parametrize(
    "call",
    [
        "string_agg(note, ',')",
        "list(torque)",
        "array_agg(torque)",
        "min(torque)",
        "max(torque)",
        "arg_max(note, torque)",
        "arg_min(note, torque)",
        "any_value(note)",
        "first(note)",
        "last(note)",
        "mode(note)",
        "quantile_cont(torque, 0.5)",
        "bool_or(failed)",
        "bit_xor(speed)",
        "product(torque)",
        "approx_count_distinct(note)",
        "kurtosis(torque)",
        "sum(torque) OVER ()",
        "row_number() OVER (ORDER BY torque)",
        "lag(torque) OVER (ORDER BY id)",
        "COUNT(DISTINCT note)",
        "SUM(DISTINCT torque)",
        "torque",
        "*",
    ],
)
def test_attack_16_what_shows_single_rows_is_refused(call: str) -> None:
    refused(f"SELECT {call} FROM machines")
    refused(f"SELECT kind, COUNT(*), {call} FROM machines GROUP BY kind")
    refused(f"SELECT kind, COUNT(*) FROM machines GROUP BY kind ORDER BY {call}")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT COUNT(*) FROM machines USING SAMPLE 1",
        "SELECT COUNT(*) FROM machines TABLESAMPLE 1 ROWS",
        "PIVOT machines ON kind USING SUM(torque)",
        "SELECT COUNT(*) FROM machines PIVOT (SUM(torque) FOR kind IN ('L'))",
        "SELECT COUNT(*) FROM (SELECT * FROM machines ORDER BY torque LIMIT 1)",
        "SELECT COUNT(*) FROM (SELECT DISTINCT note FROM machines)",
        "SELECT COUNT(*) FROM machines QUALIFY row_number() OVER (ORDER BY torque) = 1",
        "SELECT COUNT(*) FROM machines WHERE torque = (SELECT MAX(torque) FROM machines)",
    ],
)
def test_attack_16_what_picks_single_rows_is_refused(statement: str) -> None:
    refused(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT COUNT(*) FROM duckdb_settings()",
        "SELECT COUNT(*) FROM information_schema.tables",
        "DROP VIEW task.base",
        "DROP TABLE machines",
        "CREATE TABLE t AS SELECT 1",
        "CREATE MACRO abs(x) AS error(x)",
        "ATTACH ':memory:' AS m",
        "DETACH memory",
        "INSERT INTO machines VALUES (1)",
        "DELETE FROM machines",
        "UPDATE machines SET torque = 1",
        "CALL duckdb_settings()",
        "VACUUM",
        "SELECT COUNT(*) FROM machines; DROP TABLE machines",
        "EXPLAIN ANALYZE SELECT COUNT(*) FROM machines",
        "PREPARE p AS SELECT 1",
        "BEGIN TRANSACTION",
    ],
)
def test_attack_17_only_a_select_over_the_catalogue_is_planned(statement: str) -> None:
    assert refused(statement) in UNKNOWN


ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n AS unit FROM r"


def test_attack_18_recursion_is_refused() -> None:
    assert refused(ENDLESS.replace("n AS unit", "COUNT(*)")) == "SB-1003"
    assert refused("SELECT COUNT(*) FROM (WITH RECURSIVE r AS (SELECT * FROM r) SELECT * FROM r)")


def test_attack_18_a_worker_that_runs_too_long_is_killed(
    tmp_path: Path, source: sources.Source
) -> None:
    plan = planned("SELECT COUNT(*) FROM a.machines")
    fragment = replace(plan.fragment, rows_sql=ENDLESS)
    endless = replace(plan, sides=(replace(plan.sides[0], fragment=fragment),))
    with pytest.raises(Unavailable) as caught:
        _run(tmp_path, FragmentRequest("r", "machines", source, endless), deadline_s=1.0)
    assert caught.value.code == "SB-5201"
