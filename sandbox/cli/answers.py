"""How an answer is shown: a table with error bars, or JSON, CSV, Arrow."""

from __future__ import annotations

import sys
from typing import Any

from sandbox.cli.terminal import ResultFormat, say, show_json, show_table
from sandbox.messages import text
from sandbox.privacy.intervals import Estimate
from sandbox.result import Result


def show_answer(answered: Result, format: ResultFormat) -> None:
    """Print a result in the format asked for."""
    match format:
        case ResultFormat.JSON:
            show_json(
                job=answered.job_id,
                rows=answer_rows(answered),
                withheld=dict(answered.answer.withheld),
                left_out=list(answered.left_out),
                epsilon=str(answered.epsilon),
                delta=str(answered.delta),
                receipt=str(answered.receipt),
            )
        case ResultFormat.CSV:
            import pyarrow.csv

            pyarrow.csv.write_csv(answered.to_arrow(), sys.stdout.buffer)
        case ResultFormat.ARROW:
            import pyarrow.ipc

            table = answered.to_arrow()
            with pyarrow.ipc.new_stream(sys.stdout.buffer, table.schema) as stream:
                stream.write_table(table)
        case ResultFormat.TABLE:
            _show_table(answered)


def answer_rows(answered: Result) -> list[dict[str, Any]]:
    """Return each row as {column: value or {estimate, low, high, level}}."""
    rows = []
    for row in answered.answer.rows:
        cells: dict[str, Any] = {}
        for name, value, estimate in zip(
            answered.answer.columns, row.values, row.estimates, strict=True
        ):
            cells[name] = value if estimate is None else _document(estimate)
        rows.append(cells)
    return rows


def shown(estimate: Estimate) -> str:
    """Return an estimate with its interval, for people."""
    if estimate.value is None:
        return f"—  [{_number(estimate.low)}, {_number(estimate.high)}]"
    return f"{_number(estimate.value)}  [{_number(estimate.low)}, {_number(estimate.high)}]"


def _show_table(answered: Result) -> None:
    rows = [
        [
            _plain(value) if estimate is None else shown(estimate)
            for value, estimate in zip(row.values, row.estimates, strict=True)
        ]
        for row in answered.answer.rows
    ]
    show_table(answered.answer.columns, rows)
    for rule, count in answered.answer.withheld.items():
        say("query.withheld", count=count, rule=rule)
    if answered.left_out:
        say("query.left_out", parties=", ".join(answered.left_out))
    say(
        "query.spent",
        epsilon=answered.epsilon,
        delta=answered.delta,
        receipt=answered.receipt,
        job=answered.job_id,
    )


def _document(estimate: Estimate) -> dict[str, Any]:
    return {
        "estimate": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "level": estimate.level,
    }


def _plain(value: object) -> str:
    return text("query.null") if value is None else str(value)


def _number(value: float | int) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
