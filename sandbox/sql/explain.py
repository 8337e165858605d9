"""EXPLAIN: what a statement costs, how precise it will be, who learns what. Reads no rows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from html import escape
from typing import Any

from sandbox.messages import text
from sandbox.privacy.allocate import NoisePlan
from sandbox.privacy.derivatives import predicted_error, reference_value
from sandbox.sql.algebra import Plan, Quantisation
from sandbox.sql.cost import cost
from sandbox.sql.joinexplained import JoinExplanation, KeptMatching, explain_join, number
from sandbox.sql.magnitude import reference_rows, typical_rows_of
from sandbox.sql.noise import cell_reference, noisy_members

PARTIES = ("researcher", "provider", "coordinator", "outsider")


@dataclass(frozen=True)
class OutputError:
    """The expected 95% half width of one output in one typical group; `relative` to `magnitude`."""

    name: str
    error: float
    magnitude: float | None

    @property
    def relative(self) -> float | None:
        """The error as a share of the magnitude."""
        if not self.magnitude or not math.isfinite(self.error):
            return None
        return self.error / self.magnitude


@dataclass(frozen=True)
class MeasureNoise:
    """One integer that nodes sum, and the standard deviation of all noise on it (ring units)."""

    label: str
    sigma: float


class Explained(ABC):
    """What can be known before anything runs or is spent, as people read it."""

    @abstractmethod
    def who_learns_what(self) -> dict[str, str]:
        """Return a sentence for each kind of party."""

    def learned(self) -> list[str]:
        """Return the lines that say who learns what."""
        lines = [
            text("explain.learned", party=text(f"explain.party.{party}"), what=sentence)
            for party, sentence in self.who_learns_what().items()
        ]
        return [text("explain.learns.title"), *lines]

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


@dataclass(frozen=True, repr=False)
class Explanation(Explained):
    """The whole of what can be known before anything is spent.

    `rho`: zCDP of the job (0 for Laplace). `bytes`: ciphertext that moves. `seconds`: expected time.
    """

    statement: str
    table: str
    members: int
    cells: int
    groups: tuple[tuple[str, int], ...]
    """What is grouped by, and how many values each has."""
    contribution_cap: int
    outputs: tuple[OutputError, ...]
    measures: tuple[MeasureNoise, ...]
    epsilon: Decimal
    delta: Decimal
    rho: Fraction
    mechanism: str
    ring: str
    bytes: int
    seconds: float
    quantisation: tuple[Quantisation, ...]
    rows_sql: str
    collusion: int
    rows_per_group: float
    """Rows for which errors are predicted: the card's typical rows, or for want of them its bound."""
    rows_declared: bool
    missing: str
    """What happens when a provider is not there: fail, wait or present."""
    join: JoinExplanation | None = None

    def cost(self) -> str:
        """Return what it costs, in one line."""
        return text(
            "explain.cost",
            epsilon=f"{self.epsilon:f}",
            delta=f"{self.delta:f}",
            table=self.table,
            members=self.members,
        )

    def errors(self) -> list[str]:
        """Return a line for each output's expected error."""
        return [
            text(
                "explain.output", name=o.name, error=number(o.error), relative=_percent(o.relative)
            )
            for o in self.outputs
        ]

    def who_learns_what(self) -> dict[str, str]:
        """Return a sentence for each kind of party."""
        if self.join is not None:
            return {party: self.join.learns(party) for party in PARTIES}
        return {party: text(f"explain.learns.{party}", h=self.collusion) for party in PARTIES}

    def __str__(self) -> str:
        assumed = "typical" if self.rows_declared else "bound"
        lines = [
            self.cost(),
            *([text("explain.groups", cells=self.cells)] if self.groups else []),
            *self.errors(),
            text(f"explain.assumes.{assumed}", rows=number(self.rows_per_group)),
        ]
        lines += self.join.lines() if self.join else []
        lines += self._plan()
        lines += [
            text("explain.quantised", what=q.what, step=_exact(q.step), most=_exact(q.most))
            for q in self.quantisation
        ]
        lines.append(text(f"explain.missing.{self.missing}"))
        lines.append(
            text(
                "explain.traffic",
                kib=f"{self.bytes / 1024:.0f}",
                seconds=f"{self.seconds:.1f}",
                ring=self.ring,
            )
        )
        lines += self.learned()
        lines += self.join.trust() if self.join else []
        lines.append(text("explain.node_runs"))
        return "\n".join(lines)

    def _plan(self) -> list[str]:
        return [
            text("explain.plan", cap=self.contribution_cap),
            *(text("explain.group", name=g, values=count) for g, count in self.groups),
            *(text("explain.measure", label=m.label, sigma=number(m.sigma)) for m in self.measures),
        ]

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "statement": self.statement,
            "table": self.table,
            "members": self.members,
            "cells": self.cells,
            "groups": [{"name": name, "values": count} for name, count in self.groups],
            "contribution_cap": self.contribution_cap,
            "epsilon": f"{self.epsilon:f}",
            "delta": f"{self.delta:f}",
            "rho": str(self.rho),
            "mechanism": self.mechanism,
            "outputs": [
                {
                    "name": o.name,
                    "error": _finite(o.error),
                    "magnitude": o.magnitude,
                    "relative": o.relative,
                }
                for o in self.outputs
            ],
            "measures": [{"label": m.label, "sigma": m.sigma} for m in self.measures],
            "quantisation": [
                {"what": q.what, "step": str(q.step), "most": str(q.most)}
                for q in self.quantisation
            ],
            "ring": self.ring,
            "bytes": self.bytes,
            "seconds": self.seconds,
            "who_learns_what": self.who_learns_what(),
            "node_runs": self.rows_sql,
            "rows_per_group": self.rows_per_group,
            "rows_declared": self.rows_declared,
            "missing": self.missing,
            "join": None if self.join is None else self.join.to_document(),
        }


