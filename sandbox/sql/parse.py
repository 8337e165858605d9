"""From text to a syntax tree, and refusals that point into the text.

sqlglot parses DuckDB's dialect. Nothing here decides what a statement means; it only makes sure that
there is one SELECT, of a size that planning can afford, with no clause that is not known by name.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fractions import Fraction

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sandbox.errors import Fact, InputError, SandboxError
from sandbox.sql.scalar import LARGEST

NUMBER = re.compile(r"(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
"""Literals of a size that takes no time to write out as an exact fraction."""
LONGEST_STATEMENT = 20_000
DEEPEST_NESTING = 60
CLAUSES = {"expressions", "from_", "where", "group", "having", "order", "limit", "with_"}
INSTEAD = {
    "offset": ("OFFSET", "LIMIT n"),
    "qualify": ("QUALIFY", "HAVING"),
    "windows": ("WINDOW", "GROUP BY"),
    "sample": ("SAMPLE", "WHERE"),
    "all": ("ALL", "every column by its name"),
    "limit_options": ("LIMIT with a share", "LIMIT 10"),
    "direction": ("FETCH", "LIMIT 10"),
    "when": ("AT (VERSION ...)", "FROM table"),
    "rollup": ("ROLLUP", "a plain list of columns"),
    "cube": ("CUBE", "a plain list of columns"),
    "grouping_sets": ("GROUPING SETS", "a plain list of columns"),
    "distinct": ("SELECT DISTINCT", "GROUP BY"),
    "joins": ("JOIN", "UNION ALL"),
    "laterals": ("LATERAL", "a sub-query"),
    "pivots": ("PIVOT", "COUNT(*) FILTER (WHERE ...)"),
}

ALSO_CALLED: dict[type[exp.Expr], tuple[str, ...]] = {
    exp.GroupConcat: ("STRING_AGG", "LISTAGG"),
    exp.PercentileCont: ("QUANTILE_CONT",),
    exp.PercentileDisc: ("QUANTILE_DISC",),
}
"""DuckDB's names of functions that sqlglot knows by others."""
CONSTRUCTS: dict[type[exp.Expr], str] = {
    exp.GroupingSets: "GROUPING SETS",
    exp.Column: "a column",
    exp.DPipe: "||",
    exp.Struct: "a struct",
}

# It would print parts of a statement that it reads as a command.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)


def parse(statement: str) -> exp.Select:
    """Return the syntax tree of one SELECT. Raises InputError (SB-1000..1003) with a position."""
    if len(statement) > LONGEST_STATEMENT:
        raise InputError("SB-1001", longest=LONGEST_STATEMENT)
    try:
        trees = [t for t in sqlglot.parse(statement, dialect="duckdb") if t is not None]
    except SqlglotError as error:
        known = getattr(error, "errors", None) or [{}]
        raise InputError(
            "SB-1000",
            line=known[0].get("line") or 1,
            column=known[0].get("col") or 1,
            near=str(known[0].get("highlight") or "").strip()[:40],
        ) from None
    except RecursionError:
        raise InputError("SB-1001", longest=LONGEST_STATEMENT) from None
    if not trees:
        raise InputError("SB-1000", line=1, column=1, near="")
    if len(trees) > 1:
        found = "; ".join(construct(tree) for tree in trees)[:80]
        raise InputError("SB-1002", line=1, column=1, found=found)
    tree = trees[0]
    if not isinstance(tree, exp.Select):
        first = sqlglot.tokenize(statement, dialect="duckdb")[0]
        begin = first.col - (first.end - first.start)
        raise InputError("SB-1002", line=first.line, column=begin, found=construct(tree))
    if _depth(tree) > DEEPEST_NESTING:
        raise InputError("SB-1001", longest=LONGEST_STATEMENT)
    _place_functions(tree, statement)
    return tree


def check_clauses(select: exp.Select, *also: str) -> None:
    """Refuse every clause of a SELECT that is not one of CLAUSES or `also`."""
    for clause, value in select.args.items():
        if not value or clause in CLAUSES or clause in also:
            continue
        name, instead = INSTEAD.get(clause, (clause.replace("_", " ").upper(), "SELECT"))
        where = value[0] if isinstance(value, list) else value
        raise refusal(
            "SB-1016" if clause == "joins" else "SB-1003",
            where if isinstance(where, exp.Expr) else select,
            construct=name,
            instead=instead,
        )


