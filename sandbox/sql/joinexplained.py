"""EXPLAIN of a join: its mode, what each table gives and risks, who learns what, whom it trusts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sandbox.audit.assumptions import assumptions, sentence
from sandbox.messages import text
from sandbox.privacy.allocate import NoisePlan
from sandbox.sql.algebra import Plan


@dataclass(frozen=True)
class SideExplanation:
    """One table: `rows`, what each member is padded to; rows of a unit and of a key that count;
    `changes`: per measure, how far one of its units moves it (l1, ring units); what it runs."""

    table: str
    rows: int
    contribution_cap: int
    multiplicity: int
    changes: tuple[Fraction, ...]
    rows_sql: str


@dataclass(frozen=True)
class KeptMatching:
    """A matching that was prepared: its name, and how many dummies each member added."""

    name: str
    dummies: int


@dataclass(frozen=True)
class JoinExplanation:
    """What there is to say of a join. `most_dummies`: keys that a provider adds at most, so that the
    coordinator does not learn how many match."""

    mode: str
    sides: tuple[SideExplanation, ...]
    labels: tuple[str, ...]
    most_dummies: int
    malicious: bool = False
    """Whether a PSI holds against providers that depart from it."""
    verify: bool = False
    """Whether the members of a blind join check what the coordinator does."""
    prepared: str = ""
    """The name of the matching that it is over, if any."""

    def lines(self) -> list[str]:
        """Return the mode, and for each table what counts and what a unit of it may change."""
        lines = [text("explain.mode", mode=self.mode)]
        lines += [text("explain.prepared", name=self.prepared)] if self.prepared else []
        for side in self.sides:
            lines.append(
                text("explain.side", table=side.table, rows=side.rows, cap=side.contribution_cap,
                     multiplicity=side.multiplicity)
            )  # fmt: skip
            lines += [
                text("explain.change", label=label, change=number(float(change)))
                for label, change in zip(self.labels, side.changes, strict=True)
            ]
        return lines

    def learns(self, party: str) -> str:
        """Return what a kind of party learns."""
        of_many = "_of_many" if party == "coordinator" and len(self.sides) > 2 else ""
        if self.prepared and party == "coordinator":
            return text("explain.prepared_coordinator", name=self.prepared)
        return text(f"explain_join.learns.{self.mode}.{party}{of_many}", dummies=self.most_dummies)

    def trust(self) -> list[str]:
        """Return what the join's privacy, and its result, rest on."""
        return [
            sentence(each)
            for each in assumptions(self.mode, malicious=self.malicious, verify=self.verify)
        ]

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "mode": self.mode,
            "malicious": self.malicious,
            "verify": self.verify,
            "trust": self.trust(),
            "most_dummies": self.most_dummies,
            "prepared": self.prepared,
            "sides": [
                {
                    "table": side.table,
                    "rows": side.rows,
                    "contribution_cap": side.contribution_cap,
                    "multiplicity": side.multiplicity,
                    "changes": [str(change) for change in side.changes],
                    "node_runs": side.rows_sql,
                }
                for side in self.sides
            ],
        }


def explain_join(
    plan: Plan,
    noise: NoisePlan,
    *,
    malicious: bool = False,
    verify: bool = False,
    kept: KeptMatching | None = None,
) -> JoinExplanation | None:
    """Return the explanation of a plan's join, None where it has none; kept: what it is over."""
    if plan.mode is None:
        return None
    sides = plan.sides if plan.semi is None else (*plan.sides, plan.semi)
    return JoinExplanation(
        plan.mode.value,
        tuple(
            SideExplanation(
                side.table.name,
                side.table.card.row_bound,
                side.fragment.contribution_cap,
                side.multiplicity,
                tuple(measure.changes[place].l1 for measure in plan.measures),
                side.fragment.rows_sql,
            )
            for place, side in enumerate(sides)
        ),
        tuple(measure.label for measure in plan.measures),
        kept.dummies if kept else noise.member_dummies,
        malicious,
        verify,
        kept.name if kept else "",
    )


def number(value: float) -> str:
    """Return four digits of a number, without an exponent where it is large."""
    if not math.isfinite(value):
        return "∞"
    if abs(value) < 999.95:
        return f"{value:.4g}"
    return f"{round(value, 3 - math.floor(math.log10(abs(value)))):,.0f}"
