"""Values of joined rows: sums of products of what each side's row yields by itself.

A condition or number over several sides is a polynomial whose indeterminates are one-sided: f(a, b) =
sum of coefficient x piece of a x piece of b. Then the sum of f over all matching pairs of rows is a sum
over keys of products of per-key sums, and that is all a join protocol computes. AND and OR are taken
apart into products of which at most one is not zero in any joined row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from math import prod

from sandbox.sql.scalar import NARROW, Number, TooWide, Truth, common_step, integer

MOST_PRODUCTS = 512
"""Products in one polynomial."""


class TooManyProducts(ValueError):
    """An expression takes more products than MOST_PRODUCTS."""


class Verdict(Enum):
    """What a three-valued condition is asked; SQL around it."""

    TRUE = "{}"
    FALSE = "(NOT {})"
    NOT_TRUE = "({} IS DISTINCT FROM TRUE)"
    NOT_FALSE = "({} IS DISTINCT FROM FALSE)"


_CONTRADICTIONS = {
    frozenset(pair)
    for pair in (
        (Verdict.TRUE, Verdict.FALSE),
        (Verdict.TRUE, Verdict.NOT_TRUE),
        (Verdict.FALSE, Verdict.NOT_FALSE),
    )
}
Atom = tuple[str, Verdict]


@dataclass(frozen=True, order=True)
class Value:
    """An integer of one side's row, within [lower, upper] or NULL."""

    sql: str
    lower: int
    upper: int


@dataclass(frozen=True)
class Piece:
    """One side's part of a product: the product of `values` where all `conditions` hold, else 0.

    Where a value is NULL the piece is 0 as well.
    """

    conditions: frozenset[Atom] = frozenset()
    values: tuple[Value, ...] = ()

    def times(self, other: Piece) -> Piece | None:
        """Return the product of both, None if their conditions contradict each other."""
        values = tuple(sorted(self.values + other.values))
        there = {f"({v.sql} IS NOT NULL)" for v in values}
        atoms = self.conditions | other.conditions
        verdicts: dict[str, set[Verdict]] = {sql: {Verdict.TRUE} for sql in there}
        for sql, verdict in atoms:
            verdicts.setdefault(sql, set()).add(verdict)
        for asked in verdicts.values():
            if any(pair <= asked for pair in _CONTRADICTIONS):
                return None
        # A value that is there says so by itself.
        return Piece(frozenset(a for a in atoms if a[0] not in there), values)

    @property
    def bounds(self) -> tuple[int, int]:
        """The interval that the piece cannot leave."""
        lower, upper = 1, 1
        counted: dict[Value, int] = {}
        for value in self.values:
            counted[value] = counted.get(value, 0) + 1
        for value, power in counted.items():
            corners = [value.lower**power, value.upper**power]
            if power % 2 == 0 and value.lower <= 0 <= value.upper:
                corners.append(0)
            ends = [a * b for a in (lower, upper) for b in corners]
            lower, upper = min(ends), max(ends)
        return min(lower, 0) if self != ONE else 1, max(upper, 0)

    @property
    def sql(self) -> str:
        """Total SQL of its integer, 0 where it does not apply."""
        product = " * ".join(v.sql for v in self.values) or integer(1)
        if self.conditions:
            kept = " AND ".join(sorted(verdict.value.format(s) for s, verdict in self.conditions))
            product = f"CASE WHEN {kept} THEN {product} END"
        elif not self.values:
            return product
        if prod(max(1, -v.lower, v.upper) for v in self.values) > NARROW:
            raise TooWide
        return f"coalesce(({product})::BIGINT, 0::BIGINT)"


ONE = Piece()
Product = tuple[Piece, ...]
"""A piece for each side."""
Polynomial = Mapping[Product, int]
ZERO: Polynomial = {}


def one(sides: int) -> Polynomial:
    """Return 1 in every joined row."""
    return {(ONE,) * sides: 1}


