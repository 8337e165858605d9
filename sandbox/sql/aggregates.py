"""Aggregates of a statement: which statistic, over which measures; everything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from sqlglot import exp

from sandbox.errors import Refusal, SandboxError
from sandbox.privacy.statistics import (
    Avg,
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
from sandbox.sql.functions import FUNCTIONS, number
from sandbox.sql.measures import Measures, both, present
from sandbox.sql.parse import construct, exact, nearest, only, refusal, whole
from sandbox.sql.rows import MOST_SCALE, Scope, bind, condition
from sandbox.sql.scalar import Mismatch, Number, Scalar, Truth

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


class Aggregates:
    """Binds aggregate expressions over one relation to formulas over shared measures."""

    def __init__(
        self, scope: Scope, unit: tuple[str, Scalar], units_may_repeat: bool, measures: Measures
    ) -> None:
        self.operations: list[str] = []
        self._scope = scope
        self._unit, self._unit_value = unit
        self._spanning = units_may_repeat
        self._measures = measures

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
            kept, call = condition(node.expression.this, self._scope), node.this
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
            return refusal("SB-1050", node, kind=Refusal, function=name, instead=instead)
        known = ["count", "sum", "avg", "variance", "stddev", "covar_pop", "corr", "median",
                 "approx_quantile", "count_if", "histogram"]  # fmt: skip
        known_by_row = name.lower() in FUNCTIONS or isinstance(inner, exp.Case | exp.If | exp.Cast)
        if isinstance(inner, exp.Func) and not known_by_row:
            return refusal("SB-1006", node, function=name, nearest=nearest(name, known).upper())
        return refusal("SB-1018", node, construct=node.sql("duckdb")[:80])

    def _statistic(self, node: exp.Expr, kept: Truth | None, label: str) -> Formula:
        if isinstance(node, exp.Count):
            return self._count(node, kept, label)
        if isinstance(node, exp.CountIf):
            only(node, "this")
            met = condition(node.this, self._scope)
            return Count(self._measures.rows(both(kept, met), label))
        if isinstance(node, exp.Corr | exp.CovarPop | exp.CovarSamp):
            return self._pair(node, kept, label)
        if OPERATIONS[type(node)] == "quantile":
            return self._quantile(node, kept, label)
        only(node, "this")
        x = self._number(node.this)
        there = both(kept, present(x))
        n = self._measures.rows(there, f"COUNT of {label}")
        if isinstance(node, exp.Sum | exp.Avg):
            argument = self._measures.argument(x, kept, 1, label)
            s = self._measures.total(argument, label)
            return (Sum if isinstance(node, exp.Sum) else Avg)(n, s, argument.axis)
        argument = self._measures.argument(x, kept, 2, label)
        s = self._measures.total(argument, label)
        ss = self._measures.product(argument, argument, label)
        return Var(
            n,
            s,
            ss,
            argument.axis,
            sample=not isinstance(node, exp.VariancePop | exp.StddevPop),
            root=OPERATIONS[type(node)] == "stddev",
        )

    def _count(self, node: exp.Count, kept: Truth | None, label: str) -> Formula:
        only(node, "this", "big_int")
        if isinstance(node.this, exp.Distinct):
            return self._count_units(node.this, kept, label)
        if node.this is None or isinstance(node.this, exp.Star):
            return Count(self._measures.rows(kept, label))
        value = bind(node.this, self._scope)
        return Count(self._measures.rows(both(kept, present(value)), label))

    def _count_units(self, node: exp.Distinct, kept: Truth | None, label: str) -> Formula:
        named = node.expressions[0] if len(node.expressions) == 1 else None
        value = bind(named, self._scope) if isinstance(named, exp.Column) else None
        # Nothing computed from the unit: its distinct values may be fewer.
        if value != self._unit_value:
            raise refusal("SB-1054", node, kind=Refusal, unit=self._unit)
        if self._spanning:
            raise refusal("SB-1055", node, kind=Refusal, unit=self._unit)
        return Count(self._measures.units(both(kept, present(self._unit_value)), label))

    def _pair(self, node: exp.Expr, kept: Truth | None, label: str) -> Formula:
        only(node, "this", "expression")
        x, y = self._number(node.this), self._number(node.expression)
        there = both(kept, present(x), present(y))
        n = self._measures.rows(there, f"COUNT of {label}")
        u = self._measures.argument(x, both(kept, present(y)), 2, label)
        v = self._measures.argument(y, both(kept, present(x)), 2, label)
        su, sv = self._measures.total(u, label), self._measures.total(v, label)
        suv = self._measures.product(u, v, label)
        if isinstance(node, exp.Corr):
            suu, svv = self._measures.product(u, u, label), self._measures.product(v, v, label)
            return Corr(n, su, sv, suu, svv, suv, u.axis, v.axis)
        return Covar(n, su, sv, suv, u.axis, v.axis, sample=isinstance(node, exp.CovarSamp))

    def _quantile(self, node: exp.Expr, kept: Truth | None, label: str) -> Formula:
        only(node, "this", "quantile", "expression")
        p = Fraction(1, 2)
        if not isinstance(node, exp.Median):
            share = bind(node.args.get("quantile") or node.expression, self._scope)
            if not isinstance(share, Number) or share.exact is None or not 0 < share.exact < 1:
                raise refusal("SB-1007", node, expression=label[:80])
            p = share.exact
        x = self._number(node.this)
        bins, edges = self._measures.bins(x, kept, label)
        return Quantile(bins, p, edges)

    def _number(self, node: exp.Expr) -> Number:
        if isinstance(node, exp.Distinct):
            raise refusal("SB-1054", node, kind=Refusal, unit=self._unit)
        try:
            x = number(bind(node, self._scope))
        except Mismatch:
            raise refusal("SB-1007", node, expression=node.sql("duckdb")[:80]) from None
        if x.unbounded:
            raise refusal("SB-1051", node, kind=Refusal, name=x.unbounded)
        return x
