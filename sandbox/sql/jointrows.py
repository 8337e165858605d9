"""Conditions and numbers over joined rows, as polynomials of what each table's row yields.

A node over one table is bound as ever. Over several, AND, OR, NOT, CASE, COALESCE, sums and products
come apart, and a comparison does if one end has few declared values: it is the sum over them. With
`absent`, the tables in it have no row: whatever reads their columns is NULL, except what is made for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from sqlglot import exp

from sandbox.errors import Refusal, SandboxError
from sandbox.sql import joint, rows, scalar
from sandbox.sql.functions import number
from sandbox.sql.joins import Tables
from sandbox.sql.joint import (
    JointNumber,
    JointTruth,
    Piece,
    Polynomial,
    TooManyProducts,
    Verdict,
)
from sandbox.sql.parse import only, refusal
from sandbox.sql.rows import COMPARISONS
from sandbox.sql.scalar import Mismatch, Moment, Number, Scalar, Text, Truth

MOST_DOMAIN = 400
"""Values over which a comparison between two tables is summed."""
MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
NOT_STRICT = {"coalesce", "ifnull", "nullif", "least", "greatest"}
"""Functions that may have a value where an argument is NULL."""
_NOT_STRICT = (exp.And, exp.Or, exp.Is, exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Least,
               exp.Greatest, exp.NullSafeEQ, exp.NullSafeNEQ, exp.In)  # fmt: skip
Absent = frozenset[int]
ALL_THERE: Absent = frozenset()


class JointRows:
    """Binds expressions over the rows of joined tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._count = len(tables.tables)

    def scalar(self, node: exp.Expr, place: int) -> Scalar:
        """Return an expression over one table's row."""
        return rows.bind(node, self._tables.scopes[place])

    def truth(self, node: exp.Expr, absent: Absent = ALL_THERE) -> JointTruth:
        """Return a condition. Raises InputError SB-1063, SB-1070 where it does not come apart."""
        try:
            return self._truth(node, absent)
        except TooManyProducts:
            raise _too_many(node) from None

    def number(self, node: exp.Expr, absent: Absent = ALL_THERE) -> JointNumber:
        """Return a number. Raises InputError SB-1063, SB-1070 where it does not come apart."""
        try:
            return self._number(node, absent)
        except TooManyProducts:
            raise _too_many(node) from None
        except (scalar.TooWide, OverflowError):
            raise refusal("SB-1011", node, expression=node.sql("duckdb")[:80]) from None

    def present(self, node: exp.Expr, absent: Absent = ALL_THERE) -> JointTruth:
        """Return the condition that an expression of any type is not NULL."""
        places = self._tables.places(node)
        if not places & absent and len(places) <= 1:
            value = self.scalar(node, min(places, default=0))
            if not value.nullable:
                return joint.always(self._count)
            there = Truth(f"({value.sql} IS NOT NULL)")
            return joint.atom(there, min(places, default=0), self._count)
        if places & absent and strict(node):
            return joint.negation(joint.always(self._count))
        return self.number(node, absent).present

    # Conditions

    def _truth(self, node: exp.Expr, absent: Absent) -> JointTruth:  # noqa: PLR0911 - one case each
        places = self._tables.places(node)
        if not places & absent and len(places) <= 1:
            return self._one_sided(node, min(places, default=0))
        if places & absent and strict(node):
            # Still refuse what no row could mean.
            return joint.unknown(self._count)
        if isinstance(node, exp.Paren):
            return self._truth(node.this, absent)
        if isinstance(node, exp.And | exp.Or):
            only(node, "this", "expression")
            a, b = self._truth(node.this, absent), self._truth(node.expression, absent)
            return joint.conjunction(a, b) if isinstance(node, exp.And) else joint.disjunction(a, b)
        if isinstance(node, exp.Not):
            only(node, "this")
            return joint.negation(self._truth(node.this, absent))
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            only(node, "this", "expression")
            return joint.negation(self.present(node.this, absent))
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Boolean):
            a = self._truth(node.this, absent)
            if node.expression.this:
                return joint.known(a.true, a.not_true)
            return joint.known(a.false, a.not_false)
        return self._compared(node, absent)

    def _compared(self, node: exp.Expr, absent: Absent) -> JointTruth:
        if isinstance(node, exp.Between):
            only(node, "this", "low", "high")
            low = exp.GTE(this=node.this, expression=node.args["low"])
            high = exp.LTE(this=node.this, expression=node.args["high"])
            return joint.conjunction(self._truth(low, absent), self._truth(high, absent))
        if isinstance(node, exp.In) and node.expressions:
            only(node, "this", "expressions")
            equal = [exp.EQ(this=node.this, expression=option) for option in node.expressions]
            found = self._truth(equal[0], absent)
            for option in equal[1:]:
                found = joint.disjunction(found, self._truth(option, absent))
            return found
        operator = COMPARISONS.get(type(node))
        if operator in MIRRORED:
            only(node, "this", "expression")
            sides = [self._tables.places(n) for n in (node.this, node.expression)]
            if all(len(s) == 1 and not s & absent for s in sides):
                return self._between(node, operator, min(sides[0]), min(sides[1]))
        raise _inseparable(node)

    def _one_sided(self, node: exp.Expr, place: int) -> JointTruth:
        truth = rows.condition(node, self._tables.scopes[place])
        if truth.sql == "TRUE":
            return joint.always(self._count)
        return joint.atom(truth, place, self._count)

    def _between(self, node: exp.Expr, operator: str, left: int, right: int) -> JointTruth:
        """Return a comparison of two tables' values: a sum over the values of one of them."""
        a, b = self.scalar(node.this, left), self.scalar(node.expression, right)
        try:
            x, y = scalar.aligned([a, b])
        except Mismatch:
            raise refusal("SB-1007", node, expression=node.sql("duckdb")[:80]) from None
        known = [literals(v) for v in (x, y)]
        sizes = [len(k) if k is not None else MOST_DOMAIN + 1 for k in known]
        if min(sizes) > MOST_DOMAIN:
            raise refusal("SB-1062", node, kind=Refusal, expression=node.sql("duckdb")[:80])
        if sizes[1] < sizes[0]:
            x, y, left, right, known = y, x, right, left, known[::-1]
            operator = MIRRORED[operator]
        others = None if known[1] is None else set(known[1])
        true, false = [], []
        for value in known[0] or ():
            here = self._asked(f"({x.sql} = {value})", left)
            there = f"({y.sql} {MIRRORED[operator]} {value})"
            if operator != "=" or others is None or value in others:
                true.append(joint.times(here, self._asked(there, right)))
            false.append(joint.times(here, self._asked(there, right, Verdict.FALSE)))
        if not (a.nullable or b.nullable):
            return joint.known(joint.plus(*true), joint.plus(*false))
        gone = self._missing(x, left, y, right)
        t, f = joint.plus(*true), joint.plus(*false)
        return JointTruth(t, joint.plus(f, gone), f, joint.plus(t, gone))

    def _missing(self, x: Scalar, left: int, y: Scalar, right: int) -> Polynomial:
        """Return where x or y is NULL."""
        parts = []
        if x.nullable:
            parts.append(self._asked(f"({x.sql} IS NULL)", left))
        if y.nullable:
            there = self._asked(f"({x.sql} IS NOT NULL)", left) if x.nullable else None
            null = self._asked(f"({y.sql} IS NULL)", right)
            parts.append(null if there is None else joint.times(there, null))
        return joint.plus(*parts)

    def _asked(self, sql: str, place: int, verdict: Verdict = Verdict.TRUE) -> Polynomial:
        return joint.piece(place, Piece(frozenset({(sql, verdict)})), self._count)

    # Numbers

    def _number(self, node: exp.Expr, absent: Absent) -> JointNumber:  # noqa: PLR0911, PLR0912
        places = self._tables.places(node)
        if not places & absent and len(places) <= 1:
            return self._own_number(node, min(places, default=0))
        if isinstance(node, exp.Paren):
            return self._number(node.this, absent)
        if places & absent and strict(node):
            return joint.missing_number(self._count)
        if isinstance(node, exp.Neg):
            return joint.negate(self._number(node.this, absent))
        if isinstance(node, exp.Add | exp.Sub | exp.Mul):
            only(node, "this", "expression")
            a, b = self._number(node.this, absent), self._number(node.expression, absent)
            if isinstance(node, exp.Mul):
                return joint.multiply(a, b)
            return joint.add(a, b if isinstance(node, exp.Add) else joint.negate(b))
        if isinstance(node, exp.Div):
            divisor = rows.constant(node.expression)
            if divisor:
                inverse = joint.number(scalar.constant(1 / divisor), 0, self._count)
                return joint.multiply(self._number(node.this, absent), inverse)
        if isinstance(node, exp.Case | exp.If):
            return self._case(node, absent)
        if isinstance(node, exp.Coalesce):
            return self._coalesce([node.this, *node.expressions], absent)
        if isinstance(node, exp.Null):
            return joint.missing_number(self._count)
        if isinstance(node, exp.Cast) and _real(node.args["to"]):
            return self._number(node.this, absent)
        if isinstance(node, exp.Predicate | exp.Connector | exp.Not):
            return self._flag(self._truth(node, absent))
        raise _inseparable(node)

    def _own_number(self, node: exp.Expr, place: int) -> JointNumber:
        if isinstance(node, exp.Null):
            return joint.missing_number(self._count)
        try:
            x = number(self.scalar(node, place))
        except Mismatch:
            raise refusal("SB-1007", node, expression=node.sql("duckdb")[:80]) from None
        return joint.number(x, place, self._count)

    def _flag(self, truth: JointTruth) -> JointNumber:
        present = joint.known(
            joint.plus(truth.true, truth.false), joint.times(truth.not_true, truth.not_false)
        )
        return JointNumber(truth.true, present, Fraction(1), 0, 1)

    def _case(self, node: exp.Expr, absent: Absent) -> JointNumber:
        if isinstance(node, exp.If):
            only(node, "this", "true", "false")
            arms, default = [(node.this, node.args["true"])], node.args.get("false")
        else:
            only(node, "this", "ifs", "default")
            subject, default = node.args.get("this"), node.args.get("default")
            arms = []
            for arm in node.args["ifs"]:
                only(arm, "this", "true")
                test = arm.this if subject is None else exp.EQ(this=subject, expression=arm.this)
                arms.append((test, arm.args["true"]))
        found = [(self._truth(test, absent), self._number(value, absent)) for test, value in arms]
        last = (
            joint.missing_number(self._count) if default is None else self._number(default, absent)
        )
        return joint.cases(found, last)

    def _coalesce(self, nodes: Sequence[exp.Expr], absent: Absent) -> JointNumber:
        *first, last = [self._number(node, absent) for node in nodes]
        return joint.cases([(x.present, x) for x in first], last)


