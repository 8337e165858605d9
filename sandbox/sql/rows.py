"""Row-level expressions of a statement, bound to columns and rebuilt as total DuckDB text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from sqlglot import exp

from sandbox.sql import arithmetic, dates, scalar
from sandbox.sql.calls import ALIASES, ARGUMENTS, FLAGS
from sandbox.sql.functions import FUNCTIONS, moment, number
from sandbox.sql.parse import construct, exact, nearest, only, refusal, whole, written
from sandbox.sql.scalar import Mismatch, Moment, Null, Number, Scalar, Text, TooWide, Truth

LONGEST_SQL = 50_000
LONGEST_PATTERN = 200
MOST_SCALE = 18
MOST_INTERVAL = 1_000_000

COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
}


@dataclass(frozen=True)
class Scope:
    """What a column reference can name: `columns` by lower-case name, under the names `tables`."""

    name: str
    tables: frozenset[str]
    columns: Mapping[str, Scalar]
    rounded: dict[str, Fraction] = field(default_factory=dict, compare=False)
    """Expressions whose values are not exact, with the steps they are rounded to."""


def bind(node: exp.Expr, scope: Scope) -> Scalar:
    """Return the row-level value of `node`. Raises InputError or Refusal with its position."""
    try:
        value = _bind(node, scope)
    except Mismatch:
        raise refusal("SB-1007", node, expression=node.sql("duckdb")[:80]) from None
    except (TooWide, OverflowError, ZeroDivisionError):
        raise refusal("SB-1011", node, expression=node.sql("duckdb")[:80]) from None
    if len(value.sql) > LONGEST_SQL:
        raise refusal("SB-1012", node)
    return value


def condition(node: exp.Expr, scope: Scope) -> Truth:
    """Return the condition `node`; anything but a boolean is refused."""
    value = bind(node, scope)
    if isinstance(value, Null):
        return Truth("NULL::BOOLEAN", nullable=True)
    if not isinstance(value, Truth):
        raise refusal("SB-1007", node, expression=node.sql("duckdb")[:80])
    return value


def constant(node: exp.Expr | None) -> Fraction | None:
    """Return the number that an expression without columns is, None if it is none."""
    if node is None or node.find(exp.Column):
        return None
    value = bind(node, Scope("", frozenset(), {}))
    return value.exact if isinstance(value, Number) else None


def _bind(node: exp.Expr, scope: Scope) -> Scalar:
    handler = _HANDLERS.get(type(node))
    if handler is not None:
        return handler(node, scope)
    if type(node) in COMPARISONS:
        only(node, "this", "expression")
        return scalar.compare(
            COMPARISONS[type(node)], bind(node.this, scope), bind(node.expression, scope)
        )
    if isinstance(node, exp.AggFunc):
        raise refusal("SB-1013", node, function=written(node))
    if isinstance(node, exp.Subquery | exp.Select | exp.Exists):
        raise refusal(
            "SB-1003", node, construct="sub-query in an expression", instead="WITH ... FROM"
        )
    return _call(node, scope)


def _call(node: exp.Expr, scope: Scope) -> Scalar:
    if isinstance(node, exp.Anonymous):
        only(node, "this", "expressions")
        name, arguments = str(node.this).lower(), list(node.expressions)
    elif type(node) in ARGUMENTS:
        name, keys = ARGUMENTS[type(node)]
        only(node, *keys, *FLAGS)
        arguments = []
        for key in keys:
            value = node.args.get(key)
            arguments += value if isinstance(value, list) else [value] if value else []
    elif isinstance(node, exp.Func):
        name, arguments = construct(node).lower(), []
    else:
        raise refusal("SB-1003", node, construct=construct(node), instead="CASE WHEN")
    name = ALIASES.get(name, name)
    function = FUNCTIONS.get(name)
    if function is None:
        raise refusal(
            "SB-1006", node, function=written(node), nearest=nearest(name, FUNCTIONS).upper()
        )
    if not function.fewest <= len(arguments) <= function.most:
        raise refusal(
            "SB-1010", node, function=written(node), fewest=function.fewest, most=function.most
        )
    return _inexact(node, scope, function.build([bind(a, scope) for a in arguments]))


def _column(node: exp.Column, scope: Scope) -> Scalar:
    only(node, "this", "table", "db")
    qualifier = ".".join(part.name for part in node.parts[:-1]).lower()
    if qualifier and qualifier not in scope.tables:
        raise refusal("SB-1004", node, table=qualifier, nearest=nearest(qualifier, scope.tables))
    if isinstance(node.this, exp.Star):
        raise refusal("SB-1003", node, construct="*", instead="COUNT(*), AVG(x)")
    found = scope.columns.get(node.name.lower())
    if found is None:
        raise refusal(
            "SB-1005",
            node,
            name=node.name,
            table=scope.name,
            nearest=nearest(node.name, scope.columns),
        )
    return found


def _literal(node: exp.Literal, _: Scope) -> Scalar:
    if node.is_string:
        return scalar.text(node.name)
    return scalar.constant(exact(node))


def _interval(node: exp.Expr, _: Scope) -> Scalar:
    raise refusal("SB-1003", node, construct="INTERVAL", instead="date + 30")


def _number(node: exp.Expr, scope: Scope) -> Number:
    return number(bind(node, scope))


def _later(at: exp.Expr, interval: exp.Interval, sign: int) -> Scalar:
    """Return a literal date or time moved by an INTERVAL; nothing else has one length in days."""
    only(interval, "this", "unit")
    written = None if at.find(exp.Column) else bind(at, Scope("", frozenset(), {}))
    moment = scalar.as_seconds(written) if isinstance(written, Moment) else None
    count = whole(exp.Literal.number(interval.name), MOST_INTERVAL)
    unit = "" if interval.args.get("unit") is None else interval.args["unit"].name
    if moment is None or moment.lower != moment.upper or count is None:
        raise refusal("SB-1003", interval, construct="INTERVAL", instead="date + 30")
    return _found(dates.later(moment.lower, sign * count, unit))


def _add(node: exp.Expr, scope: Scope) -> Scalar:
    only(node, "this", "expression")
    for at, other in ((node.this, node.expression), (node.expression, node.this)):
        if isinstance(other, exp.Interval):
            return _later(at, other, 1)
    a, b = bind(node.this, scope), bind(node.expression, scope)
    if isinstance(a, Moment):
        return _found(dates.shifted(a, number(b)))
    if isinstance(b, Moment):
        return _found(dates.shifted(b, number(a)))
    return arithmetic.add(number(a), number(b))


def _subtract(node: exp.Expr, scope: Scope) -> Scalar:
    only(node, "this", "expression")
    if isinstance(node.expression, exp.Interval):
        return _later(node.this, node.expression, -1)
    a, b = bind(node.this, scope), bind(node.expression, scope)
    if isinstance(a, Moment) and isinstance(b, Number):
        return _found(dates.shifted(a, arithmetic.negate(b)))
    if isinstance(a, Moment) or isinstance(b, Moment):
        left, right = moment(a), moment(b)
        if left.clock is not scalar.Clock.DAY or right.clock is not scalar.Clock.DAY:
            raise refusal(
                "SB-1003",
                node,
                construct="TIMESTAMP - TIMESTAMP",
                instead="DATE_DIFF('second', a, b)",
            )
        return _found(dates.difference("day", right, left))
    return arithmetic.subtract(number(a), number(b))


def _found(value: Scalar | None) -> Scalar:
    if value is None:
        raise Mismatch
    return value


def _multiply(node: exp.Expr, scope: Scope) -> Scalar:
    only(node, "this", "expression")
    return arithmetic.multiply(_number(node.this, scope), _number(node.expression, scope))


def _divide(node: exp.Expr, scope: Scope) -> Scalar:
    only(node, "this", "expression", *FLAGS)
    return _inexact(
        node, scope, arithmetic.divide(_number(node.this, scope), _number(node.expression, scope))
    )


def _inexact(node: exp.Expr, scope: Scope, value: Scalar) -> Scalar:
    """Note a value that arithmetic could only round, and return it."""
    if isinstance(value, Number) and value.rounded:
        scope.rounded[node.sql("duckdb")[:80]] = value.step
    return value


def _junction(node: exp.Expr, scope: Scope) -> Scalar:
    only(node, "this", "expression")
    word = "AND" if isinstance(node, exp.And) else "OR"
    a, b = condition(node.this, scope), condition(node.expression, scope)
    return Truth(f"({a.sql} {word} {b.sql})", scalar.missing([a, b]), scalar.reads([a, b]))


def _not(node: exp.Expr, scope: Scope) -> Scalar:
    only(node, "this")
    a = condition(node.this, scope)
    return Truth(f"(NOT {a.sql})", a.nullable, a.reads)


def _between(node: exp.Expr, scope: Scope) -> Scalar:
    only(node, "this", "low", "high")
    value = bind(node.this, scope)
    low = scalar.compare(">=", value, bind(node.args["low"], scope))
    high = scalar.compare("<=", value, bind(node.args["high"], scope))
    both = [low, high]
    return Truth(f"({low.sql} AND {high.sql})", scalar.missing(both), scalar.reads(both))


def _in(node: exp.Expr, scope: Scope) -> Scalar:
    if node.args.get("query"):
        raise refusal("SB-1076", node, construct="IN (SELECT ...)")
    only(node, "this", "expressions")
    value = bind(node.this, scope)
    listed = [bind(option, scope) for option in node.expressions]
    if len(value.sql) * len(listed) > LONGEST_SQL:
        raise refusal("SB-1012", node)
    tests = [scalar.compare("=", value, option) for option in listed if option.sql != "NULL"]
    sqls = [t.sql for t in tests] + ["NULL::BOOLEAN"] * (len(tests) < len(listed))
    nullable = value.nullable or scalar.missing(listed)
    return Truth(f"({' OR '.join(sqls)})", nullable, scalar.reads([value, *listed]))


def _is(node: exp.Expr, scope: Scope) -> Scalar:
    only(node, "this", "expression")
    value = bind(node.this, scope)
    if isinstance(node.expression, exp.Null):
        return Truth(f"({value.sql} IS NULL)", reads=value.reads)
    if isinstance(node.expression, exp.Boolean) and isinstance(value, Truth):
        word = "TRUE" if node.expression.this else "FALSE"
        return Truth(f"({value.sql} IS NOT DISTINCT FROM {word})", reads=value.reads)
    raise Mismatch


def _like(node: exp.Expr, scope: Scope) -> Scalar:
    only(node, "this", "expression", "negate")
    value, pattern = bind(node.this, scope), bind(node.expression, scope)
    if not isinstance(value, Text) or not isinstance(pattern, Text) or pattern.exact is None:
        raise Mismatch
    if len(pattern.exact) > LONGEST_PATTERN:
        raise refusal("SB-1012", node)
    word = "ILIKE" if isinstance(node, exp.ILike) else "LIKE"
    word = f"NOT {word}" if node.args.get("negate") else word
    return Truth(f"({value.sql} {word} {pattern.sql})", value.nullable, value.reads)


def _case(node: exp.Expr, scope: Scope) -> Scalar:
    only(node, "this", "ifs", "default")
    written = node.args.get("this")
    subject = None if written is None else bind(written, scope)
    if subject is not None and len(subject.sql) * len(node.args["ifs"]) > LONGEST_SQL:
        raise refusal("SB-1012", node)
    tests: list[Truth] = []
    branches: list[Scalar] = []
    for arm in node.args["ifs"]:
        only(arm, "this", "true")
        if subject is None:
            tests.append(condition(arm.this, scope))
        else:
            tests.append(scalar.compare("=", subject, bind(arm.this, scope)))
        branches.append(bind(arm.args["true"], scope))
    default = node.args.get("default")
    branches.append(bind(default, scope) if default is not None else Null())
    return _cases(tests, branches)


def _if(node: exp.Expr, scope: Scope) -> Scalar:
    only(node, "this", "true", "false")
    default = node.args.get("false")
    branches = [
        bind(node.args["true"], scope),
        bind(default, scope) if default is not None else Null(),
    ]
    return _cases([condition(node.this, scope)], branches)


def _cases(tests: list[Truth], branches: list[Scalar]) -> Scalar:
    def build(sqls: list[str]) -> str:
        arms = " ".join(f"WHEN {t.sql} THEN {s}" for t, s in zip(tests, sqls, strict=False))
        return f"CASE {arms} ELSE {sqls[-1]} END"

    value = scalar.choice(lambda sqls: f"({build(sqls)})", branches, scalar.missing(branches))
    return scalar.reading_also(value, scalar.reads(tests))


def _cast(node: exp.Expr, scope: Scope) -> Scalar:  # noqa: PLR0911 - one case each
    only(node, "this", "to", "safe")
    value, target = bind(node.this, scope), node.args["to"]
    kind = target.this
    if kind in exp.DataType.INTEGER_TYPES:
        return arithmetic.rounded(number(value), 0)
    if kind in exp.DataType.REAL_TYPES and not target.expressions:
        if kind is exp.DataType.Type.DECIMAL:
            return arithmetic.rounded(number(value), 3)
        return number(value)
    if kind is exp.DataType.Type.DECIMAL and len(target.expressions) == 2:
        digits = whole(target.expressions[1].this, MOST_SCALE)
        if digits is None:
            raise Mismatch
        return arithmetic.rounded(number(value), digits)
    if kind is exp.DataType.Type.DATE:
        return _found(dates.date_of(moment(value)))
    if kind in exp.DataType.TEMPORAL_TYPES:
        return scalar.as_seconds(moment(value))
    if kind in exp.DataType.TEXT_TYPES and isinstance(value, Text):
        return value
    if kind is exp.DataType.Type.BOOLEAN and isinstance(value, Truth):
        return value
    raise refusal("SB-1003", node, construct=f"CAST AS {target.sql('duckdb')}", instead="CASE WHEN")


def _logarithm(node: exp.Expr, scope: Scope) -> Scalar:
    only(node, "this", "expression")
    value = node.args.get("expression")
    if value is None:
        return FUNCTIONS["log10"].build([bind(node.this, scope)])
    if node.this.name not in ("2", "10"):
        raise refusal("SB-1003", node, construct="LOG(base, x)", instead="LN(x) / LN(base)")
    return FUNCTIONS[f"log{node.this.name}"].build([bind(value, scope)])


_HANDLERS: dict[type[exp.Expr], Callable[..., Scalar]] = {
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Boolean: lambda node, _: Truth("TRUE" if node.this else "FALSE"),
    exp.Null: lambda *_: Null(),
    exp.Paren: lambda node, scope: bind(node.this, scope),
    exp.Var: lambda node, _: scalar.text(node.name),
    exp.Interval: _interval,
    exp.Neg: lambda node, scope: arithmetic.negate(_number(node.this, scope)),
    exp.Add: _add,
    exp.Sub: _subtract,
    exp.Mul: _multiply,
    exp.Div: _divide,
    exp.And: _junction,
    exp.Or: _junction,
    exp.Not: _not,
    exp.Between: _between,
    exp.In: _in,
    exp.Is: _is,
    exp.Like: _like,
    exp.ILike: _like,
    exp.Case: _case,
    exp.If: _if,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Log: _logarithm,
}
