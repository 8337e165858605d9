"""What a researcher may still spend at this node, as a statement the node signs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from nodes.assessment import group_demands
from nodes.registry import Registry
from nodes.vault import Vault
from sandbox.crypto.identity import Identity, Role, Signed, verify
from sandbox.errors import TrustError
from sandbox.jobs import BUDGET_REQUEST_KIND, CLOCK_TOLERANCE_S, BudgetRequest, read_document
from sandbox.privacy.budget import remaining
from sandbox.privacy.policy import Policy

STATEMENT_KIND = "budget"


class Budgets:
    """Answers budget requests from the vault's ledger; reads no rows."""

    def __init__(self, identity: Identity, vault: Vault) -> None:
        self._identity = identity
        self._vault = vault
        self._registry = Registry(vault)

    def statement(self, signed: Signed) -> Signed:
        """Return what is left on every dataset here; raises TrustError for a stranger."""
        researcher = self._vault.pins.identities().get(signed.signer)
        if researcher is None or researcher.role is not Role.RESEARCHER:
            name = self._identity.public.name
            raise TrustError("SB-3115", fingerprint=signed.signer, node=name)
        body = verify(signed, researcher, BUDGET_REQUEST_KIND)
        request = read_document(BudgetRequest, signed, body)
        if request.researcher != researcher.fingerprint:
            raise TrustError("SB-3254", named=request.researcher, signer=researcher.fingerprint)
        age = abs(int(time.time()) - request.at)
        if age > CLOCK_TOLERANCE_S:
            raise TrustError("SB-3255", seconds=age)
        budgets = [
            line
            for dataset in self._registry.datasets()
            for line in self._lines(dataset.name, request.researcher)
        ]
        statement = {"version": 1, "nonce": request.nonce, "budgets": budgets}
        return self._identity.sign(STATEMENT_KIND, statement)

    def _lines(self, name: str, researcher: str) -> list[dict[str, Any]]:
        policy = self._registry.policy(name)
        now = datetime.now(UTC)
        return [
            self._line(name, group, researcher, policy, now)
            for group in self._registry.dataset(name).groups
        ]

    def _line(
        self, name: str, group: str, researcher: str, policy: Policy, now: datetime
    ) -> dict[str, Any]:
        """Return the tighter of the researcher's budget and the group's own."""
        left = min(
            (
                remaining(
                    self._vault.spent(group, demand.researcher),
                    demand.limits,
                    policy.delta_max,
                    now,
                )
                for demand in group_demands(group, name, researcher, self._registry)
            ),
            key=lambda found: found.epsilon,
        )
        return {
            "dataset": name,
            "group": group,
            "epsilon_remaining": f"{left.epsilon:f}",
            "delta": f"{policy.delta_max:f}",
            "epsilon_per_job": f"{policy.epsilon_max:f}",
            "renews": left.renews.isoformat(timespec="minutes"),
            "lifetime_binds": left.lifetime_binds,
        }
