"""What a policy would answer to a statement: nothing is changed, nothing is spent."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from nodes.assessment import statement_digest
from nodes.catalogue import OwnCatalogue
from nodes.registry import Registry
from sandbox.cli.owner import opened, read_policy
from sandbox.crypto.identity import Identity
from sandbox.errors import Refusal
from sandbox.messages import text
from sandbox.privacy.policy import Request, check
from sandbox.sql.plan import plan


def try_policy(
    folder: Path,
    file: Path | None,
    sql: str,
    epsilon: str,
    delta: str,
    purpose: str,
    researcher: str | None,
) -> list[dict[str, str]]:
    """Return, for each of the node's datasets that `sql` reads, what the policy says."""
    identity = Identity.load(folder)
    with opened(folder) as vault:
        registry = Registry(vault)
        entries = OwnCatalogue(identity, vault, registry).entries()
        planned = plan(sql, {name: entry.table for name, entry in entries.items()})
        own = [m.dataset for m in planned.table.members if m.node == identity.public.fingerprint]
        answers = []
        for name in own:
            card = registry.dataset(name).card
            read = set(planned.fragment.columns_read)
            request = Request(
                researcher=researcher or "",
                purpose=purpose,
                operations=planned.operations,
                columns=tuple((c.name, c.grade) for c in card.columns if c.name in read),
                epsilon=Decimal(epsilon),
                delta=Decimal(delta),
                dataset_grade=card.grade,
                cells=planned.cells,
                statement_digest=statement_digest(sql),
                now=datetime.now(UTC),
            )
            policy = read_policy(file) if file else registry.policy(name)
            try:
                decision = check(policy, request, f"{identity.public.name}.{name}")
                found, cure = text(f"decision.{decision.value}"), ""
            except Refusal as refusal:
                found, cure = refusal.sentence, refusal.cure
            answers.append({"dataset": name, "found": found, "what_to_do": cure})
    return answers
