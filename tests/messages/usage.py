"""Which messages the code asks for, read off its syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sandbox.errors import BY_NAME

ROOT = Path(__file__).resolve().parent.parent.parent
CODE = re.compile(r"SB-\d{4}")
SPEAKERS = {"text", "say", "_said", "remark", "speak", "waiting"}
"""The functions whose first argument is a message's key."""
ERRORS = {"SandboxError", *BY_NAME}


@dataclass(frozen=True)
class Use:
    """One use of a message. `key`: a key, a code, or a pattern of keys; `facts`: None if unknown."""

    key: str
    facts: frozenset[str] | None
    place: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """What keys the use can mean; "*" stands for a part filled in at run time."""
        return re.compile(re.escape(self.key).replace(r"\*", r"[^.]+"))


@cache
def uses() -> tuple[Use, ...]:
    """Return every use of a message's key and every error raised with a code."""
    files = [*(ROOT / "sandbox").rglob("*.py"), *(ROOT / "nodes").rglob("*.py")]
    return tuple(
        use
        for file in sorted(files)
        if not file.stem.endswith(("_pb2", "_pb2_grpc"))
        for use in _uses_in(file)
    )


def keys() -> list[Use]:
    """Return the uses of keys."""
    return [use for use in uses() if not CODE.fullmatch(use.key)]


def codes() -> list[Use]:
    """Return the uses of error codes."""
    return [use for use in uses() if CODE.fullmatch(use.key)]


def _uses_in(file: Path) -> Iterator[Use]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    called: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            place = f"{file.relative_to(ROOT)}:{node.lineno}"
            yield from _headings(node, place)
            for given in node.args[:1]:
                if _name(node) in SPEAKERS:
                    yield from (Use(key, _facts(node), place) for key in _keys(given))
                elif _name(node) in ERRORS and isinstance(given, ast.Constant):
                    called.add(id(given))
                    yield Use(str(given.value), _facts(node), place)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in called:
            found = CODE.fullmatch(str(node.value))
            if found:
                yield Use(found[0], None, f"{file.relative_to(ROOT)}:{node.lineno}")


def _headings(call: ast.Call, place: str) -> Iterator[Use]:
    """Yield the headings of tables and facts: `show_rows`' columns, and keys of dicts of facts."""
    if _name(call) == "show_rows" and isinstance(call.args[-1], ast.Tuple):
        for column in call.args[-1].elts:
            if isinstance(column, ast.Constant):
                yield Use(f"column.{column.value}", frozenset(), place)


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _keys(given: ast.expr) -> list[str]:
    match given:
        case ast.Constant(value=str(key)):
            return [key]
        case ast.JoinedStr(values=parts):
            return ["".join(str(p.value) if isinstance(p, ast.Constant) else "*" for p in parts)]
        case ast.BinOp(left=ast.Constant(value=str(start)), op=ast.Add()):
            return [f"{start}*"]
        case ast.IfExp(body=first, orelse=second):
            return [*_keys(first), *_keys(second)]
    return []


def _facts(call: ast.Call) -> frozenset[str] | None:
    names = [keyword.arg for keyword in call.keywords]
    return None if None in names else frozenset(name for name in names if name)
