"""`sandbox demo`: real processes, real data, five queries, each beside its exact answer.

Four ask a collection of three firms; the last joins what one firm's sensors saw with what another
knows of failures, and neither learns which machines the other has.

The demo owns all the data, so it may compute what no party of a deployment could.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from sandbox import local
from sandbox.audit.receipt import Receipt, Verdict, verify_receipt
from sandbox.cli.terminal import remark, say, show_json, show_table
from sandbox.client import Session
from sandbox.demo import deployment
from sandbox.demo.machines import JOINED, MACHINES
from sandbox.errors import TrustError
from sandbox.messages import text
from sandbox.processes import Processes, Program
from sandbox.result import Result
from sandbox.sql.explain import Explanation

EPSILON, DELTA = "1", "0.000001"
QUERIES = (
    """SELECT product_type, COUNT(*) AS machines, AVG(torque_nm) AS torque,
       STDDEV(rotational_speed_rpm) AS speed_spread
FROM machines GROUP BY product_type ORDER BY product_type""",
    """SELECT tool_wear_min // 50 * 50 AS wear_from, COUNT(*) AS machines,
       AVG(CASE WHEN machine_failure THEN 1.0 ELSE 0.0 END) AS failure_rate
FROM machines GROUP BY wear_from HAVING COUNT(*) > 100 ORDER BY wear_from""",
    """SELECT CORR(torque_nm, rotational_speed_rpm) AS torque_speed,
       MEDIAN(tool_wear_min) AS wear_median
FROM machines WHERE NOT machine_failure""",
    """WITH strained AS (SELECT * FROM machines WHERE torque_nm > 40)
SELECT SUM(CASE WHEN heat_dissipation_failure THEN 1 ELSE 0 END) AS heat,
       SUM(CASE WHEN power_failure THEN 1 ELSE 0 END) AS power,
       SUM(CASE WHEN overstrain_failure THEN 1 ELSE 0 END) AS overstrain
FROM strained""",
    """SELECT f.machine_failure, COUNT(*) AS machines, AVG(s.torque_nm) AS torque,
       AVG(s.tool_wear_min) AS wear
FROM a.sensors AS s JOIN b.failures AS f ON s.udi = f.udi
GROUP BY f.machine_failure ORDER BY f.machine_failure""",
)

Number = float | int | None
Group = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One number of an answer, its 95% interval, and what it would be without noise."""

    group: Group
    output: str
    estimate: Number
    low: float
    high: float
    exact: Number


@dataclass(frozen=True)
class Answered:
    """One query with everything the demo shows of it."""

    sql: str
    explanation: Explanation
    result: Result
    lines: tuple[Line, ...]
    verdict: Verdict


def run(keep: Path | None, *, as_json: bool) -> None:
    """Run the demo in `keep` (new or empty, left behind) or in a folder that is removed."""
    with _folder(keep) as folder:
        everything = deployment.make(folder)
        programs = local.programs(folder)
        with Processes(folder, programs) as processes:
            processes.start(health=local.health_check(folder))
            started = [_process(program, processes.pid(program)) for program in programs]
            if not as_json:
                _show_processes(started)
            answered = []
            with Session.open(folder / "researcher") as session:
                for number, sql in enumerate(QUERIES, start=1):
                    answered.append(_ask(session, sql, everything))
                    if not as_json:
                        _show(number, answered[-1], kept=keep is not None)
        if as_json:
            show_json(processes=started, queries=[_document(each) for each in answered])
        elif keep is not None:
            say("demo.kept", folder=keep)
        else:
            say("demo.left_nothing")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="sandbox-demo-") as folder:
        yield Path(folder) / "demo"


def _ask(session: Session, sql: str, everything: Path) -> Answered:
    query = session.sql(sql)
    explanation = query.explain(epsilon=EPSILON, delta=DELTA)
    result = query.run(epsilon=EPSILON, delta=DELTA)
    receipt = Receipt.from_json(result.receipt.read_text(encoding="utf-8"))
    verdict = verify_receipt(receipt, set(session.identities()))
    if not verdict.ok:
        raise TrustError(verdict.findings[0].code)
    lines = tuple(_lines(result, exact_answers(sql, everything)))
    return Answered(sql, explanation, result, lines, verdict)


def exact_answers(sql: str, everything: Path) -> list[dict[str, Any]]:
    """Return the rows of a query over all firms' rows, without noise: plain DuckDB."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        connection.read_csv(str(everything)).create(MACHINES.name)
        for node, card in JOINED.items():
            columns = ", ".join(column.name for column in card.columns)
            connection.execute(f"CREATE SCHEMA {node}")
            connection.execute(
                f"CREATE VIEW {node}.{card.name} AS SELECT {columns} FROM {MACHINES.name}"
            )
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _lines(result: Result, exact: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    answer = result.answer
    for row in answer.rows:
        group = {
            name: value
            for name, value, estimate in zip(answer.columns, row.values, row.estimates, strict=True)
            if estimate is None
        }
        same = [each for each in exact if all(each[name] == group[name] for name in group)]
        for name, estimate in zip(answer.columns, row.estimates, strict=True):
            if estimate is not None:
                known = same[0][name] if same else None
                yield Line(group, name, estimate.value, estimate.low, estimate.high, known)


# What is printed


def _process(program: Program, pid: int) -> dict[str, Any]:
    return {"role": program.role, "name": program.name, "pid": pid, "port": program.port}


def _show_processes(started: Sequence[dict[str, Any]]) -> None:
    say("demo.started")
    headings = [text(f"column.{key}") for key in started[0]]
    show_table(headings, [[str(value) for value in each.values()] for each in started])


def _show(number: int, answered: Answered, *, kept: bool) -> None:
    typer.echo("─" * 78)
    say("demo.query", number=number, of=len(QUERIES))
    typer.echo(answered.sql + "\n")
    typer.echo(str(answered.explanation) + "\n")
    say("demo.answer")
    groups = list(answered.lines[0].group) if answered.lines else []
    headings = [*groups, *(text(f"column.{key}") for key in ("output", "estimate", "low", "high"))]
    rows = [
        [*(str(line.group[name]) for name in groups), line.output]
        + [_number(n) for n in (line.estimate, line.low, line.high, line.exact)]
        for line in answered.lines
    ]
    show_table([*headings, text("column.exact")], rows)
    result = answered.result
    for withheld in result.answer.withheld:
        remark("query.withheld", **vars(withheld))
    say("demo.spent", epsilon=result.epsilon, delta=result.delta)
    if kept:
        say("demo.receipt", receipt=result.receipt)
    say("demo.verified", verdict=answered.verdict.sentence)


def _number(value: Number) -> str:
    if value is None:
        return text("query.null")
    return f"{value:,}" if isinstance(value, int) else f"{value:,.5g}"


def _document(answered: Answered) -> dict[str, Any]:
    return {
        "sql": answered.sql,
        "rows": [vars(line) for line in answered.lines],
        "epsilon": float(answered.result.epsilon),
        "delta": float(answered.result.delta),
        "receipt": str(answered.result.receipt),
    }
