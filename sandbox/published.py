"""What nodes publish, as a researcher reads it: tables, policies, and what these allow one job."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from sandbox.catalog import Member
from sandbox.crypto.identity import PublicIdentity
from sandbox.errors import InputError
from sandbox.privacy.policy import Policy
from sandbox.rpc import coordinator_pb2
from sandbox.rpc.documents import from_message
from sandbox.tables import Entry, read_catalogue, read_policies


@dataclass(frozen=True)
class Limits:
    """What providers allow one job. `collusion`: the least h they all demand."""

    epsilon_min: Decimal
    epsilon_max: Decimal
    delta_max: Decimal
    collusion: int

    def unstated(self, missing: str, table: str) -> InputError:
        """Return what to raise where epsilon or delta (`missing`) is stated nowhere."""
        return InputError(
            "SB-3130",
            missing=missing,
            table=table,
            least=f"{self.epsilon_min:f}",
            most=f"{self.epsilon_max:f}",
            delta=f"{self.delta_max:f}",
        )


WIDEST = Limits(Decimal("0.01"), Decimal(10), Decimal("0.00001"), 1)
"""Bounds of a search where no policy is published; a node decides all the same."""


@dataclass(frozen=True)
class Published:
    """What nodes published, as it was read at `at` (monotonic seconds)."""

    at: float
    tables: dict[str, Entry]
    policies: dict[Member, Policy]

    @classmethod
    def of(
        cls, reply: coordinator_pb2.CatalogueReply, known: Mapping[str, PublicIdentity]
    ) -> Published:
        """Return what of a coordinator's answer has the signatures of `known` parties, as read now."""
        documents = [from_message(signed) for signed in (*reply.datasets, *reply.collections)]
        policies = [from_message(signed) for signed in reply.policies]
        return cls(
            time.monotonic(), read_catalogue(documents, known), read_policies(policies, known)
        )

    def limits(self, members: Iterable[Member]) -> Limits:
        """Return what all providers of `members` allow one job; the widest where none is known."""
        known = [self.policies[member] for member in members if member in self.policies]
        return Limits(
            max((p.epsilon_min for p in known), default=WIDEST.epsilon_min),
            min((p.epsilon_max for p in known), default=WIDEST.epsilon_max),
            min((p.delta_max for p in known), default=WIDEST.delta_max),
            max((p.collusion for p in known), default=WIDEST.collusion),
        )
