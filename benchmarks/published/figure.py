"""The table of docs/performance.md that says which published statements run, and why others do not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HEAD = ("statement", "runs as", "answer or refusal", "asked otherwise because")
TITLES = {"tpch": "TPC-H", "smcql": "SMCQL", "scql": "SCQL"}


def rows(measured: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each statement of a result's workloads."""
    for workload, outcomes in measured.items():
        for outcome in outcomes:
            name = f"{TITLES[workload]} {outcome['statement']}"
            if outcome["refusal"]:
                yield name, f"refused, {outcome['mode']}", _sentence(outcome["refusal"]), ""
            else:
                yield name, outcome["mode"], _verdict(outcome), outcome["why"]


def _verdict(outcome: Mapping[str, Any]) -> str:
    if not outcome["equal"]:
        return "not equal to DuckDB's"
    count = len(outcome["expected"])
    lead = f"{count} row{'s' if count > 1 else ''}, as DuckDB's"
    return f"{lead} and the known one" if outcome["known"] else lead


def _sentence(refusal: str) -> str:
    """Return what was refused, without its place in the text and its cure."""
    said = re.sub(r"^Line \d+, column \d+: ", "", refusal)
    return said.split(". ")[0] + "."