def strict(node: exp.Expr) -> bool:
    """Tell whether an expression that reads a column without a value has none either."""
    if isinstance(node, exp.In):
        return strict(node.this)
    for part in node.walk():
        if isinstance(part, _NOT_STRICT):
            return False
        if isinstance(part, exp.Anonymous) and str(part.this).lower() in NOT_STRICT:
            return False
    return True


def literals(value: Scalar) -> tuple[str, ...] | None:
    """Return the SQL of all values that `value` can have, None where they are not declared."""
    if isinstance(value, Text):
        return None if value.domain is None else tuple(scalar.quoted(v) for v in value.domain)
    if isinstance(value, Truth):
        return "FALSE", "TRUE"
    if isinstance(value, Number | Moment):
        if value.points is not None:
            return tuple(scalar.integer(p) for p in value.points)
        if not value.unbounded and value.upper - value.lower < MOST_DOMAIN:
            return tuple(scalar.integer(p) for p in range(value.lower, value.upper + 1))
    return None


def _real(target: exp.Expr) -> bool:
    decimal = exp.DataType.Type.DECIMAL
    return target.this in exp.DataType.REAL_TYPES and target.this is not decimal


def _inseparable(node: exp.Expr) -> SandboxError:
    return refusal("SB-1063", node, kind=Refusal, expression=node.sql("duckdb")[:80])


def _too_many(node: exp.Expr) -> SandboxError:
    most = joint.MOST_PRODUCTS
    return refusal("SB-1070", node, expression=node.sql("duckdb")[:80], most=most)


class Products:
    """Names the statement where its conditions take too many products."""

    def __init__(self, select: exp.Select) -> None:
        self._select = select

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TooManyProducts):
            text = self._select.args["from_"].sql("duckdb")[:80]
            raise refusal(
                "SB-1070", self._select, expression=text, most=joint.MOST_PRODUCTS
            ) from None
