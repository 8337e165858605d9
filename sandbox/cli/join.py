"""`sandbox join`: an owner learns which of his ids another owner has."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from sandbox.cli.profile import ProfileOption
from sandbox.cli.query import Malicious, confirmed, followed, session_of
from sandbox.cli.terminal import Format, FormatOption, examples, show_json
from sandbox.messages import text

app = typer.Typer(rich_markup_mode=None, add_completion=False)


class Written(StrEnum):
    """What the receiver's node writes."""

    CSV = "csv"
    PARQUET = "parquet"


@app.command(
    "join",
    help=text("help.join"),
    epilog=examples(
        "sandbox join a.people b.purchases --on id=buyer",
        "sandbox join a.visits b.visits --on person,day --malicious",
    ),
)
def join(
    receiver: Annotated[str, typer.Argument(metavar="RECEIVER.TABLE", help=text("join.receiver"))],
    sender: Annotated[str, typer.Argument(metavar="SENDER.TABLE", help=text("join.sender"))],
    on: Annotated[str, typer.Option("--on", help=text("join.on"))],
    malicious: Malicious = False,
    file: Annotated[Written, typer.Option("--file", help=text("join.file"))] = Written.CSV,
    yes: Annotated[bool, typer.Option("--yes", "-y", help=text("option.yes"))] = False,
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
