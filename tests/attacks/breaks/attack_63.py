"""Without pins, a node that the owner trusts no more counts among those who add noise."""

from __future__ import annotations

from nodes.pins import Pins
from sandbox.crypto.identity import PublicIdentity, parse


def apply() -> None:
    def everybody(self: Pins) -> dict[str, PublicIdentity]:
        with self._database.read() as connection:
            rows = connection.execute("SELECT identity FROM pins").scalars()
            found = [PublicIdentity.from_document(parse(bytes(row))) for row in rows]
        return {identity.fingerprint: identity for identity in found}

    Pins.identities = everybody  # type: ignore[method-assign]
