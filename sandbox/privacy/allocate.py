"""Noise of a job: how its budget is shared among measures, and epsilon from a wanted error.

Predicted squared relative errors add: sum_j w_j sigma_j^2 with w_j = sum_outputs (slope / size)^2.
Under sum_j Delta_j^2 / (2 sigma_j^2) = rho that is least for rho_j ~ sqrt(w_j) Delta_j (Lagrange);
for Laplace, sigma_j ~ l1_j / epsilon_j, for epsilon_j ~ (w_j l1_j^2)^(1/3). Sizes are stated by the
researcher or declared on the card, never true answers. Every node derives the same numbers: shares
are rounded to three digits, variances are exact fractions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction

from sandbox.errors import InputError, Refusal
from sandbox.privacy.accounting import DIGITS, Charge, as_decimal, rho_of, significant
from sandbox.privacy.derivatives import Reference, gradient, predicted_error, reference_value
from sandbox.privacy.noise import Law, Mechanism
from sandbox.privacy.statistics import Formula

FLOOR = 20
"""A measure gets at least 1/FLOOR of an equal share, even if no output needs it."""
LEAST_SIGMA = 2
"""Least sigma of one node's draw, in ring units: the sum correction assumes it."""
SIGMA_DIGITS = 12
SHARE_DIGITS = 3
MATCHING_EPSILON, MATCHING_DELTA = Decimal(1) / 20, Decimal(1) / 10_000
"""Parts of a join's epsilon and delta that hide how many keys match."""
EPSILON_DIGITS = 3


@dataclass(frozen=True)
class Sensitivity:
    """How far one privacy unit moves a measure over all cells, and how many integers it has (cells
    times width). `sides`: of a join, the squared l2 for a unit of each side; l1 and l2 are then the
    largest."""

    l1: Fraction
    l2_squared: Fraction
    length: int
    sides: tuple[Fraction, ...] = ()


@dataclass(frozen=True)
class Target:
    """An output whose error counts. `magnitude`: its typical size, > 0; None: its value at the
    reference."""

    formula: Formula
    magnitude: float | None = None


@dataclass(frozen=True)
class Workload:
    """What is to be released, before any epsilon: measures, outputs and expected sizes.

    `members`: of a join, the nodes of each side. `matched_keys`: how far one unit may move the numbers
    of keys that sides have in common, over all joins of members; 0 where nobody sees how many match.
    """

    measures: tuple[Sensitivity, ...]
    targets: tuple[Target, ...]
    reference: Reference
    members: tuple[int, ...] = ()
    matched_keys: int = 0


@dataclass(frozen=True)
class SideNoise:
    """Noise of one side of a join: `members` nodes draw it, each in full, of the squared `scales`."""

    members: int
    scales: tuple[Fraction, ...]


@dataclass(frozen=True)
class MatchingNoise:
    """How the coordinator's view of a join, how many keys every set of two or more sides has in common,
    is private: epsilon over all sets and joins of members together, delta for each.

    For each set the providers add D keys that match: D = t + X, X discrete Laplace with P(x) ~
    exp(-epsilon |x| / keys) on [-t, t], t = `most_dummies` / 2. `keys`: how far one unit may move all
    counts together (docs/decisions/015).
    """

    epsilon: Decimal
    delta: Decimal
    keys: int
    sides: int = 2

    @property
    def most_dummies(self) -> int:
        """The most keys that are added for one set, 2t. One shifted by `keys` leaves [-t, t] with
        probability at most exp(-epsilon (t - keys + 1) / keys), which is under delta."""
        log = (1 / self.delta).ln()
        return 2 * (self.keys + math.ceil(self.keys * log / self.epsilon))

    @property
    def member_dummies(self) -> int:
        """The most keys that one member adds: those of all sets that it is in."""
        return self.most_dummies * ((1 << (self.sides - 1)) - 1)


