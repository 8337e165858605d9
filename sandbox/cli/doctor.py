"""`sandbox doctor`: what this machine and this deployment lack, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.terminal import Format, FormatOption, say, show_rows, waiting
from sandbox.messages import text

app = Commands()


@app.command(
    "doctor",
    help=text("help.doctor"),
    epilog=examples("sandbox doctor", "sandbox doctor --profile plant"),
)
def doctor(
    profile: Annotated[
        Path | None,
        typer.Option(
            "--profile", metavar="DIR", envvar="SANDBOX_PROFILE", help=text("option.doctor_profile")
        ),
    ] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Check the machine, and the party or deployment of the profile."""
    from sandbox.cli.checks import examine

    with waiting("doctor.examining"):
        checks = examine(profile)
    rows = [
        {
            "party": each.party,
            "check": text(f"check.{each.name}"),
            "state": text(f"doctor.state.{each.state.value}"),
            "found": each.found,
            "what_to_do": each.cure,
        }
        for each in checks
    ]
    if format is Format.JSON:
        rows = [
            row | {"check": each.name, "state": each.state.value}
            for row, each in zip(rows, checks, strict=True)
        ]
    show_rows(format, "checks", rows, ("party", "check", "state", "found", "what_to_do"))
    failed = sum(each.state.value == "failed" for each in checks)
    if format is Format.TABLE:
        say("doctor.summary", checks=len(checks), failed=failed)
    if failed:
        raise typer.Exit(1)
