"""What is wrong with a mistyped command, in the reader's language and with the nearest that exists.

typer tells its mistakes in English alone, as exceptions whose classes are its own; their names and
what they carry are told apart here.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

import typer

from sandbox.cli.terminal import printable
from sandbox.messages import text

# typer's base of all mistakes of whoever types; typer exports only its subclasses.
UsageError: type[Any] = typer.BadParameter.__mro__[1]
_COMMAND = re.compile(r"No such command '([^']*)'")
_EXTRA = re.compile(r"unexpected extra arguments? ?(?:\(s\) )?\((.*)\)")


def show(error: Any) -> None:
    """Print a mistake to stderr; a group named alone prints its help instead."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return
    if error.ctx is not None:
        typer.echo(error.ctx.get_usage(), err=True)
        typer.echo(text("mistyped.help", command=error.ctx.command_path) + "\n", err=True)
    typer.echo(printable(_sentence(error)), err=True)


def _sentence(error: Any) -> str:
    match type(error).__name__:
        case "NoSuchOption":
            known = [name for each in error.ctx.command.get_params(error.ctx) for name in each.opts]
            nearest = _nearest(error.option_name, [name for name in known if name[0] == "-"])
            return text("mistyped.no_option", option=error.option_name, nearest=nearest)
        case "BadOptionUsage":
            option = error.option_name
            if "not take a value" in error.message:
                return text("mistyped.takes_no_value", option=option)
            return text("mistyped.needs_value", option=option)
        case "MissingParameter":
            return text("mistyped.missing", **_named(error.param))
        case "BadParameter" if error.param is not None:
            return text("mistyped.bad_value", **_named(error.param))
    return _sentence_of_words(error)


def _sentence_of_words(error: Any) -> str:
    """Return the sentence of a mistake that only typer's own words tell apart."""
    if unknown := _COMMAND.search(error.message):
        nearest = _nearest(unknown[1], error.ctx.command.list_commands(error.ctx))
        return text("cli.no_command", command=unknown[1], nearest=nearest)
    if extra := _EXTRA.search(error.message):
        return text("mistyped.extra", arguments=extra[1])
    return str(error.message)


def _named(parameter: Any) -> dict[str, str]:
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
    else:
        name = max(parameter.opts, key=len)
    return {"parameter": name, "meaning": parameter.help or ""}


def _nearest(written: str, known: list[str]) -> str:
    return difflib.get_close_matches(written, known, n=1, cutoff=0.0)[0]