@dataclass(frozen=True)
class NoisePlan:
    """Noise of a job. `scales`: per measure, the squared scale that the sum over honest nodes must
    have: sigma^2 for the Gaussian, b^2 for Laplace (which every node draws in full).

    Of a join, `sides` hold the scales that every node of each draws: each member's noise suffices
    for its own side by itself, whoever else colludes.
    """

    mechanism: Mechanism
    scales: tuple[Fraction, ...]
    charge: Charge
    sides: tuple[SideNoise, ...] = ()
    matching: MatchingNoise | None = None

    @property
    def member_dummies(self) -> int:
        """The most keys that one member of a join adds: none where it is not matched."""
        return self.matching.member_dummies if self.matching else 0

    def side_law(self, side: int, measure: int) -> Law:
        """Return the law that each member of a join's side draws for a measure."""
        return Law(self.mechanism, _root_above(self.sides[side].scales[measure]))

    def joined_laws(self, measure: int) -> list[Law]:
        """Return the laws of all members of a join, side by side."""
        return [
            self.side_law(index, measure)
            for index, side in enumerate(self.sides)
            for _ in range(side.members)
        ]

    def node_law(self, measure: int, pinned: int, h: int) -> Law:
        """Return the law one node draws: variance sigma^2 / max(1, pinned - h), sigma >= 2.

        `pinned`: roster members whose keys the node's owner has pinned, itself included. `h`: how
        many of them may collude. The scale is rounded up at the 12th digit.
        """
        if not (pinned >= 1 and h >= 0):
            raise InputError("SB-2212", pinned=pinned, h=h)
        square = self.scales[measure]
        if self.mechanism is Mechanism.GAUSSIAN:
            square = max(square / max(1, pinned - h), Fraction(LEAST_SIGMA**2))
        return Law(self.mechanism, _root_above(square))

    def total_sigma(self, measure: int, nodes: int, h: int) -> float:
        """Return the standard deviation of a measure's noise summed over `nodes` that pin all.

        Of a join, over all its members.
        """
        if self.sides:
            return math.sqrt(sum(law.variance for law in self.joined_laws(measure)))
        return math.sqrt(nodes * self.node_law(measure, nodes, h).variance)

    def total_sigmas(self, nodes: int, h: int) -> list[float]:
        """Return `total_sigma` of every measure."""
        return [self.total_sigma(j, nodes, h) for j in range(len(self.scales))]


def noise_plan(
    workload: Workload, epsilon: Decimal, delta: Decimal, mechanism: Mechanism
) -> NoisePlan:
    """Return each measure's noise and the job's charge.

    Gaussian needs delta > 0, Laplace delta = 0 (SB-2210). Raises InputError SB-2211 for a
    sensitivity that is not positive, SB-2201/2202 for an epsilon or delta out of range, SB-2230 for
    an epsilon that the sum's own correction uses up.
    """
    if (mechanism is Mechanism.LAPLACE) != (delta == 0):
        raise InputError("SB-2210", mechanism=mechanism.value, delta=str(delta))
    measures = workload.measures
    if not measures or any(m.l1 <= 0 or m.l2_squared <= 0 or m.length < 1 for m in measures):
        raise InputError("SB-2211")
    parts = shares(workload, mechanism)
    if workload.members:
        return _joined_plan(workload, parts, epsilon, delta)
    if mechanism is Mechanism.LAPLACE:
        if not (epsilon.is_finite() and 0 < epsilon <= 1000):
            raise InputError("SB-2201", epsilon=str(epsilon))
        pure = tuple(Fraction(epsilon) * part for part in parts)
        scales = tuple((m.l1 / e) ** 2 for m, e in zip(measures, pure, strict=True))
        return NoisePlan(mechanism, scales, Charge(epsilon, delta, pure=pure))
    charge = Charge(epsilon, delta, length=sum(m.length for m in measures))
    # What the sum of discrete Gaussians costs beyond one comes out of the same epsilon.
    rho = rho_of(epsilon, delta) - charge.correction
    if rho <= 0:
        raise InputError("SB-2230", epsilon=str(epsilon), integers=charge.length)
    rho = significant(rho, DIGITS, ROUND_FLOOR)
    scales = tuple(
        significant(m.l2_squared / (2 * rho * part), SIGMA_DIGITS, ROUND_CEILING)
        for m, part in zip(measures, parts, strict=True)
    )
    return NoisePlan(mechanism, scales, replace(charge, rho=rho))