def explain(
    plan: Plan,
    noise: NoisePlan,
    collusion: int = 1,
    missing: str = "fail",
    *,
    malicious: bool = False,
    verify: bool = False,
    kept: KeptMatching | None = None,
) -> Explanation:
    """Return the explanation of a plan under a noise plan.

    collusion: h of the job. missing: its rule for providers that are not there. malicious: which
    variant of a PSI runs. verify: whether members check the coordinator. kept: the prepared matching
    that a join is over.
    """
    members = len(plan.members)
    sigmas = noise.total_sigmas(*noisy_members(plan, collusion))
    takes = cost(plan, noise, malicious=malicious, verify=verify, kept=kept)
    return Explanation(
        statement=plan.statement,
        table=plan.name,
        members=members,
        cells=plan.cells,
        groups=tuple((group.name, len(group.values)) for group in plan.groups),
        contribution_cap=plan.fragment.contribution_cap,
        outputs=tuple(_outputs(plan, sigmas)),
        measures=tuple(
            MeasureNoise(measure.label, sigma)
            for measure, sigma in zip(plan.measures, sigmas, strict=True)
        ),
        epsilon=noise.charge.epsilon,
        delta=noise.charge.delta,
        rho=noise.charge.rho,
        mechanism=noise.mechanism.value,
        ring=takes.ring,
        bytes=takes.bytes,
        seconds=takes.seconds,
        quantisation=plan.quantisation,
        rows_sql=plan.fragment.rows_sql,
        collusion=collusion,
        rows_per_group=reference_rows(plan) / plan.cells,
        rows_declared=typical_rows_of(plan) > 0,
        missing=missing,
        join=explain_join(plan, noise, malicious=malicious, verify=verify, kept=kept),
    )


def _outputs(plan: Plan, sigmas: Sequence[float]) -> list[OutputError]:
    reference = cell_reference(plan)
    found = []
    for output in plan.outputs:
        if output.formula is None:
            continue
        declared = output.magnitude
        typical = float(declared) if declared else reference_value(output.formula, reference)
        error = predicted_error(output.formula, reference, sigmas)
        found.append(OutputError(output.name, error, None if typical is None else abs(typical)))
    return found


def _exact(value: Fraction) -> str:
    return f"{float(value):.12g}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{share:.1%}"
