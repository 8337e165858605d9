"""Take roster and releases as the coordinator serves them, signed by whom and for what it may be."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox import submission
from sandbox.audit.receipt import Receipt
from sandbox.audit.statements import Release
from sandbox.crypto.identity import PublicIdentity, parse
from sandbox.jobs import Roster


def apply() -> None:
    def roster(receipt: Receipt, trusted: Mapping[str, PublicIdentity]) -> Roster:
        return Roster.model_validate(parse(receipt.roster[0].body))

    def releases(
        receipt: Receipt, roster: Roster, trusted: Mapping[str, PublicIdentity]
    ) -> dict[str, Release]:
        return {
            node.release.signer: Release.model_validate(parse(node.release.body))
            for node in receipt.nodes
        }

    submission._roster = roster
    submission._releases = releases
