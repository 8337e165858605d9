"""What a terminal shows: tables or JSON, errors with their cure, progress.

JSON always carries `schema_version`. Colours and live views appear on a terminal only. Rich is
imported inside functions, so that `--help` stays quick.
"""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sandbox.errors import InputError, Refusal, SandboxError
from sandbox.messages import text

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod
    from rich.status import Status

_TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Unicode's bidirectional classes of characters that turn a line's direction."""
SCHEMA_VERSION = 1
QUIET_S = 1.0
"""Seconds before a progress bar appears."""
FILE_WIDTH = 240
"""Columns of a table that no terminal bounds, so that fingerprints stay whole."""


class Format(StrEnum):
    """How a command prints."""

    TABLE = "table"
    JSON = "json"


class ResultFormat(StrEnum):
    """How an answer prints."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


FormatOption = Annotated[
    Format, typer.Option("--format", metavar="table|json", help=text("option.format"))
]


def read_number(option: str, written: str) -> Decimal:
    """Return the exact number given for `option`; raises InputError SB-1351."""
    try:
        number = Decimal(written)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise InputError("SB-1351", option=option, written=written)
    return number


def console(to_stderr: bool = False) -> Console:
    """Return a console: colours on a terminal only."""
    from rich.console import Console

    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() else FILE_WIDTH
    return Console(stderr=to_stderr, highlight=False, width=width)


def say(key: str, **facts: object) -> None:
    """Print the message `key` to stdout."""
    typer.echo(printable(text(key, **facts)))


def remark(key: str, **facts: object) -> None:
    """Print the message `key` to stderr, where it disturbs no output."""
    typer.echo(printable(text(key, **facts)), err=True)


def printable(written: str) -> str:
    """Return a text in which nothing moves a terminal's cursor, sets its colours or turns its
    direction: statements and cards come from others, and an owner approves what he sees."""
    return "".join("\ufffd" if _commands(character) else character for character in written)


def _commands(character: str) -> bool:
    if unicodedata.category(character) == "Cc":
        return character not in "\n\t"
    return unicodedata.bidirectional(character) in _TURNS


def agreed(question: str) -> bool:
    """Ask on stderr, so that stdout holds nothing but results; only yes is yes."""
    typer.echo(f"{question} [y/N]: ", err=True, nl=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def show_json(**content: object) -> None:
    """Print `content` as one JSON object with `schema_version`."""
    typer.echo(_json(content, indent=2))


def show_json_line(**content: object) -> None:
    """Print `content` as `show_json` does, on one line of its own, where others follow."""
    typer.echo(_json(content, indent=None))


def _json(content: dict[str, object], indent: int | None) -> str:
    document = {"schema_version": SCHEMA_VERSION, **content}
    return json.dumps(document, ensure_ascii=False, indent=indent, default=str)


def show_rows(
    format: Format, name: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]
) -> None:
    """Print `rows` as {name: rows} in JSON, else as a table with headings `column.*`."""
    if format is Format.JSON:
        show_json(**{name: list(rows)})
        return
    if not rows:
        say("cli.nothing")
        return
    show_table([text(f"column.{column}") for column in columns], _cells(rows, columns))


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print a plain table; numbers are aligned to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for index, heading in enumerate(headings):
        numeric = all(_is_number(row[index]) for row in rows)
        justify: JustifyMethod = "right" if numeric else "left"
        table.add_column(Text(printable(heading)), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console().print(table)


def show_facts(format: Format, facts: dict[str, Any]) -> None:
    """Print one thing's facts: JSON, or a line for each with its heading."""
    if format is Format.JSON:
        show_json(**facts)
        return
    from rich.cells import cell_len

    headings = {key: text(f"column.{key}") for key in facts}
    # Chinese characters are two cells wide.
    width = max(map(cell_len, headings.values()))
    for key, value in facts.items():
        gap = " " * (width - cell_len(headings[key]))
        typer.echo(printable(f"{headings[key]}{gap}  {_cell(_worded(key, value))}".rstrip()))


def show_error(error: SandboxError, as_json: bool) -> None:
    """Print an error to stderr: code, sentence, cure."""
    if as_json:
        content = {
            "code": error.code,
            "kind": type(error).__name__,
            "text": error.sentence,
            "cure": error.cure,
            "facts": error.facts,
        }
        document = {"schema_version": SCHEMA_VERSION, "error": content}
        typer.echo(json.dumps(document, ensure_ascii=False), err=True)
        return
    if sys.stderr.isatty():
        typer.secho(error.code, fg="red", bold=True, nl=False, err=True)
        typer.echo(printable(str(error)).removeprefix(error.code), err=True)
    else:
        typer.echo(printable(str(error)), err=True)
    if isinstance(error, Refusal) and "party" in error.facts:
        remark("cli.refused_by", party=error.facts["party"])


@contextmanager
def waiting(key: str, **facts: object) -> Iterator[Status | None]:
    """Show a spinner with message `key` on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    with console(to_stderr=True).status(text(key, **facts)) as status:
        yield status


@contextmanager
def shown_progress(label: str) -> Iterator[Callable[[float], None] | None]:
    """Yield what to tell a share of the work from 0 to 1; a terminal shows it after a second."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import Progress

    bar = Progress(console=console(to_stderr=True), transient=True)
    task = bar.add_task(label, total=1.0)
    begun_s = time.monotonic()

    def tell(share: float) -> None:
        if time.monotonic() - begun_s > QUIET_S:
            bar.start()
        bar.update(task, completed=share)

    try:
        yield tell
    finally:
        bar.stop()


def _cells(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> list[list[str]]:
    return [[_cell(_worded(column, row.get(column))) for column in columns] for row in rows]


def _worded(name: str, value: object) -> object:
    """Return a role or a phase in the reader's language; JSON keeps the word of the protocol."""
    if value and name == "role":
        return text(f"role.{value}")
    if value and name == "phase":
        return text(f"stage.{value}")
    return value


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return text("cli.yes") if value else text("cli.no")
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).replace(",", "").lstrip("-+").isdigit()
