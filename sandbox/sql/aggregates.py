"""Aggregates of a statement: which statistic, over which measures; everything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Generic, Protocol, TypeVar

from sqlglot import exp

from sandbox.errors import Refusal, SandboxError
from sandbox.privacy.statistics import (
    Avg,
    Axis,
    Constant,
    Corr,
    Count,
    Covar,
    Formula,
    Operation,
    Operator,
    Quantile,
    Sum,
    Var,
)
from sandbox.sql.functions import FUNCTIONS
from sandbox.sql.parse import construct, exact, nearest, only, refusal, whole, written
from sandbox.sql.rows import MOST_SCALE, constant

OPERATIONS: dict[type[exp.Expr], str] = {
    exp.Count: "count",
    exp.CountIf: "count",
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Variance: "var",
    exp.VariancePop: "var",
    exp.Stddev: "stddev",
    exp.StddevSamp: "stddev",
    exp.StddevPop: "stddev",
    exp.CovarPop: "covar",
    exp.CovarSamp: "covar",
    exp.Corr: "corr",
    exp.ApproxQuantile: "quantile",
    exp.PercentileDisc: "quantile",
    exp.Quantile: "quantile",
    exp.Median: "quantile",
}
NAMES = {"mean": exp.Avg, "histogram": exp.Anonymous}
NOT_PRIVATE: dict[str, str] = {
    "MIN": "APPROX_QUANTILE(x, 0.01)",
    "MAX": "APPROX_QUANTILE(x, 0.99)",
    "PERCENTILE_CONT": "APPROX_QUANTILE(x, 0.5)",
    "QUANTILE_CONT": "APPROX_QUANTILE(x, 0.5)",
    "LOGICAL_AND": "COUNT_IF(NOT x)",
    "LOGICAL_OR": "COUNT_IF(x)",
    "APPROX_DISTINCT": "COUNT(DISTINCT unit)",
}
"""What to write instead of aggregates that single rows decide."""
ARITHMETIC: dict[type[exp.Expr], Operator] = {
    exp.Add: Operator.ADD,
    exp.Sub: Operator.SUBTRACT,
    exp.Mul: Operator.MULTIPLY,
    exp.Div: Operator.DIVIDE,
    exp.Neg: Operator.NEGATE,
    exp.Abs: Operator.ABS,
    exp.Sqrt: Operator.SQRT,
}


C = TypeVar("C")
X = TypeVar("X")
A = TypeVar("A", bound="Centred")


class Centred(Protocol):
    """An argument of an aggregate as integers around the middle of its range."""

    @property
    def axis(self) -> Axis:
        """The way back to the argument."""


class Rows(Protocol[C, X, A]):
    """What aggregates range over: rows of one table, or joined rows.

    C: conditions on a row, where None holds in every row; X: numbers; A: arguments.
    """

    def condition(self, node: exp.Expr) -> C:
        """Return the condition that `node` is true."""

    def present(self, node: exp.Expr) -> C | None:
        """Return the condition that `node`, of any type, is not NULL."""

    def number(self, node: exp.Expr) -> X:
        """Return the number that `node` is."""

    def there(self, x: X) -> C | None:
        """Return the condition that `x` is not NULL."""

    def both(self, *conditions: C | None) -> C | None:
        """Return the conjunction of those conditions that are there."""

    def argument(self, x: X, kept: C | None, power: int, label: str) -> A:
        """Return `x` centred, for sums of its power 1 or 2 over rows where `kept` holds."""

    def rows(self, kept: C | None, label: str) -> int:
        """Return the measure that counts rows."""

    def units(self, node: exp.Distinct, kept: C | None, label: str) -> int:
        """Return the measure that counts the distinct values of `node`."""

    def total(self, a: A, label: str) -> int:
        """Return the measure sum(u)."""

    def product(self, a: A, b: A, label: str) -> int:
        """Return the measure sum(u * v)."""

    def bins(self, call: exp.Expr, kept: C | None, label: str) -> tuple[int, tuple[Fraction, ...]]:
        """Return the measure that counts rows per bin of the number that `call` is of, and the bins'
        edges."""


class Aggregates(Generic[C, X, A]):
    """Binds aggregate expressions to formulas over shared measures of `rows`."""

    def __init__(self, rows: Rows[C, X, A]) -> None:
        self.operations: list[str] = []
        self._rows = rows

    def formula(  # noqa: PLR0911 - one case each
        self, node: exp.Expr, column: Callable[[exp.Column], Formula]
    ) -> Formula:
        """Return the formula of `node`; `column` resolves (or refuses) what is not aggregated."""
        if isinstance(node, exp.Paren):
            return self.formula(node.this, column)
        if isinstance(node, exp.Column):
            return column(node)
        if isinstance(node, exp.Literal) and not node.is_string:
            return Constant(exact(node))
        if isinstance(node, exp.Round):
            only(node, "this", "decimals")
            written = node.args.get("decimals")
            digits = 0 if written is None else whole(written, MOST_SCALE)
            if digits is None:
                raise refusal("SB-1007", node, expression=node.sql("duckdb")[:80])
            scale = Constant(Fraction(digits))
            return Operation(Operator.ROUND, (self.formula(node.this, column), scale))
        operator = ARITHMETIC.get(type(node))
        if operator is not None:
            only(node, "this", "expression", "typed", "safe")
            operands = [node.this] + ([node.expression] if node.args.get("expression") else [])
            return Operation(operator, tuple(self.formula(o, column) for o in operands))
        if isinstance(node, exp.Cast) and node.args["to"].this in exp.DataType.REAL_TYPES:
            return self.formula(node.this, column)
        return self._aggregate(node)

    def _aggregate(self, node: exp.Expr) -> Formula:
        kept, call = None, node
        if isinstance(node, exp.Filter):
            only(node, "this", "expression")
            kept, call = self._rows.condition(node.expression.this), node.this
        if isinstance(call, exp.Anonymous) and call.name.lower() == "mean":
            call = exp.Avg(this=call.expressions[0]) if len(call.expressions) == 1 else call
        if isinstance(call, exp.Window):
            raise refusal("SB-1003", node, construct="OVER", instead="GROUP BY")
        operation = OPERATIONS.get(type(call))
        if operation is None:
            raise self._unknown(call)
        label = node.sql("duckdb")
        formula = self._statistic(call, kept, label)
        counted = isinstance(call, exp.Count) and isinstance(call.this, exp.Distinct)
        self.operations.append("count_distinct" if counted else operation)
        return formula

    def _unknown(self, node: exp.Expr) -> SandboxError:
        inner = node.this if isinstance(node, exp.IgnoreNulls | exp.WithinGroup) else node
        name = construct(inner)
        if isinstance(inner, exp.AggFunc) or name in NOT_PRIVATE:
            instead = NOT_PRIVATE.get(name, "COUNT(*), SUM(x), APPROX_QUANTILE(x, 0.5)")
            return refusal("SB-1050", node, kind=Refusal, function=written(inner), instead=instead)
        known = ["count", "sum", "avg", "variance", "stddev", "covar_pop", "corr", "median",
                 "approx_quantile", "count_if", "histogram"]  # fmt: skip
        known_by_row = name.lower() in FUNCTIONS or isinstance(inner, exp.Case | exp.If | exp.Cast)
        if isinstance(inner, exp.Func) and not known_by_row:
            return refusal(
                "SB-1006", node, function=written(inner), nearest=nearest(name, known).upper()
            )
        return refusal("SB-1018", node, construct=node.sql("duckdb")[:80])

    def _statistic(self, node: exp.Expr, kept: C | None, label: str) -> Formula:
        if isinstance(node, exp.Count):
            return self._count(node, kept, label)
        if isinstance(node, exp.CountIf):
            only(node, "this")
            met = self._rows.condition(node.this)
            return Count(self._rows.rows(self._rows.both(kept, met), label))
        if isinstance(node, exp.Corr | exp.CovarPop | exp.CovarSamp):
            return self._pair(node, kept, label)
        if OPERATIONS[type(node)] == "quantile":
            return self._quantile(node, kept, label)
        only(node, "this")
        x = self._rows.number(node.this)
        there = self._rows.both(kept, self._rows.there(x))
        n = self._rows.rows(there, f"COUNT of {label}")
        if isinstance(node, exp.Sum | exp.Avg):
            argument = self._rows.argument(x, kept, 1, label)
            is_sum = isinstance(node, exp.Sum)
            s = self._rows.total(argument, label if is_sum else f"SUM of {label}")
            return (Sum if is_sum else Avg)(n, s, argument.axis)
        argument = self._rows.argument(x, kept, 2, label)
        s = self._rows.total(argument, f"SUM of {label}")
        ss = self._rows.product(argument, argument, f"SUM of squares of {label}")
        return Var(
            n,
            s,
            ss,
            argument.axis,
            sample=not isinstance(node, exp.VariancePop | exp.StddevPop),
            root=OPERATIONS[type(node)] == "stddev",
        )

    def _count(self, node: exp.Count, kept: C | None, label: str) -> Formula:
        only(node, "this", "big_int")
        if isinstance(node.this, exp.Distinct):
            return Count(self._rows.units(node.this, kept, label))
        if node.this is None or isinstance(node.this, exp.Star):
            return Count(self._rows.rows(kept, label))
        there = self._rows.present(node.this)
        return Count(self._rows.rows(self._rows.both(kept, there), label))

    def _pair(self, node: exp.Expr, kept: C | None, label: str) -> Formula:
        only(node, "this", "expression")
        rows = self._rows
        x, y = rows.number(node.this), rows.number(node.expression)
        there = rows.both(kept, rows.there(x), rows.there(y))
        n = rows.rows(there, f"COUNT of {label}")
        u = rows.argument(x, rows.both(kept, rows.there(y)), 2, label)
        v = rows.argument(y, rows.both(kept, rows.there(x)), 2, label)
        first, second = (part.sql("duckdb") for part in (node.this, node.expression))
        su = rows.total(u, f"SUM of {first} of {label}")
        sv = rows.total(v, f"SUM of {second} of {label}")
        suv = rows.product(u, v, f"SUM of products of {label}")
        if isinstance(node, exp.Corr):
            suu = rows.product(u, u, f"SUM of squares of {first} of {label}")
            svv = rows.product(v, v, f"SUM of squares of {second} of {label}")
            return Corr(n, su, sv, suu, svv, suv, u.axis, v.axis)
        return Covar(n, su, sv, suv, u.axis, v.axis, sample=isinstance(node, exp.CovarSamp))

    def _quantile(self, node: exp.Expr, kept: C | None, label: str) -> Formula:
        only(node, "this", "quantile", "expression")
        p = Fraction(1, 2)
        if not isinstance(node, exp.Median):
            share = constant(node.args.get("quantile") or node.expression)
            if share is None or not 0 < share < 1:
                raise refusal("SB-1007", node, expression=label[:80])
            p = share
        bins, edges = self._rows.bins(node, kept, label)
        return Quantile(bins, p, edges)