def _joined_plan(
    workload: Workload, parts: Sequence[Fraction], epsilon: Decimal, delta: Decimal
) -> NoisePlan:
    """Return the noise of a join, always Gaussian: a bounded number of dummies needs a delta.

    MATCHING_EPSILON of epsilon and MATCHING_DELTA of delta hide how many keys match. A discrete
    Gaussian is rho-zCDP by itself, and what others add is post-processing: no correction.
    """
    if delta == 0:
        raise InputError("SB-2240")
    matching, hidden = _matching_noise(workload, epsilon, delta)
    spent = matching.epsilon if matching else Decimal(0)
    rho = rho_of(epsilon - spent, delta - hidden)
    rho = significant(rho, DIGITS, ROUND_FLOOR)
    if rho <= 0:
        raise InputError("SB-2230", epsilon=str(epsilon), integers=0)

    def scale(square: Fraction, part: Fraction) -> Fraction:
        return significant(square / (2 * rho * part), SIGMA_DIGITS, ROUND_CEILING)

    sides = tuple(
        SideNoise(
            members,
            tuple(scale(m.sides[n], p) for m, p in zip(workload.measures, parts, strict=True)),
        )
        for n, members in enumerate(workload.members)
    )
    scales = tuple(scale(m.l2_squared, p) for m, p in zip(workload.measures, parts, strict=True))
    charge = Charge(
        epsilon,
        delta,
        rho=rho,
        pure=(Fraction(spent),) if matching else (),
        extra_delta=Fraction(hidden),
    )
    return NoisePlan(Mechanism.GAUSSIAN, scales, charge, sides, matching)


def _matching_noise(
    workload: Workload, epsilon: Decimal, delta: Decimal
) -> tuple[MatchingNoise | None, Decimal]:
    """Return what hides how many keys match, and the delta it takes: nothing where nobody sees it."""
    if not workload.matched_keys:
        return None, Decimal(0)
    hidden = delta * MATCHING_DELTA
    # Each set of sides in each join of members has dummies of its own, and a tail of its own.
    tables = len(workload.members)
    counts = math.prod(workload.members) * (2**tables - tables - 1)
    noise = MatchingNoise(
        epsilon * MATCHING_EPSILON, hidden / counts, workload.matched_keys, tables
    )
    return noise, hidden


def matching_plan(keys: int, epsilon: Decimal, delta: Decimal) -> NoisePlan:
    """Return the noise of a matching that two members prepare: all of epsilon and delta hides how many
    keys match, which one unit moves by `keys` at most.

    Raises InputError SB-2201, SB-2202, SB-2240 for epsilon or delta.
    """
    if delta == 0:
        raise InputError("SB-2240")
    rho_of(epsilon, delta)  # Holds both to their ranges.
    charge = Charge(epsilon, delta, pure=(Fraction(epsilon),), extra_delta=Fraction(delta))
    matching = MatchingNoise(epsilon, delta, keys)
    return NoisePlan(Mechanism.GAUSSIAN, (), charge, matching=matching)


def shares(workload: Workload, mechanism: Mechanism) -> tuple[Fraction, ...]:
    """Return each measure's share of the budget, of three digits, > 0, together at most 1."""
    measures = workload.measures
    needs = [0.0] * len(measures)
    for target in workload.targets:
        stated = target.magnitude or reference_value(target.formula, workload.reference)
        size = abs(stated or 1.0)
        for j, slope in gradient(target.formula, workload.reference).items():
            needs[j] += (slope / size) * (slope / size)
    if mechanism is Mechanism.GAUSSIAN:
        # Of a join the noise of all members adds up.
        squares = [
            sum((n * side for n, side in zip(workload.members, m.sides, strict=True)), Fraction(0))
            or m.l2_squared
            for m in measures
        ]
        wanted = [
            math.sqrt(w) * math.sqrt(float(square))
            for w, square in zip(needs, squares, strict=True)
        ]
    else:
        wanted = [
            _cube_root(w * float(m.l1) * float(m.l1)) for w, m in zip(needs, measures, strict=True)
        ]
    total = sum(wanted)
    if not 0 < total < math.inf:
        wanted, total = [1.0] * len(measures), float(len(measures))
    least = 1.0 / (FLOOR * len(measures))
    floored = [max(w / total, least) for w in wanted]
    whole = sum(floored)
    return tuple(significant(Fraction(part / whole), SHARE_DIGITS, ROUND_FLOOR) for part in floored)


