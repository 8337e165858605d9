"""`sandbox audit`: verify receipts and logs with nothing but public keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.help import Commands, examples
from sandbox.cli.profile import ProfileOption
from sandbox.cli.terminal import Format, FormatOption, say, show_facts
from sandbox.messages import text

BROKEN = 5
"""Exit code where evidence does not hold: that of TrustError."""

app = Commands(
    "audit",
    help=text("help.audit.root"),
    epilog=examples(
        "sandbox audit verify receipt.json --profile plant/supervisor",
    ),
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
        Path | None, typer.Argument(metavar="FILE", help=text("option.receipt"))
    ] = None,
    keys: Annotated[
        list[Path] | None, typer.Option("--keys", metavar="FILE", help=text("option.keys"))
    ] = None,
    profile: ProfileOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Verify a receipt, an exported log, or this party's own log."""
    from sandbox.cli.verification import verify_file, verify_own_log

    report = verify_file(file, keys or [], profile) if file else verify_own_log(profile)
    show_facts(format, report.facts)
    if not report.ok:
        raise typer.Exit(BROKEN)


@app.command(
    "export",
    help=text("help.audit.export"),
    epilog=examples(
        "sandbox audit export a.log --profile plant/nodes/a",
        "sandbox audit verify a.log --keys plant/nodes/a/identity.json",
    ),
)
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=text("option.log_file"))],
    profile: ProfileOption = None,
) -> None:
    """Write this party's log to a file."""
    from sandbox.cli.verification import export_own_log

    export_own_log(profile, file)
    say("audit.exported", file=file)
