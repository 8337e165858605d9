"""`sandbox join`: an owner learns which of his ids another owner has; and matchings kept for queries.

Its commands have names without a dot, and tables have one: what is no command is a join of ids.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from sandbox.cli.help import Commands, Group, examples
from sandbox.cli.profile import ProfileOption
from sandbox.cli.query import (
    Malicious,
    Verify,
    confirmed,
    followed,
    number,
    session_of,
    show_grants,
)
from sandbox.cli.terminal import Format, FormatOption, say, show_json, show_rows
from sandbox.messages import text

DAYS = 30
IDS = "ids"


class Joins(Group):
    """The group, whose first command is what no name asks for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read `sandbox join A.t B.t …` as `sandbox join ids A.t B.t …`."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [IDS, *args]
        return super().parse_args(ctx, args)


app = Commands(
    cls=Joins,
    help=text("help.join.root"),
    epilog=examples(
        "sandbox join a.people b.purchases --on id=buyer",
        "sandbox join prepare shops a.people b.purchases --on id=buyer"
        " --epsilon 0.05 --delta 1e-10",
        'sandbox query "SELECT COUNT(*) FROM a.people p JOIN b.purchases q ON p.id = q.buyer"'
        " --epsilon 0.5 --delta 1e-6 --prepared shops",
    ),
)

Receiver = Annotated[str, typer.Argument(metavar="RECEIVER.TABLE", help=text("join.receiver"))]
Sender = Annotated[str, typer.Argument(metavar="SENDER.TABLE", help=text("join.sender"))]
On = Annotated[str, typer.Option("--on", metavar="COLUMNS", help=text("join.on"))]
Name = Annotated[str, typer.Argument(metavar="NAME", help=text("prepared.name"))]


class Written(StrEnum):
    """What the receiver's node writes."""

    CSV = "csv"
    PARQUET = "parquet"


@app.command(
    IDS,
    help=text("help.join.ids"),
    epilog=examples(
        "sandbox join a.people b.purchases --on id=buyer",
        "sandbox join ids a.visits b.visits --on person,day --malicious",
    ),
)
def ids(
    receiver: Receiver,
    sender: Sender,
    on: On,
    malicious: Malicious = False,
    file: Annotated[
        Written, typer.Option("--file", metavar="csv|parquet", help=text("join.file"))
    ] = Written.CSV,
    yes: Annotated[bool, typer.Option("--yes", "-y", help=text("join.yes"))] = False,
    profile: ProfileOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Say who will learn what, then join."""
    asked = session_of(profile).join(
        receiver,
        sender,
        on,
        malicious=malicious,
        file="csv" if file is Written.CSV else "parquet",
    )
    explained = asked.explain()
    confirmed(str(explained), text("join.confirm"), yes=yes)
    joined = followed(lambda tell: asked.run(progress=tell))
    if format is Format.JSON:
        show_json(**joined.to_document(), who_learns_what=explained.who_learns_what())
    else:
        typer.echo(str(joined))


@app.command(
    "grants",
    help=text("help.join.grants"),
    epilog=examples("sandbox join grants a.people b.purchases --on id=buyer"),
)
def grants(
    receiver: Receiver,
    sender: Sender,
    on: On,
    malicious: Malicious = False,
    profile: ProfileOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Say what both providers would have to change."""
    show_grants(
        session_of(profile).join(receiver, sender, on, malicious=malicious).grants(), format
    )


@app.command(
    "prepare",
    help=text("help.join.prepare"),
    epilog=examples(
        "sandbox join prepare shops a.people b.purchases --on id=buyer"
        " --epsilon 0.05 --delta 1e-10",
        'sandbox query "SELECT COUNT(*) FROM a.people p JOIN b.purchases q ON p.id = q.buyer"'
        " --epsilon 0.5 --delta 1e-6 --prepared shops",
    ),
)
def prepare(
    name: Name,
    left: Annotated[str, typer.Argument(metavar="A.TABLE", help=text("prepared.table"))],
    right: Annotated[str, typer.Argument(metavar="B.TABLE", help=text("prepared.table"))],
    on: On,
    epsilon: Annotated[str | None, typer.Option("--epsilon", help=text("prepared.epsilon"))] = None,
    delta: Annotated[str | None, typer.Option("--delta", help=text("prepared.delta"))] = None,
    days: Annotated[int, typer.Option("--days", min=1, help=text("prepared.days"))] = DAYS,
    verify: Verify = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help=text("option.yes"))] = False,
    profile: ProfileOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Say what it costs, then match and let the nodes keep the matching."""
    asked = session_of(profile).prepare(
        name,
        left,
        right,
        on,
        epsilon=number("--epsilon", epsilon),
        delta=number("--delta", delta),
        days=days,
        verify=verify,
    )
    explained = asked.explain()
    confirmed(str(explained), text("prepared.confirm"), yes=yes)
    made = followed(lambda tell: asked.run(progress=tell))
    if format is Format.JSON:
        show_json(**made.to_document(), receipt=str(made.receipt))
    else:
        typer.echo(str(made))


@app.command("prepared", help=text("help.join.prepared"), epilog=examples("sandbox join prepared"))
def prepared(profile: ProfileOption = None, format: FormatOption = Format.TABLE) -> None:
    """List what this researcher has prepared."""
    rows = [
        {**made.to_document(), "tables": ", ".join(made.tables)}
        for made in session_of(profile).matchings()
    ]
    show_rows(format, "matchings", rows, ("name", "tables", "until", "job"))


@app.command("forget", help=text("help.join.forget"), epilog=examples("sandbox join forget shops"))
def forget(name: Name, profile: ProfileOption = None) -> None:
    """Let the nodes forget a matching."""
    session_of(profile).forget(name)
    say("prepared.forgotten", name=name)