def only(node: exp.Expr, *names: str) -> None:
    """Refuse a node that carries anything beside the arguments `names`."""
    for name, value in node.args.items():
        if value and name not in names:
            unknown = f"{name.replace('_', ' ').upper()} in {construct(node)}"
            written, instead = INSTEAD.get(name, (unknown, "SELECT"))
            raise refusal("SB-1003", node, construct=written, instead=instead)


def exact(node: exp.Expr) -> Fraction:
    """Return the number that a literal stands for, exactly. Raises InputError SB-1011."""
    value = Fraction(node.name) if NUMBER.fullmatch(node.name) else None
    if value is None or value > LARGEST or 0 < value < 1 / LARGEST:
        raise refusal("SB-1011", node, expression=node.name[:80])
    return value


def whole(node: exp.Expr | None, most: int) -> int | None:
    """Return the literal whole number 0..most that `node` is, None if it is none."""
    if not isinstance(node, exp.Literal) or node.is_string or not NUMBER.fullmatch(node.name):
        return None
    value = Fraction(node.name)
    return int(value) if value.denominator == 1 and value <= most else None


def refusal(
    code: str, node: exp.Expr, kind: type[SandboxError] = InputError, **facts: Fact
) -> SandboxError:
    """Return the error `code` of `kind` with the node's position in the statement's text."""
    line, column = position(node)
    return kind(code, line=line, column=column, **facts)


def position(node: exp.Expr) -> tuple[int, int]:
    """Return the line and column, from 1, where `node` begins; (1, 1) if it is not known."""
    found = [
        (n.meta["start"], n.meta["line"], n.meta["col"] - (n.meta["end"] - n.meta["start"]))
        for n in node.walk()
        if "start" in n.meta
    ]
    return min(found, default=(0, 1, 1))[1:]


def construct(node: exp.Expr) -> str:
    """Return the SQL name of a node's kind, for refusals."""
    if isinstance(node, exp.Anonymous):
        return str(node.this).upper()
    if isinstance(node, exp.Command):
        return str(node.this).upper()
    if isinstance(node, exp.Func):
        return node.sql_name()
    return CONSTRUCTS.get(type(node)) or node.key.upper()


def written(function: exp.Expr) -> str:
    """Return a function's name as the statement has it, for refusals."""
    return str(function.meta.get("written") or construct(function))


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the names most like `name`, or the first few if none is like it."""
    known = sorted(names)
    lowered = {n.lower(): n for n in known}
    close = [lowered[n] for n in get_close_matches(name.lower(), list(lowered), n=3, cutoff=0.5)]
    return ", ".join(close or known[:8])


def _place_functions(tree: exp.Select, statement: str) -> None:
    """Let every function know where its name stands, and how it is written.

    sqlglot places most of those that it knows, but not all: a refusal would point at an argument.
    """
    tokens = sqlglot.tokenize(statement, dialect="duckdb")
    at = {token.start: index for index, token in enumerate(tokens)}
    openers = _openers(tokens)
    for node in reversed(list(tree.walk(bfs=True))):
        if not isinstance(node, exp.Func) or isinstance(node, exp.Anonymous):
            continue
        name = tokens[at[node.meta["start"]]] if "start" in node.meta else None
        inside = min((n.meta["start"] for n in node.walk() if "start" in n.meta), default=None)
        opener = 0 if inside is None else openers[at[inside]]
        if name is None and opener:
            before = tokens[opener - 1]
            known = (*node.sql_names(), *ALSO_CALLED.get(type(node), ()))
            name = before if before.text.upper() in known else None
        if name is not None:
            place = {"line": name.line, "col": name.col, "start": name.start, "end": name.end}
            node.meta.update(place, written=name.text.upper())


def _openers(tokens: Sequence[sqlglot.Token]) -> list[int]:
    """Return, for each token, which one is the innermost parenthesis open before it, or 0."""
    openers, opened = [], [0]
    for index, token in enumerate(tokens):
        if token.token_type is sqlglot.TokenType.R_PAREN and len(opened) > 1:
            opened.pop()
        openers.append(opened[-1])
        if token.token_type is sqlglot.TokenType.L_PAREN:
            opened.append(index)
    return openers


def _depth(tree: exp.Expr) -> int:
    deepest, level = 0, [tree]
    while level and deepest <= DEEPEST_NESTING:
        deepest += 1
        level = [child for node in level for child in node.iter_expressions()]
    return deepest
