"""`sandbox audit`: verify receipts and logs with nothing but public keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.profile import ProfileOption
from sandbox.cli.terminal import Format, FormatOption, examples
from sandbox.messages import text

app = typer.Typer(
    name="audit", help=text("help.audit.root"), no_args_is_help=True, rich_markup_mode=None
)


@app.command(
    "verify",
    help=text("help.audit.verify"),
    epilog=examples(
        "sandbox audit verify receipt.json", "sandbox audit verify --profile plant/nodes/a"
    ),
)
def verify(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help=text("option.receipt"))
    ] = None,
    keys: Annotated[list[Path] | None, typer.Option("--keys", help=text("option.keys"))] = None,
    profile: ProfileOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Verify a receipt, or this party's own log."""
    raise NotImplementedError


@app.callback()
def _audit() -> None:
    """Keep `verify` a command of its own."""
