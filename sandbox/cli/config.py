"""`sandbox config`: check a configuration before a process has to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.terminal import Format, FormatOption, say, show_json
from sandbox.messages import text

app = Commands(
    "config",
    help=text("help.config.root"),
    epilog=examples(
        "sandbox config check plant/nodes/a/config.toml",
    ),
)


@app.command(
    help=text("help.config.check"),
    epilog=examples("sandbox config check plant/nodes/a/config.toml"),
)
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=text("option.config_file"))],
    format: FormatOption = Format.TABLE,
) -> None:
    """Check a file."""
    from sandbox.config import check as check_file

    role = check_file(file)
    if format is Format.JSON:
        show_json(file=str(file), role=role, valid=True)
    else:
        say("config.valid", file=file, role=text(f"role.{role}"))


@app.command("schema", help=text("help.config.schema"), epilog=examples("sandbox config schema"))
def schema(format: FormatOption = Format.TABLE) -> None:
    """Print the keys of every configuration."""
    from sandbox.cli.terminal import show_rows
    from sandbox.config import MODELS

    rows = [
        {
            "role": role,
            "key": key,
            "default": "" if field.is_required() else field.get_default(),
            "required": field.is_required(),
        }
        for role, model in MODELS.items()
        for key, field in model.model_fields.items()
    ]
    show_rows(format, "keys", rows, ("role", "key", "required", "default"))
