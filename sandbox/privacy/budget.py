"""The budget filter: whether one more job fits, in exact integers.

A Rényi filter at one fixed order per period (Feldman, Zrnic 2021, theorem 3.1): losses of jobs,
however adaptively chosen, add up; while their sum stays under the limit at that order, all releases
together are (epsilon, delta)-DP. Each node keeps one `Spent` for every (budget group, researcher)
and one for every budget group, and a job must fit both.

Renewal counts for new rows: a new period starts at loss 0, so a privacy unit whose rows were there
in one period only has lost at most `epsilon`; the lifetime sum never restarts, so that no unit ever
loses more than `lifetime_epsilon`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from sandbox.errors import InputError, Refusal
from sandbox.privacy.accounting import (
    Charge,
    best_order,
    loss_limit,
    rho_of,
)


@dataclass(frozen=True)
class BudgetLimits:
    """What may be lost: (epsilon, delta) in each `period`, (lifetime_epsilon, delta) in all.

    delta 0 means pure DP: only Laplace jobs fit. `extra_delta` comes on top of delta, in a period and
    in all: joins draw on it, whose dummies are bounded in number. Raises InputError SB-2103.
    """

    epsilon: Decimal
    delta: Decimal
    period: timedelta
    lifetime_epsilon: Decimal
    extra_delta: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        numbers = (self.epsilon, self.delta, self.lifetime_epsilon, self.extra_delta)
        sound = (
            all(n.is_finite() for n in numbers)
            and 0 < self.epsilon <= self.lifetime_epsilon <= 1000
            and 0 <= self.delta < 1
            and 0 <= self.extra_delta < 1
            and self.period >= timedelta(hours=1)
        )
        if not sound:
            raise InputError("SB-2103")


def strictest(limits: Sequence[BudgetLimits]) -> BudgetLimits:
    """Return limits that whoever keeps them keeps all of `limits` too; at least one is given."""
    return BudgetLimits(
        min(one.epsilon for one in limits),
        min(one.delta for one in limits),
        max(one.period for one in limits),
        min(one.lifetime_epsilon for one in limits),
        min(one.extra_delta for one in limits),
    )


@dataclass(frozen=True)
class Spent:
    """What one budget has lost; stored as `values()`: integers, and exact fractions as text.

    `opened`: when the period began, Unix seconds. `order`: Rényi order of `loss`, None for pure DP;
    fixed while the period lasts, as `lifetime_order` is for ever. `loss`, `lifetime_loss`: units of
    10^-12 nats. `extra_delta`, `lifetime_extra_delta`: additive delta drawn.
    """

    opened: int
    order: Fraction | None
    loss: int
    lifetime_order: Fraction | None
    lifetime_loss: int
    extra_delta: Fraction = Fraction(0)
    lifetime_extra_delta: Fraction = Fraction(0)

    def values(self) -> dict[str, int | str]:
        """Return the columns to store: INTEGER for int, TEXT for str ("" for order None)."""
        return {
            "opened": self.opened,
            "order": _text(self.order),
            "loss": self.loss,
            "lifetime_order": _text(self.lifetime_order),
            "lifetime_loss": self.lifetime_loss,
            "extra_delta": str(self.extra_delta),
            "lifetime_extra_delta": str(self.lifetime_extra_delta),
        }

    @classmethod
    def from_values(cls, values: dict[str, int | str]) -> Spent:
        """Return the Spent that `values()` described."""
        return cls(
            opened=int(values["opened"]),
            order=_order(values["order"]),
            loss=int(values["loss"]),
            lifetime_order=_order(values["lifetime_order"]),
            lifetime_loss=int(values["lifetime_loss"]),
            extra_delta=Fraction(values["extra_delta"]),
            lifetime_extra_delta=Fraction(values["lifetime_extra_delta"]),
        )


@dataclass(frozen=True)
class Remaining:
    """What a budget still allows: the largest epsilon a job of a given delta could ask, when the
    period renews, and whether the lifetime (which does not renew) is what binds."""

    epsilon: Decimal
    renews: datetime
    lifetime_binds: bool


def current(spent: Spent | None, limits: BudgetLimits, now: datetime) -> Spent:
    """Return `spent` as it stands at `now`: opened if it is the first, renewed if a period ended.

    A clock that runs backwards renews nothing. Once an owner gives a pure budget a delta, its losses
    count at a finite order: a pure epsilon bounds the divergence of every order.
    """
    instant = int(now.timestamp())
    length = int(limits.period.total_seconds())
    order = _best(limits.epsilon, limits)
    if spent is None:
        return Spent(instant, order, 0, _best(limits.lifetime_epsilon, limits), 0)
    if spent.lifetime_order is None and limits.delta:
        spent = replace(spent, lifetime_order=_best(limits.lifetime_epsilon, limits))
    if spent.order is None and limits.delta:
        spent = replace(spent, order=order)
    periods = (instant - spent.opened) // length
    if periods < 1:
        return spent
    opened = spent.opened + periods * length
    return replace(spent, opened=opened, order=order, loss=0, extra_delta=Fraction(0))


def admit(
    spent: Spent | None, limits: BudgetLimits, charge: Charge, now: datetime, scope: str
) -> Spent:
    """Return the new Spent after `charge`, or raise Refusal and leave everything as it was.

    `scope` names the budget for people ("dataset 'plants'", "researcher ab12 on 'plants'"). Refusal
    SB-2100 (period) or SB-2101 (lifetime) states requested, remaining, difference and renewal, each
    as an epsilon at the job's delta; SB-2102: a Gaussian job under a pure budget; SB-2104: a join beyond
    the additive delta.
    """
    spent = current(spent, limits, now)
    loss = charge.loss(spent.order)
    lifetime_loss = charge.loss(spent.lifetime_order)
    if loss is None or lifetime_loss is None:
        raise Refusal("SB-2102", scope=scope)
    after = replace(
        spent,
        loss=spent.loss + loss,
        lifetime_loss=spent.lifetime_loss + lifetime_loss,
        extra_delta=spent.extra_delta + charge.extra_delta,
        lifetime_extra_delta=spent.lifetime_extra_delta + charge.extra_delta,
    )
    if within(after, limits):
        return after
    if after.lifetime_extra_delta > Fraction(limits.extra_delta) and charge.extra_delta:
        raise Refusal("SB-2104", scope=scope, limit=f"{limits.extra_delta:f}")
    left = remaining(spent, limits, charge.delta, now, charge.length)
    raise Refusal(
        "SB-2101" if left.lifetime_binds else "SB-2100",
        scope=scope,
        requested=str(charge.epsilon),
        remaining=f"{left.epsilon:f}",
        difference=f"{max(charge.epsilon - left.epsilon, Decimal(0)):f}",
        delta=str(charge.delta),
        renews=left.renews.isoformat(timespec="minutes"),
    )


def within(spent: Spent, limits: BudgetLimits) -> bool:
    """Return whether `spent` keeps all four limits."""
    return (
        spent.loss <= loss_limit(limits.epsilon, limits.delta, spent.order)
        and spent.lifetime_loss
        <= loss_limit(limits.lifetime_epsilon, limits.delta, spent.lifetime_order)
        and spent.extra_delta <= Fraction(limits.extra_delta)
        and spent.lifetime_extra_delta <= Fraction(limits.extra_delta)
    )


def remaining(
    spent: Spent | None, limits: BudgetLimits, delta: Decimal, now: datetime, length: int = 0
) -> Remaining:
    """Return what is left for one job of `delta` (0: Laplace) that releases `length` integers."""
    spent = current(spent, limits, now)
    at = limits.delta
    in_period = _largest(
        loss_limit(limits.epsilon, at, spent.order) - spent.loss, spent.order, delta, length
    )
    in_life = _largest(
        loss_limit(limits.lifetime_epsilon, at, spent.lifetime_order) - spent.lifetime_loss,
        spent.lifetime_order,
        delta,
        length,
    )
    renews = datetime.fromtimestamp(spent.opened, UTC) + limits.period
    return Remaining(min(in_period, in_life), renews, in_life < in_period)


def _largest(left: int, order: Fraction | None, delta: Decimal, length: int) -> Decimal:
    """Return the largest epsilon, to 4 digits, whose charge of `delta` is at most `left`: by
    bisection on the charge itself, so that asking for what a refusal names is admitted."""

    def fits(epsilon: Decimal) -> bool:
        if delta:
            loss = Charge(epsilon, delta, rho=rho_of(epsilon, delta), length=length).loss(order)
        else:
            loss = Charge(epsilon, delta, pure=(Fraction(epsilon),)).loss(order)
        return loss is not None and loss <= left

    low, high = -6 * 9000, 3 * 9000  # positions of epsilons from 10^-6 to 1000
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(_epsilon_at(middle)) else (low, middle)
    return _epsilon_at(low) if fits(_epsilon_at(low)) else Decimal(0)


def _epsilon_at(position: int) -> Decimal:
    exponent, mantissa = divmod(position, 9000)
    return Decimal(1000 + mantissa).scaleb(exponent - 3)


def _best(epsilon: Decimal, limits: BudgetLimits) -> Fraction | None:
    return best_order(epsilon, limits.delta) if limits.delta else None


def _text(order: Fraction | None) -> str:
    return "" if order is None else str(order)


def _order(text: int | str) -> Fraction | None:
    return Fraction(text) if text != "" else None