@dataclass(frozen=True)
class Release:
    """A statement whose epsilon is sought: its workload, and how and by how many noise is added.

    `seen`: measures of a typical cell as an earlier release showed them; errors are predicted there
    instead of at the workload's reference, the noise stays the one that every node derives.
    """

    workload: Workload
    delta: Decimal
    mechanism: Mechanism
    nodes: int
    h: int
    seen: Reference | None = None

    def errors(self, epsilon: Decimal) -> list[float]:
        """Return each target's predicted 95% half width at `epsilon`."""
        plan = noise_plan(self.workload, epsilon, self.delta, self.mechanism)
        sigmas = plan.total_sigmas(self.nodes, self.h)
        reference = self.seen or self.workload.reference
        return [predicted_error(t.formula, reference, sigmas) for t in self.workload.targets]


def solve_epsilon(
    release: Release, wanted: Sequence[float | None], least: Decimal, most: Decimal
) -> Decimal:
    """Return the smallest epsilon in [least, most], of three digits, at which every predicted 95%
    half width is at most the wanted one (None: does not matter).

    Wanted errors are absolute; a relative one is multiplied by a stated or declared size before.
    Refusal SB-2213 names the error that `most` would reach.
    """

    def excess(epsilon: Decimal) -> float:
        pairs = zip(release.errors(epsilon), wanted, strict=True)
        return max((e / w for e, w in pairs if w is not None), default=0.0)

    if any(w is not None and not 0 < w < math.inf for w in wanted):
        raise InputError("SB-2214")
    if (worst := excess(most)) > 1:
        raise Refusal("SB-2213", epsilon=str(most), factor=f"{worst:.3g}")
    grid = _grid(least, most)
    low, high = 0, len(grid) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if excess(grid[middle]) <= 1 else (middle + 1, high)
    return grid[low]


def split_study(
    releases: Sequence[Release],
    wanted: Sequence[Sequence[float | None]],
    epsilon: Decimal,
    least: Decimal,
) -> list[Decimal]:
    """Return an epsilon for each statement of a study, together at most `epsilon` (basic
    composition, which also bounds what the filter charges).

    A statement with wanted errors gets what they need; what is left goes in equal parts to those
    without. Refusal SB-2213 where an error needs more than `epsilon`, SB-2215 where all need more.
    """
    needs = [
        solve_epsilon(release, errors, least, epsilon) if any(errors) else None
        for release, errors in zip(releases, wanted, strict=True)
    ]
    free = needs.count(None)
    needed = sum((n for n in needs if n is not None), least * free)
    if needed > epsilon:
        raise Refusal("SB-2215", epsilon=str(epsilon), needed=f"{needed:f}")
    rest = Fraction(epsilon - needed + least * free)
    part = as_decimal(significant(rest / max(free, 1), EPSILON_DIGITS, ROUND_FLOOR))
    return [part if n is None else n for n in needs]


def _grid(least: Decimal, most: Decimal) -> list[Decimal]:
    """Return the epsilons of three digits in [least, most], and `most`."""
    grid = []
    epsilon = as_decimal(significant(Fraction(least), EPSILON_DIGITS, ROUND_CEILING))
    while epsilon < most:
        grid.append(epsilon)
        epsilon += Decimal(1).scaleb(epsilon.adjusted() - EPSILON_DIGITS + 1)
    return [*grid, most]


def _root_above(square: Fraction) -> Fraction:
    """Return sqrt(square) rounded up at the 12th significant digit."""
    digits = 10**SIGMA_DIGITS
    shift = 10 ** (len(str(math.floor(square))) // 2)
    steps = math.isqrt(math.ceil(square / shift**2 * digits**2) - 1) + 1
    return Fraction(steps * shift, digits)


def _cube_root(value: float) -> float:
    """Cube root by decimal logarithms, which are the same on every platform."""
    return float(Decimal(value) ** (Decimal(1) / Decimal(3))) if value else 0.0
