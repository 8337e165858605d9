"""`sandbox query`, and `explain`, `grants`, `result` around it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.profile import ProfileOption, researcher_folder
from sandbox.cli.terminal import (
    Format,
    FormatOption,
    ResultFormat,
    agreed,
    console,
    read_number,
    remark,
    say,
    show_json,
)
from sandbox.errors import InputError, Unavailable
from sandbox.files import read_text
from sandbox.messages import text

if TYPE_CHECKING:
    from sandbox.client import Session
    from sandbox.grants import Grant
    from sandbox.jobview import JobView
    from sandbox.query import Wishes
    from sandbox.sql.explain import Explanation
    from sandbox.study import StudyPlan
    from sandbox.targets import Pilot

app = Commands()
T = TypeVar("T")

Sql = Annotated[str, typer.Argument(metavar="SQL", help=text("option.sql"))]
Epsilon = Annotated[str | None, typer.Option("--epsilon", help=text("option.epsilon"))]
Delta = Annotated[str | None, typer.Option("--delta", help=text("option.delta"))]
Error = Annotated[str | None, typer.Option("--error", help=text("option.error"))]
Purpose = Annotated[str | None, typer.Option("--purpose", help=text("option.purpose"))]
OnMissing = Annotated[
    str, typer.Option("--on-missing", metavar="fail|wait|present", help=text("option.on_missing"))
]
MinimumMembers = Annotated[
    int | None,
    typer.Option("--minimum-members", metavar="COUNT", min=1, help=text("option.minimum_members")),
]
Collusion = Annotated[
    int, typer.Option("--collusion", metavar="COUNT", min=1, help=text("option.collusion"))
]
Malicious = Annotated[bool, typer.Option("--malicious", help=text("option.malicious"))]
Verify = Annotated[bool, typer.Option("--verify", help=text("option.verify"))]
Prepared = Annotated[
    str | None, typer.Option("--prepared", metavar="NAME", help=text("option.prepared"))
]
ResultFormatOption = Annotated[
    ResultFormat,
    typer.Option("--format", metavar="table|json|csv|arrow", help=text("option.result_format")),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help=text("option.answer_file"))
]
Magnitude = Annotated[
    list[str] | None,
    typer.Option("--magnitude", metavar="NAME=SIZE", help=text("option.magnitude")),
]


@app.command(
    "query",
    help=text("help.query"),
    epilog=examples(
        'sandbox query "SELECT COUNT(*) FROM readings" --epsilon 0.5 --delta 1e-6',
        'sandbox query "SELECT AVG(kwh) FROM readings" --error 2% --delta 1e-6 --format csv',
    ),
)
def query(
    sql: Sql,
    epsilon: Epsilon = None,
    delta: Delta = None,
    error: Error = None,
    purpose: Purpose = None,
    on_missing: OnMissing = "fail",
    minimum_members: MinimumMembers = None,
    collusion: Collusion = 1,
    magnitude: Magnitude = None,
    malicious: Malicious = False,
    verify: Verify = False,
    prepared: Prepared = None,
    pilot: Annotated[bool, typer.Option("--pilot", help=text("option.pilot"))] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help=text("option.yes"))] = False,
    profile: ProfileOption = None,
    format: ResultFormatOption = ResultFormat.TABLE,
    output: Output = None,
) -> None:
    """Run a query: the cost first, then the answer."""
    from sandbox.cli.answers import check_output, show_answer

    check_output(format, output)
    session = session_of(profile)
    asked = session.sql(sql)
    wishes = _wishes(
        epsilon,
        delta,
        error,
        purpose,
        on_missing,
        minimum_members,
        collusion,
        magnitude,
        malicious,
        verify,
        prepared,
    )
    seen: Pilot | None = None
    if pilot:
        remark("query.pilot")
        _confirm(asked.explained(asked.pilot_wishes(wishes)), yes)
        seen = followed(lambda tell: asked.pilot(wishes, tell))
        remark("query.planned")
    _confirm(asked.explained(wishes, seen), yes)
    show_answer(followed(lambda tell: asked.answered(wishes, seen, tell)), format, output)


@app.command(
    "explain",
    help=text("help.explain"),
    epilog=examples(
        'sandbox explain "SELECT AVG(kwh) FROM readings" --epsilon 0.5 --delta 1e-6',
        "sandbox explain -f study.sql --epsilon 2 --delta 1e-6",
    ),
)
def explain(
    sql: Annotated[str | None, typer.Argument(metavar="SQL", help=text("option.sql"))] = None,
    file: Annotated[Path | None, typer.Option("-f", "--file", help=text("option.study"))] = None,
    epsilon: Epsilon = None,
    delta: Delta = None,
    error: Error = None,
    on_missing: OnMissing = "fail",
    minimum_members: MinimumMembers = None,
    collusion: Collusion = 1,
    magnitude: Magnitude = None,
    malicious: Malicious = False,
    verify: Verify = False,
    prepared: Prepared = None,
    profile: ProfileOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Say what a query would cost and show, and who would learn what; nothing is spent."""
    if (sql is None) == (file is None):
        raise InputError("SB-1350")
    session = session_of(profile)
    wishes = _wishes(
        epsilon,
        delta,
        error,
        None,
        on_missing,
        minimum_members,
        collusion,
        magnitude,
        malicious,
        verify,
        prepared,
    )
    planned: StudyPlan | Explanation
    if file is not None:
        planned = session.study(read_text(file)).explain(wishes.epsilon, wishes.delta, collusion)
    else:
        planned = session.sql(sql or "").explained(wishes)
    if format is Format.JSON:
        show_json(**planned.to_document())
    else:
        typer.echo(str(planned))


