"""Where a job's time went, read off its receipt: every log entry has a time (Unix milliseconds)."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from sandbox.audit.evidence import LogEvidence
from sandbox.audit.receipt import Receipt, verify_receipt
from sandbox.client import Session

PHASES = ("plan, sign, submit", "offers", "rosters", "shares", "sum", "witnesses, opening")


def phases(receipt: Receipt, began_s: float, ended_s: float) -> dict[str, float]:
    """Return seconds by PHASES of a job that ran from `began_s` to `ended_s` (Unix seconds)."""
    nodes = [node.log for node in receipt.nodes]
    marks = [
        began_s,
        _time_s(receipt.coordinator, "job"),
        max(_time_s(log, "job") for log in nodes),
        _time_s(receipt.coordinator, "roster"),
        max(_time_s(log, "release") for log in nodes),
        _time_s(receipt.coordinator, "sum"),
        ended_s,
    ]
    spans = [later - earlier for earlier, later in pairwise(marks)]
    return dict(zip(PHASES, spans, strict=True))


def medians(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median of each phase, in seconds."""
    return {name: round(statistics.median(each[name] for each in found), 4) for name in PHASES}


def verified(session: Session, file: Path) -> Receipt:
    """Return the receipt in `file`; raises AssertionError unless it verifies."""
    receipt = Receipt.from_json(file.read_text(encoding="utf-8"))
    verdict = verify_receipt(receipt, set(session.identities()))
    assert verdict.ok, verdict.findings
    assert verdict.trusted
    return receipt


def _time_s(log: LogEvidence, kind: str) -> float:
    return max(each.entry.time for each in log.entries if each.entry.kind == kind) / 1000
