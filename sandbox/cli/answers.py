"""How an answer is shown: a table with error bars, or JSON, CSV, an Arrow stream.

Whatever the format, groups that a rule withholds and parties that took no part are told of: within
JSON and under a table, and beside the stream (on stderr) where the format has no place for them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sandbox.cli.terminal import ResultFormat, show_json, show_table
from sandbox.errors import InputError
from sandbox.files import fault_of
from sandbox.messages import text

if TYPE_CHECKING:
    from sandbox.privacy.intervals import Estimate
    from sandbox.result import Result

PLAIN_DIGITS = 6


def show_answer(answered: Result, format: ResultFormat, output: Path | None = None) -> None:
    """Print a result in the format asked for, to stdout or into `output`; see `check_output`."""
    with _written_to(output):
        match format:
            case ResultFormat.JSON:
                show_json(**_document(answered))
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
                typer.echo("\n".join(answered.remarks()))
    if format in (ResultFormat.CSV, ResultFormat.ARROW):
        typer.echo("\n".join(answered.remarks()), err=True)


def check_output(format: ResultFormat, output: Path | None) -> None:
    """Find out, before anything is spent, whether the answer can be written where it shall go.

    Raises InputError SB-1383 for an Arrow stream to a terminal, SB-1384 for a file nobody can make.
    """
    if output is None:
        if format is ResultFormat.ARROW and sys.stdout.isatty():
            raise InputError("SB-1383")
        return
    try:
        output.open("a").close()
    except OSError as error:
        raise InputError("SB-1384", file=str(output), reason=fault_of(error)) from None


def answer_rows(answered: Result) -> list[dict[str, Any]]:
    """Return each row as {column: value or {estimate, low, high, level}}."""
    rows = []
    for row in answered.answer.rows:
        cells: dict[str, Any] = {}
        for name, value, estimate in zip(
            answered.answer.columns, row.values, row.estimates, strict=True
        ):
            cells[name] = value if estimate is None else _estimate_document(estimate)
        rows.append(cells)
    return rows


def shown(estimate: Estimate) -> str:
    """Return an estimate with its error bar, for people: "5,992 ± 17", or "3.1 [2.8, 3.9]".

    The error bar has two digits that count, and the estimate as many decimals as it.
    """
    low, high = float(estimate.low), float(estimate.high)
    if estimate.value is None:
        return f"{text('query.null')} [{low:,.{PLAIN_DIGITS}g}, {high:,.{PLAIN_DIGITS}g}]"
    below, above = estimate.value - low, high - estimate.value
    decimals = _decimals(max(below, above))
    if f"{below:.{decimals}f}" == f"{above:.{decimals}f}":
        return f"{estimate.value:,.{decimals}f} ± {above:,.{decimals}f}"
    return f"{estimate.value:,.{decimals}f} [{low:,.{decimals}f}, {high:,.{decimals}f}]"


def _decimals(error: float) -> int:
    if not math.isfinite(error) or error <= 0:
        return 0
    return max(0, 1 - math.floor(math.log10(error)))


def _show_table(answered: Result) -> None:
    rows = [
        [
            _plain(value) if estimate is None else shown(estimate)
            for value, estimate in zip(row.values, row.estimates, strict=True)
        ]
        for row in answered.answer.rows
    ]
    show_table(answered.answer.columns, rows)


def _document(answered: Result) -> dict[str, Any]:
    return {
        "job": answered.job_id,
        "columns": list(answered.answer.columns),
        "rows": answer_rows(answered),
        "withheld": [vars(withheld) for withheld in answered.answer.withheld],
        "left_out": list(answered.left_out),
        "epsilon": str(answered.epsilon),
        "delta": str(answered.delta),
        "receipt": str(answered.receipt),
    }


def _estimate_document(estimate: Estimate) -> dict[str, Any]:
    return {
        "estimate": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "level": estimate.level,
    }


def _plain(value: object) -> str:
    return text("query.null") if value is None else str(value)


@contextmanager
def _written_to(output: Path | None) -> Iterator[None]:
    """Let stdout be the file `output`, if one is given."""
    if output is None:
        yield
        return
    with output.open("w", encoding="utf-8") as file, redirect_stdout(file):
        yield
