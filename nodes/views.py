"""The owner's own SQL over his other datasets, read with DuckDB's own parser.

One SELECT, over registered datasets only, of functions that give the same rows on every run: a
job's rows must not depend on when its fragment ran. A view may be slow or large (its worker then
dies at its limits) but it reads nothing that was not registered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nodes.sources import CsvSource, Source, ViewSource
from sandbox.errors import InputError

if TYPE_CHECKING:
    import duckdb

TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
CLOCK_WORDS = frozenset(
    {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
)
"""Functions that SQL writes without brackets, so that they parse as columns."""


def read_view(sql: str, datasets: Mapping[str, Source], name: str) -> ViewSource:
    """Return the view `name` that `sql` is. datasets: what it may read, by name.

    Raises InputError SB-1411 (not one SELECT), SB-1412 (another table), SB-1413 (a function that
    reads files or changes from run to run) or SB-1443 (reads no dataset).
    """
    import duckdb

    text = sql.strip().rstrip(";").rstrip()
    with duckdb.connect(":memory:") as connection:
        nodes = list(_nodes(_parsed(connection, text)))
        _check_functions(connection, nodes)
    own = {
        entry["key"].lower() for node in nodes for entry in node.get("cte_map", {}).get("map", [])
    }
    used = [node for node in nodes if node.get("type") == "BASE_TABLE"]
    inputs: dict[str, Source] = {}
    for node in used:
        table = node["table_name"].lower()
        qualified = bool(node["schema_name"] or node["catalog_name"])
        if table in own and not qualified:
            continue
        if table not in datasets or qualified or table == name:
            raise InputError("SB-1412", table=table, found=", ".join(sorted(datasets)))
        inputs[table] = datasets[table]
    if not inputs:
        raise InputError("SB-1443", name=name)
    return ViewSource(text, tuple(sorted(inputs.items())))


def rebuilt(view: ViewSource, datasets: Mapping[str, Source]) -> ViewSource:
    """Return the view over what its inputs are called now."""
    return ViewSource(view.sql, tuple((name, datasets[name]) for name, _ in view.inputs))


def misfit(error: duckdb.BinderException, view: ViewSource, name: str) -> InputError:
    """Return what an owner can do about a view that DuckDB cannot bind: SB-3293 where it takes a CSV
    file's column for a number or a date, else SB-1419.

    Binding reads the owner's SQL and the names and types of columns, so that its words hold no value
    of a row.
    """
    said = str(error)
    reason = said.split("\n", maxsplit=1)[0].removeprefix("Binder Error: ").rstrip(".! ")
    written, _, marks = said.rpartition("LINE ")[2].partition("\n")
    begin, end = marks.find("^"), len(marks.rstrip())
    near = ("LINE " + written)[begin:end].strip()
    texts = _csv_columns(view)
    # An operator is marked without its operands: the nearest column is meant.
    found = [
        (max(begin - place.end(), place.start() - end, 0), texts[place[0].lower()])
        for place in re.finditer(r"\w+", "LINE " + written)
        if place[0].lower() in texts
    ]
    if "VARCHAR" not in reason or begin < 0 or not found:
        return InputError("SB-1419", path=name, kind="view", reason=reason)
    return InputError("SB-3293", dataset=name, near=near, reason=reason, column=min(found)[1])


def _csv_columns(source: Source) -> dict[str, str]:
    """Return the columns of every CSV file below a view, by their names in small letters."""
    match source:
        case CsvSource():
            return {column.lower(): column for column in source.columns}
        case ViewSource():
            below = [_csv_columns(each) for _, each in source.inputs]
            return {key: name for columns in below for key, name in columns.items()}
        case _:
            return {}


def _parsed(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    import duckdb

    try:
        statements = duckdb.extract_statements(sql)
        (written,) = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone() or ("",)
    except duckdb.Error as error:
        raise InputError("SB-1411", reason=str(error).split("\n")[0]) from None
    parsed = json.loads(written)
    if parsed["error"] or len(statements) != 1 or len(parsed["statements"]) != 1:
        raise InputError("SB-1411", reason=f"{len(statements)} statements" if statements else "")
    return parsed["statements"][0]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for below in tree.values():
            yield from _nodes(below)
    elif isinstance(tree, list):
        for below in tree:
            yield from _nodes(below)


def _check_functions(connection: duckdb.DuckDBPyConnection, nodes: list[dict[str, Any]]) -> None:
    changing = _changing(connection)
    for node in nodes:
        kind = node.get("type")
        if kind == "TABLE_FUNCTION":
            called = node["function"].get("function_name", "")
            if called not in TABLE_FUNCTIONS:
                raise InputError("SB-1413", function=called)
        elif kind == "FUNCTION" and node["function_name"].lower() in changing:
            raise InputError("SB-1413", function=node["function_name"])
        elif kind == "COLUMN_REF" and node["column_names"][0].lower() in CLOCK_WORDS:
            raise InputError("SB-1413", function=node["column_names"][0])
        if node.get("sample"):
            raise InputError("SB-1413", function="SAMPLE")


def _changing(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the functions whose result depends on more than their arguments."""
    found = connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'scalar' AND "
        "(stability = 'VOLATILE' OR stability = 'CONSISTENT_WITHIN_QUERY' AND "
        "(len(parameters) = 0 OR function_name IN ('current_setting', 'getvariable', 'age')))"
    ).fetchall()
    return {name for (name,) in found}