@app.command("result", help=text("help.result"), epilog=examples("sandbox result JOB"))
def result(
    job: Annotated[str, typer.Argument(metavar="JOB", help=text("option.job"))],
    profile: ProfileOption = None,
    format: ResultFormatOption = ResultFormat.TABLE,
    output: Output = None,
) -> None:
    """Open a finished job again; it costs nothing."""
    from sandbox.cli.answers import check_output, show_answer
    from sandbox.result import Result

    check_output(format, output)
    ended = session_of(profile).ended(job)
    if not isinstance(ended, Result):
        # Nothing to show but where it is.
        typer.echo(str(ended))
        return
    show_answer(ended, format, output)


@app.command(
    "grants",
    help=text("help.grants"),
    epilog=examples('sandbox grants "SELECT AVG(kwh) FROM readings"'),
)
def grants(
    sql: Sql,
    epsilon: Epsilon = None,
    delta: Delta = None,
    purpose: Purpose = None,
    malicious: Malicious = False,
    verify: Verify = False,
    profile: ProfileOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Say what each provider would have to change."""
    found = session_of(profile).grants(
        sql,
        number("--epsilon", epsilon),
        number("--delta", delta),
        purpose,
        malicious=malicious,
        verify=verify,
    )
    show_grants(found, format)


def show_grants(found: Sequence[Grant], format: Format) -> None:
    """Print changes that providers would have to make."""
    if format is Format.JSON:
        show_json(grants=[grant.to_document() for grant in found])
        return
    for grant in found:
        typer.echo(str(grant))
    if not found:
        say("query.no_grants")


def session_of(profile: Path | None) -> Session:
    """Return the researcher's session."""
    from sandbox import connect

    return connect(researcher_folder(profile))


def number(option: str, written: str | None) -> Decimal | None:
    """Return what an option says, None if it is not there."""
    return None if written is None else read_number(option, written)


def _wishes(
    epsilon: str | None,
    delta: str | None,
    error: str | None,
    purpose: str | None,
    on_missing: str,
    minimum_members: int | None,
    collusion: int,
    magnitude: list[str] | None,
    malicious: bool,
    verify: bool,
    prepared: str | None,
) -> Wishes:
    from sandbox.query import Wishes

    sizes = dict(_magnitude(written) for written in magnitude or ())
    return Wishes(
        epsilon=number("--epsilon", epsilon),
        delta=number("--delta", delta),
        error=error,
        purpose=purpose,
        on_missing=on_missing,
        minimum_members=minimum_members,
        collusion=collusion,
        magnitudes=sizes,
        malicious=malicious,
        verify=verify,
        prepared=prepared,
    )


def _magnitude(written: str) -> tuple[str, Decimal]:
    name, _, size = written.rpartition("=")
    return name, number("--magnitude", size) or Decimal(0)


def confirmed(shown: str, question: str, *, yes: bool) -> None:
    """Show what it costs; on a terminal ask, and end where the answer is no."""
    typer.echo(shown, err=True)
    if not yes and sys.stdin.isatty() and not agreed(question):
        raise typer.Exit(1)


def _confirm(explanation: Explanation, yes: bool) -> None:
    confirmed(explanation.cost(), text("query.confirm"), yes=yes)


def followed(run: Callable[[Callable[[JobView], None]], T]) -> T:
    """Run a job with a bar on a terminal. Whoever stops waiting is told how to come back to it."""
    told: list[JobView] = []
    try:
        if not sys.stderr.isatty():
            return run(told.append)
        from sandbox.progress import bar

        with bar(console(to_stderr=True)) as move:

            def tell(view: JobView) -> None:
                told.append(view)
                move(view)

            return run(tell)
    except (KeyboardInterrupt, Unavailable):
        if told and not told[-1].ended:
            remark("query.left_running", job=told[-1].job)
        raise
