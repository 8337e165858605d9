"""What a researcher reads, as functions of the integers that nodes sum: moments, bins, formulas.

A node releases, for every cell (one combination of group values), a few noised integers called
measures. Columns enter centred, in units of their scale: u = round((clamp(x) - centre) / step), so
that a sum's sensitivity is half the declared range. Every statistic below names the measures it
needs by their index in the plan and can be recomputed by anyone who holds the released integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction


class Operator(Enum):
    """Arithmetic between statistics, after the noise."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    NEGATE = "neg"
    ABS = "abs"
    SQRT = "sqrt"
    ROUND = "round"


@dataclass(frozen=True)
class Axis:
    """How centred integer units of one argument map back: x = centre + step * u, both exact."""

    centre: Fraction
    step: Fraction
    lower: Fraction
    upper: Fraction


@dataclass(frozen=True)
class Count:
    """Number of rows (or of privacy units): measure `n` itself."""

    n: int


@dataclass(frozen=True)
class Sum:
    """sum x = step * s + centre * n; NULL where no row has a value."""

    n: int
    s: int
    x: Axis


@dataclass(frozen=True)
class Avg:
    """mean of x = centre + step * s / n."""

    n: int
    s: int
    x: Axis


@dataclass(frozen=True)
class Var:
    """Variance of x: step^2 (ss - s^2/n) / (n - sample); with `root`, the standard deviation."""

    n: int
    s: int
    ss: int
    x: Axis
    sample: bool
    root: bool


@dataclass(frozen=True)
class Covar:
    """Covariance of x and y over rows where both are present."""

    n: int
    sx: int
    sy: int
    sxy: int
    x: Axis
    y: Axis
    sample: bool


@dataclass(frozen=True)
class Corr:
    """Pearson correlation of x and y over rows where both are present."""

    n: int
    sx: int
    sy: int
    sxx: int
    syy: int
    sxy: int
    x: Axis
    y: Axis


@dataclass(frozen=True)
class Quantile:
    """The smallest value whose share of the rows reaches `p`, read off measure `bins`.

    Bin i holds values in [edges[i], edges[i+1]); its value is edges[i] (a lattice point).
    """

    bins: int
    p: Fraction
    edges: tuple[Fraction, ...]


@dataclass(frozen=True)
class Constant:
    """A literal in a formula over statistics."""

    value: Fraction


@dataclass(frozen=True)
class Operation:
    """An operator applied to statistics; NULL where an argument is NULL or a divisor is zero."""

    operator: Operator
    arguments: tuple[Formula, ...]


Statistic = Count | Sum | Avg | Var | Covar | Corr | Quantile
Formula = Statistic | Constant | Operation
