"""The command `sandbox`: one file per noun, errors as code, sentence and cure, stable exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sandbox import errors
from sandbox.cli import (
    audit,
    config,
    coordinator,
    demo,
    doctor,
    identity,
    jobs,
    local,
    node,
    query,
    researcher,
)
from sandbox.cli.terminal import Format, FormatOption, examples, remark, show_error, show_rows
from sandbox.messages import text

INTERRUPTED = 130

app = typer.Typer(
    name="sandbox",
    help=text("help.root"),
    epilog=examples(
        "sandbox demo",
        "sandbox local init plant --nodes a,b,c",
        "sandbox local up plant",
        'sandbox explain "SELECT COUNT(*) FROM readings" --profile plant',
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for noun in (local, coordinator, node, researcher, identity, audit, config):
    app.add_typer(noun.app)
app.add_typer(node.collection)
for commands in (demo, doctor, query, jobs):
    commands.add_to(app)


@app.command("exit-codes", help=text("help.exit_codes"), epilog=examples("sandbox exit-codes"))
def exit_codes(format: FormatOption = Format.TABLE) -> None:
    """Print the exit codes."""
    codes = {0: "ok", 1: "failed", 2: "usage"}
    codes |= {kind.exit_code: kind.__name__ for kind in errors.BY_NAME.values()}
    codes[INTERRUPTED] = "interrupted"
    rows = [
        {"exit_code": code, "name": name, "meaning": text(f"exit.{name}")}
        for code, name in sorted(codes.items())
    ]
    show_rows(format, "exit_codes", rows, ("exit_code", "name", "meaning"))


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"fedsandbox {version('fedsandbox')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help=text("option.version")
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def main() -> None:
    """Run the command line; exits with the code of `sandbox exit-codes`."""
    try:
        app()
    except errors.SandboxError as error:
        show_error(error, _wants_json(sys.argv))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        remark("cli.interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


def _wants_json(arguments: list[str]) -> bool:
    return "--format=json" in arguments or any(
        pair == ("--format", "json") for pair in zip(arguments, arguments[1:], strict=False)
    )


if __name__ == "__main__":
    main()