def piece(place: int, part: Piece, sides: int) -> Polynomial:
    """Return the polynomial that is `part` of the side at `place`."""
    return {tuple(part if n == place else ONE for n in range(sides)): 1}


def plus(*polynomials: Polynomial) -> Polynomial:
    """Return the sum."""
    total: dict[Product, int] = {}
    for polynomial in polynomials:
        for product, coefficient in polynomial.items():
            total[product] = total.get(product, 0) + coefficient
    return _checked({p: c for p, c in total.items() if c})


def scaled(polynomial: Polynomial, factor: int) -> Polynomial:
    """Return `factor` times the polynomial."""
    return {p: c * factor for p, c in polynomial.items()} if factor else ZERO


def times(*polynomials: Polynomial) -> Polynomial:
    """Return the product of one or more."""
    result, *rest = polynomials
    for polynomial in rest:
        total: dict[Product, int] = {}
        for left, a in result.items():
            for right, b in polynomial.items():
                product = _product(left, right)
                if product is not None:
                    total[product] = total.get(product, 0) + a * b
            _checked(total)
        result = {p: c for p, c in total.items() if c}
    return result


def _product(left: Product, right: Product) -> Product | None:
    pieces = []
    for a, b in zip(left, right, strict=True):
        together = b if a == ONE else a if b == ONE else a.times(b)
        if together is None:
            return None
        pieces.append(together)
    return tuple(pieces)


def _checked(polynomial: dict[Product, int]) -> dict[Product, int]:
    if len(polynomial) > MOST_PRODUCTS:
        raise TooManyProducts
    return polynomial


@dataclass(frozen=True)
class JointTruth:
    """A condition in three-valued logic: where it is true, not true, false, not false (each 0/1)."""

    true: Polynomial
    not_true: Polynomial
    false: Polynomial
    not_false: Polynomial


def atom(truth: Truth, place: int, sides: int) -> JointTruth:
    """Return the one-sided condition `truth` of the side at `place`."""

    def asked(verdict: Verdict) -> Polynomial:
        return piece(place, Piece(frozenset({(truth.sql, verdict)})), sides)

    true, false = asked(Verdict.TRUE), asked(Verdict.FALSE)
    if not truth.nullable:
        return JointTruth(true, false, false, true)
    return JointTruth(true, asked(Verdict.NOT_TRUE), false, asked(Verdict.NOT_FALSE))


def always(sides: int) -> JointTruth:
    """Return TRUE."""
    return JointTruth(one(sides), ZERO, ZERO, one(sides))


def unknown(sides: int) -> JointTruth:
    """Return NULL."""
    return JointTruth(ZERO, one(sides), ZERO, one(sides))


def negation(a: JointTruth) -> JointTruth:
    """Return NOT a."""
    return JointTruth(a.false, a.not_false, a.true, a.not_true)


def conjunction(a: JointTruth, b: JointTruth) -> JointTruth:
    """Return a AND b."""
    return JointTruth(
        times(a.true, b.true),
        plus(a.not_true, times(a.true, b.not_true)),
        plus(a.false, times(a.not_false, b.false)),
        times(a.not_false, b.not_false),
    )


def disjunction(a: JointTruth, b: JointTruth) -> JointTruth:
    """Return a OR b."""
    return negation(conjunction(negation(a), negation(b)))


def known(true: Polynomial, false: Polynomial) -> JointTruth:
    """Return a condition that is never NULL."""
    return JointTruth(true, false, false, true)


@dataclass(frozen=True)
class JointNumber:
    """x = step * (value of `polynomial`) where `present` holds, else NULL; within step * [lower,
    upper]. `magnitude` and `spread` as for Number."""

    polynomial: Polynomial
    present: JointTruth
    step: Fraction
    lower: int
    upper: int
    magnitude: Fraction | None = None
    spread: Fraction | None = None
    unbounded: str = ""


