"""What a policy would answer to a statement: nothing is changed, nothing is spent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from nodes.catalogue import OwnCatalogue
from nodes.registry import Registry
from sandbox.cli.owner import opened, read_policy
from sandbox.crypto.identity import Identity
from sandbox.errors import InputError, Refusal
from sandbox.messages import text
from sandbox.privacy.policy import Policy, Request, check
from sandbox.sql.plan import plan
from sandbox.sql.request import request


@dataclass(frozen=True)
class Trial:
    """What is asked, as if in a job. `researcher`: a fingerprint; None: one whom the policy admits."""

    sql: str
    epsilon: Decimal
    delta: Decimal
    purpose: str
    researcher: str | None


def try_policy(
    folder: Path, trial: Trial, file: Path | None, dataset: str = ""
) -> list[dict[str, str]]:
    """Return, for each of the node's datasets that the statement reads, what its policy says.

    The policy is the one in `file`, or else the one in force. `dataset`: try it on this one alone.
    Raises InputError SB-1386 where the statement reads no such dataset of this node.
    """
    own = Identity.load(folder)
    with opened(folder) as vault:
        registry = Registry(vault)
        tables = OwnCatalogue(own, vault, registry).entries()
        planned = plan(trial.sql, {name: entry.table for name, entry in tables.items()})
        read = [m for m in planned.members if m.node == own.public.fingerprint]
        tried = [member for member in read if dataset in ("", member.dataset)]
        if not tried:
            names = ", ".join(member.dataset for member in read)
            raise InputError("SB-1386", node=own.public.name, read=names or "-")
        answers = []
        for member in tried:
            name = member.dataset
            policy = read_policy(file) if file else registry.policy(name)
            asked = request(
                planned,
                member,
                registry.dataset(name).card,
                trial.researcher or next(iter(policy.researchers), "-"),
                trial.purpose,
                trial.epsilon,
                trial.delta,
                datetime.now(UTC),
            )
            answers.append(_answer(policy, asked, own.public.name, name))
    return answers


def _answer(policy: Policy, asked: Request, node: str, dataset: str) -> dict[str, str]:
    try:
        found, cure = text(f"decision.{check(policy, asked, f'{node}.{dataset}').value}"), ""
    except Refusal as refusal:
        found, cure = f"{refusal.code} {refusal.sentence}", refusal.cure
    return {"dataset": dataset, "found": found, "what_to_do": cure}
