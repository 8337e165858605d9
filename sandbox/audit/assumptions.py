"""On what a join's promises rest, and who learns of matches: codes that nodes sign, and sentences.

What the releases in a receipt must say follows from the job that its researcher signed. EXPLAIN prints
before anything runs the sentences that `sandbox audit verify` prints afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sandbox.crypto.join.shape import CHECK_KEYS, CHECKING_BYTES
from sandbox.messages import text

BLIND, PSI = "blind", "psi"


class Assumption(StrEnum):
    """What a reader must believe, or need not, so that a join keeps what it promises."""

    ALL_FOLLOW = "all-follow"
    PROVIDERS_FOLLOW = "providers-follow"
    PATTERN_ALONE = "pattern-alone"
    CLAMPED = "clamped"
    COORDINATOR_CHECKED = "coordinator-checked"
    MATCHES_LEFT_OUT = "matches-left-out"
    SEMI_HONEST = "semi-honest"
    MALICIOUS = "malicious"


CHECKS = (Assumption.COORDINATOR_CHECKED, Assumption.MATCHES_LEFT_OUT)
"""What the members of a verified join hold the coordinator to, and what that leaves open."""


class Learnt(StrEnum):
    """What a party learns of matches, beyond sizes that cards declare."""

    OWN_IDS = "own-ids"
    """A receiver, which writes them down: which of its own ids match."""
    OWN_MATCHES = "own-matches"
    """Receivers, in a worker that counts over them: which of their own rows match."""
    PATTERN = "pattern"
    """The coordinator: which pseudonyms match, dummies among them."""


def assumptions(mode: str, *, malicious: bool, verify: bool) -> list[Assumption]:
    """Return what a join rests on, in the order in which it is printed; nothing for what is no join."""
    if mode == PSI:
        return [Assumption.MALICIOUS if malicious else Assumption.SEMI_HONEST]
    if mode != BLIND:
        return []
    follow = Assumption.PROVIDERS_FOLLOW if verify else Assumption.ALL_FOLLOW
    return [follow, Assumption.PATTERN_ALONE, Assumption.CLAMPED, *(CHECKS if verify else ())]


def learnt(mode: str, *, told: bool, prepared: bool) -> list[Learnt]:
    """Return what of matches is learnt. told: a node writes ids down; prepared: nothing is matched,
    since the members kept a matching."""
    if mode == PSI:
        return [Learnt.OWN_IDS if told else Learnt.OWN_MATCHES]
    return [Learnt.PATTERN] if mode == BLIND and not prepared else []


def stated(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each node's release of a job, as its researcher signed it, must say of its join."""
    mode, verify = str(job.get("mode", "")), bool(job.get("verify", False))
    malicious, told = bool(job.get("malicious", False)), job.get("disclosure")
    what = learnt(mode, told=told is not None, prepared=job.get("prepared") is not None)
    return {
        "mode": mode,
        "malicious": malicious,
        "verified": verify,
        "disclosed_to": "" if told is None else str(told["receiver"]),
        "receivers": list(job.get("receivers", [])),
        "learnt": [each.value for each in what],
        "trust": [each.value for each in assumptions(mode, malicious=malicious, verify=verify)],
    }


def sentence(assumption: Assumption) -> str:
    """Return it in the reader's language."""
    # Who leaves out 0.1% of all matches is not found once in so many times (shape.CHECK_KEYS).
    missed = f"{math.exp(CHECK_KEYS / 1000):.0f}"
    facts = {"bits": 8 * CHECKING_BYTES, "keys": CHECK_KEYS, "missed": missed}
    return text(f"trust.{assumption}", **facts)


def learnt_sentence(what: Learnt, receivers: str) -> str:
    """Return who learnt what in the reader's language; receivers: their names."""
    return text(f"learnt.{what}", receivers=receivers)
