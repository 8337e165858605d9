"""`sandbox exit-codes`: what a script can tell from how a command ended."""

from __future__ import annotations

from sandbox.cli.help import Commands, examples
from sandbox.cli.terminal import Format, FormatOption, show_rows
from sandbox.errors import BY_NAME
from sandbox.messages import text

app = Commands()


@app.command("exit-codes", help=text("help.exit_codes"), epilog=examples("sandbox exit-codes"))
def exit_codes(format: FormatOption = Format.TABLE) -> None:
    """Print the exit codes."""
    codes = {0: "ok", 1: "failed", 2: "usage", 130: "interrupted"}
    codes |= {kind.exit_code: name for name, kind in BY_NAME.items()}
    rows = [
        {"exit_code": code, "name": name, "meaning": text(f"exit.{name}")}
        for code, name in sorted(codes.items())
    ]
    show_rows(format, "exit_codes", rows, ("exit_code", "name", "meaning"))