def number(x: Number, place: int, sides: int) -> JointNumber:
    """Return the one-sided number `x` of the side at `place`."""
    if x.exact is not None:
        polynomial = scaled(one(sides), x.lower)
        return JointNumber(polynomial, always(sides), x.step, x.lower, x.upper, x.magnitude)
    polynomial = piece(place, Piece(values=(Value(x.sql, x.lower, x.upper),)), sides)
    there = always(sides)
    if x.nullable:
        there = atom(Truth(f"({x.sql} IS NOT NULL)"), place, sides)
    return JointNumber(
        polynomial, there, x.step, x.lower, x.upper, x.magnitude, x.spread, x.unbounded
    )


def missing_number(sides: int) -> JointNumber:
    """Return NULL as a number."""
    return JointNumber(ZERO, negation(always(sides)), Fraction(1), 0, 0)


def add(a: JointNumber, b: JointNumber) -> JointNumber:
    """Return a + b."""
    x, y = common([a, b])
    known_sizes = [n.magnitude for n in (a, b) if n.magnitude is not None]
    return JointNumber(
        plus(x.polynomial, y.polynomial),
        conjunction(a.present, b.present),
        x.step,
        x.lower + y.lower,
        x.upper + y.upper,
        max(known_sizes) if len(known_sizes) == 2 else None,
        unbounded=a.unbounded or b.unbounded,
    )


def negate(a: JointNumber) -> JointNumber:
    """Return -a."""
    return replace(a, polynomial=scaled(a.polynomial, -1), lower=-a.upper, upper=-a.lower)


def multiply(a: JointNumber, b: JointNumber) -> JointNumber:
    """Return a * b."""
    corners = [x * y for x in (a.lower, a.upper) for y in (b.lower, b.upper)]
    known_sizes = a.magnitude is not None and b.magnitude is not None
    return JointNumber(
        times(a.polynomial, b.polynomial),
        conjunction(a.present, b.present),
        a.step * b.step,
        0 if a.polynomial == b.polynomial and min(corners) < 0 else min(corners),
        max(corners),
        a.magnitude * b.magnitude if known_sizes else None,  # type: ignore[operator]
        unbounded=a.unbounded or b.unbounded,
    )


def cases(arms: Sequence[tuple[JointTruth, JointNumber]], default: JointNumber) -> JointNumber:
    """Return CASE WHEN ... THEN ... ELSE default END."""
    numbers = common([*(value for _, value in arms), default])
    sides = _sides(default.present)
    rest = one(sides)
    weights = []
    for condition, _ in arms:
        weights.append(times(rest, condition.true))
        rest = times(rest, condition.not_true)
    weights.append(rest)

    def chosen(parts: Sequence[Polynomial]) -> Polynomial:
        return plus(*(times(w, p) for w, p in zip(weights, parts, strict=True)))

    present = known(
        chosen([n.present.true for n in numbers]), chosen([n.present.not_true for n in numbers])
    )
    sizes = [n.magnitude for n in numbers if n.magnitude is not None]
    return JointNumber(
        # Each branch where it is there: a value of another branch must not be missed there.
        chosen([times(n.polynomial, n.present.true) for n in numbers]),
        present,
        numbers[0].step,
        min(n.lower for n in numbers),
        max(n.upper for n in numbers),
        max(sizes) if len(sizes) == len(numbers) else None,
        unbounded=next((n.unbounded for n in numbers if n.unbounded), ""),
    )


def _sides(truth: JointTruth) -> int:
    return next(len(product) for p in (truth.true, truth.not_true) for product in p)


def common(numbers: Sequence[JointNumber]) -> list[JointNumber]:
    """Return the same numbers on one lattice."""
    step = common_step([n.step for n in numbers])
    found = []
    for n in numbers:
        factor = int(n.step / step)
        found.append(
            replace(
                n,
                polynomial=scaled(n.polynomial, factor),
                step=step,
                lower=n.lower * factor,
                upper=n.upper * factor,
            )
        )
    return found
