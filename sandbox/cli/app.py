"""The command `sandbox`: errors as code, sentence and cure; stable exit codes; quick to start.

The nouns live in a file each and are imported when one of their commands runs; the root's help needs
their names and one sentence from the message catalogue only.
"""

from __future__ import annotations

import difflib
import importlib
import itertools
import sys
from typing import Annotated, Any

import typer
import typer.main

from sandbox.cli import mistyped
from sandbox.cli.help import Commands, Group, examples, first_sentence
from sandbox.cli.terminal import remark, show_error
from sandbox.errors import InputError, SandboxError
from sandbox.files import fault_of
from sandbox.messages import text

INTERRUPTED = 130

# Each command, in the order of the help, and the file it lives in.
COMMANDS = {
    "demo": "demo",
    "doctor": "doctor",
    "health": "health",
    "local": "local",
    "datasets": "datasets",
    "show": "datasets",
    "mock": "datasets",
    "explain": "query",
    "query": "query",
    "join": "join",
    "result": "query",
    "grants": "query",
    "jobs": "jobs",
    "job": "jobs",
    "cancel": "jobs",
    "budget": "jobs",
    "approvals": "jobs",
    "approve": "jobs",
    "reject": "jobs",
    "audit": "audit",
    "node": "node",
    "collection": "collection",
    "researcher": "researcher",
    "coordinator": "coordinator",
    "identity": "identity",
    "config": "config",
    "bench": "bench",
    "exit-codes": "exit_codes",
}


class Root(Group):
    """The root, which builds a command only when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Build the command `cmd_name`; an unknown one is a usage error that names the nearest."""
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, COMMANDS, n=1, cutoff=0.0)
            ctx.fail(text("cli.no_command", command=cmd_name, nearest=near[0]))
        module = importlib.import_module(f"sandbox.cli.{COMMANDS[cmd_name]}")
        built = typer.main.get_command(module.app)
        return getattr(built, "commands", {}).get(cmd_name, built)

    def summaries(self) -> list[tuple[str, str]]:
        """Return each command's name and first sentence without building it."""
        return [(name, _summary(name)) for name in COMMANDS]


app = Commands(
    "sandbox",
    cls=Root,
    help=text("help.root"),
    epilog=examples(
        "sandbox demo",
        "sandbox local init plant --nodes a,b,c",
        "sandbox local up plant",
        'sandbox explain "SELECT COUNT(*) FROM a.readings" --epsilon 0.5 --delta 1e-6'
        " --profile plant",
    ),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from sandbox.version import __version__

        typer.echo(f"fedsandbox {__version__}")
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
        sys.exit(app(prog_name="sandbox", standalone_mode=False))
    except mistyped.UsageError as error:
        mistyped.show(error)
        sys.exit(error.exit_code)
    except SandboxError as error:
        show_error(error, as_json=_wants_json(sys.argv))
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        remark("cli.interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is left to say to him.
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        refused = InputError("SB-1391", file=str(error.filename), reason=fault_of(error))
        show_error(refused, as_json=_wants_json(sys.argv))
        sys.exit(refused.exit_code)


def _wants_json(arguments: list[str]) -> bool:
    return "--format=json" in arguments or ("--format", "json") in itertools.pairwise(arguments)


def _summary(name: str) -> str:
    key = "help." + name.replace("-", "_")
    try:
        return first_sentence(text(key))
    except KeyError:
        return first_sentence(text(f"{key}.root"))


if __name__ == "__main__":
    main()
