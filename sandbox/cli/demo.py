"""`sandbox demo`: three firms, one coordinator, five queries, in under a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.terminal import Format, FormatOption
from sandbox.messages import text

app = Commands()


@app.command(
    "demo",
    help=text("help.demo"),
    epilog=examples("sandbox demo", "sandbox demo --format json --keep plant"),
)
def demo(
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help=text("option.keep"))
    ] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Run the demonstration."""
    from sandbox.demo.run import run

    run(keep, as_json=format is Format.JSON)
