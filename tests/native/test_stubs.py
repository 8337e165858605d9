"""sandbox/_native.pyi says what the module has: every name, every method, every parameter."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox import _native

STUB = Path(__file__).resolve().parents[2] / "sandbox" / "_native.pyi"
SPECIAL = {"__buffer__", "__len__"}
"""What Python's protocols call, by no name of ours."""

Names = dict[str, list[str] | None]
"""What can be called, with its parameters; None for what is read."""


def said() -> Names:
    """Return what the stub says; a class is called as its __init__ is."""
    found: Names = {}
    for node in ast.parse(STUB.read_text("utf-8")).body:
        match node:
            case ast.FunctionDef():
                found[node.name] = _parameters(node)
            case ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = None
            case ast.ClassDef():
                found[node.name] = None
                found.update(_methods(node))
    return found


def _methods(owner: ast.ClassDef) -> Iterator[tuple[str, list[str] | None]]:
    for node in owner.body:
        if isinstance(node, ast.FunctionDef):
            if node.name == "__init__":
                yield owner.name, _parameters(node)[1:]
            elif node.name not in SPECIAL:
                read = any(ast.unparse(each) == "property" for each in node.decorator_list)
                yield f"{owner.name}.{node.name}", None if read else _parameters(node)


def _parameters(node: ast.FunctionDef) -> list[str]:
    given = node.args
    optional = len(given.args) - len(given.defaults)
    found = [each.arg + "?" * (at >= optional) for at, each in enumerate(given.args)]
    named = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    return found + [f"*{each.arg}" + "?" * (default is not None) for each, default in named]


def bound() -> Names:
    """Return what the module has."""
    found: Names = {}
    for name, value in _public(_native):
        found[name] = _signature(value)
        if inspect.isclass(value) and not issubclass(value, Exception):
            for method, what in _public(value):
                found[f"{name}.{method}"] = _signature(what)
    return found


def _public(owner: Any) -> list[tuple[str, Any]]:
    return [(name, getattr(owner, name)) for name in dir(owner) if not name.startswith("_")]


def _signature(what: Any) -> list[str] | None:
    if not callable(what) or (inspect.isclass(what) and not what.__text_signature__):
        return None
    found = []
    for each in inspect.signature(what).parameters.values():
        star = "*" * (each.kind is each.KEYWORD_ONLY)
        found.append(f"{star}{each.name}" + "?" * (each.default is not each.empty))
    return found


def test_the_stub_is_the_module() -> None:
    assert said() == bound()
