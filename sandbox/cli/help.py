"""What `--help` shows: pages laid out here, at the terminal's width, in the reader's language.

typer's own pages keep their headings in English, cut the sentences of commands that they list, and do
not know where a Chinese line may break.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer
import typer.core

from sandbox.messages import text

WIDEST, NARROWEST = 100, 50
"""Cells of a page: lines are no longer, however wide the terminal; nor cut to less, however narrow."""
NAMES = 24
"""Cells that the names of a list take at most; what means a longer one stands below it."""

# What a line may break before: a word, or a Chinese character, with the punctuation that stays with it.
_OPENING, _CLOSING = r"\[（“「《", "，。；：！？、）”」》…"
_CHINESE = r"\u2e80-\uffef"
_PIECE = re.compile(rf"\s*[{_OPENING}]*(?:[{_CHINESE}]|[^\s{_CHINESE}]+)[{_CLOSING}]*")
# What stays together in an example: an option with its value, a quoted statement, a redirection.
_WORD = re.compile(r'(?:-\S+ )?"[^"]*"|-\S+ [^-"\s]\S*|> \S+|\S+')

Function = TypeVar("Function", bound=Callable[..., Any])


class Command(typer.core.TyperCommand):
    """A command whose help is a page of this file."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write how it is typed."""
        formatter.write(_usage(ctx) + "\n")

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write its page."""
        formatter.write(_page(ctx, ()) + "\n")


class Group(typer.core.TyperGroup):
    """Commands under one name, whose help is a page of this file."""

    def summaries(self) -> list[tuple[str, str]]:
        """Return each command's name and the first sentence of its help."""
        return [(name, first_sentence(each.help or "")) for name, each in self.commands.items()]

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write how it is typed."""
        formatter.write(_usage(ctx, text("page.any_command")) + "\n")

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write its page, the commands included."""
        formatter.write(_page(ctx, self.summaries(), text("page.any_command")) + "\n")


class Commands(typer.Typer):
    """The commands of one file, each with a page of this file.

    noun: the name they share, None where each stands alone. epilog: see `examples`.
    """

    def __init__(
        self, noun: str | None = None, help: str = "", epilog: str = "", cls: type[Group] = Group
    ) -> None:
        super().__init__(
            name=noun,
            cls=cls,
            help=help,
            epilog=epilog,
            no_args_is_help=True,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
            add_completion=False,
        )

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Function], Function]:
        """Return what makes a function the command `name`."""
        return super().command(name, cls=Command, **settings)


def examples(*commands: str) -> str:
    """Return commands as the epilog of a page, where they stand as examples."""
    return "\n".join(commands)


def first_sentence(whole: str) -> str:
    """Return the first sentence of a text, its full stop included."""
    sentence, end, _ = whole.partition(text("cli.sentence_end"))
    return sentence + end.rstrip()


def cells(written: str) -> int:
    """Return the width of a text on a terminal, where a Chinese character takes two cells."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in written)


def wrapped(written: str, width: int) -> list[str]:
    """Return the lines of a text of at most `width` cells each, unless a single word is longer."""
    lines = [""]
    for piece in _PIECE.findall(written):
        if lines[-1] and cells(lines[-1] + piece) > width:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return lines


def _page(ctx: Any, commands: Sequence[tuple[str, str]], *after: str) -> str:
    shown = [each for each in ctx.command.get_params(ctx) if not each.hidden]
    arguments = [_argument(each) for each in shown if each.param_type_name == "argument"]
    options = [_option(each) for each in shown if each.param_type_name == "option"]
    about = wrapped(ctx.command.help or "", _width() - 2)
    told = (ctx.command.epilog or "").splitlines()
    blocks = [
        [_usage(ctx, *after)],
        [f"  {line}" for line in about],
        _list(text("page.arguments"), arguments),
        _list(text("page.options"), options),
        _list(text("page.commands"), commands),
        [text("page.examples"), *(line for each in told for line in _example(each))]
        if told
        else [],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _width() -> int:
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))


def _usage(ctx: Any, *after: str) -> str:
    params = ctx.command.get_params(ctx)
    arguments = [
        _name(each) if each.required else f"[{_name(each)}]"
        for each in params
        if each.param_type_name == "argument"
    ]
    return text(
        "page.usage",
        command=" ".join([ctx.command_path, text("page.any_options"), *arguments, *after]),
    )


def _list(heading: str, rows: Sequence[tuple[str, str]]) -> list[str]:
    """Return a heading and rows of a name and what it means, the latter beside each other."""
    if not rows:
        return []
    column = min(NAMES, max(cells(name) for name, _ in rows)) + 4
    lines = [heading]
    for name, meaning in rows:
        beside = wrapped(meaning, _width() - column)
        if cells(name) + 4 <= column:
            lines.append(f"  {name}".ljust(column) + beside.pop(0))
        else:
            lines.append(f"  {name}")
        lines.extend(" " * column + line for line in beside)
    return [line.rstrip() for line in lines]


def _argument(parameter: Any) -> tuple[str, str]:
    return _name(parameter), " ".join([parameter.help or "", *_marks(parameter)])


def _option(parameter: Any) -> tuple[str, str]:
    names = ", ".join(sorted(parameter.opts, key=len))
    if "--help" in parameter.opts:
        return names, text("page.help")
    value = "" if parameter.is_flag else f" {_name(parameter)}"
    return names + value, " ".join([parameter.help or "", *_marks(parameter)])


def _name(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _marks(parameter: Any) -> list[str]:
    """Return what is said of a parameter beyond its meaning, in brackets."""
    marks = []
    if parameter.envvar:
        marks.append(text("page.environment", name=parameter.envvar))
    said = isinstance(parameter.default, (str, int, float, Path)) and parameter.default != ""
    # A flag's default is False, which says nothing.
    if said and parameter.default is not False:
        marks.append(text("page.default", value=parameter.default))
    if parameter.required:
        marks.append(text("page.required"))
    return [f"[{'; '.join(marks)}]"] if marks else []


def _example(command: str) -> list[str]:
    """Return an example's lines; what is too long goes on after a backslash, as a shell reads it."""
    if cells(f"  {command}") <= _width():
        return [f"  {command}"]
    lines = [" "]
    for word in _WORD.findall(command):
        if cells(f"{lines[-1]} {word} \\") > _width():
            lines[-1] += " \\"
            lines.append("     ")
        lines[-1] += f" {word}"
    return lines
