"""Whom a node's owner trusts: peers, researchers and supervisors that he pinned, in the vault's file."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from sandbox.audit.journal import Journal
from sandbox.audit.logrows import EntryKind
from sandbox.crypto.identity import PublicIdentity, canonical, parse
from sandbox.database import Database
from sandbox.errors import InputError


class Pins:
    """Pinned identities; every change of them is one transaction, logged. now_s: Unix seconds."""

    def __init__(self, database: Database, log: Journal, now_s: Callable[[], int]) -> None:
        self._database = database
        self._log = log
        self._now_s = now_s

    def pin(self, identity: PublicIdentity) -> None:
        """Accept a peer, researcher or supervisor, or accept a revoked one again; logged."""
        with self._database.write("pin") as connection:
            connection.execute(
                "INSERT INTO pins VALUES (:fingerprint, :identity, :role, :pinned, NULL)"
                " ON CONFLICT DO UPDATE SET revoked = NULL",
                {
                    "fingerprint": identity.fingerprint,
                    "identity": canonical(identity.to_document()),
                    "role": identity.role,
                    "pinned": self._now_s(),
                },
            )
            body = {"fingerprint": identity.fingerprint, "role": identity.role.value}
            self._log.write(connection, EntryKind.PIN, body)

    def revoke(self, fingerprint: str) -> None:
        """Refuse a pinned identity from now on; logged. Raises InputError SB-1424 if not pinned."""
        with self._database.write("revoke") as connection:
            changed = connection.execute(
                "UPDATE pins SET revoked = :now WHERE fingerprint = :fingerprint",
                {"now": self._now_s(), "fingerprint": fingerprint},
            ).rowcount
            if not changed:
                raise InputError("SB-1424", fingerprint=fingerprint)
            self._log.write(
                connection, EntryKind.PIN, {"fingerprint": fingerprint, "revoked": True}
            )

    def identities(self) -> dict[str, PublicIdentity]:
        """Return every pinned identity by fingerprint, without revoked ones."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT identity FROM pins WHERE revoked IS NULL").scalars()
            found = [_identity(bytes(row)) for row in rows]
        return {identity.fingerprint: identity for identity in found}

    def is_revoked(self, fingerprint: str) -> bool:
        """Tell whether an identity was pinned once and is no longer."""
        with self._database.read() as connection:
            found = connection.execute(
                "SELECT revoked FROM pins WHERE fingerprint = :fingerprint",
                {"fingerprint": fingerprint},
            ).scalar()
        return found is not None


@lru_cache(maxsize=1024)
def _identity(document: bytes) -> PublicIdentity:
    return PublicIdentity.from_document(parse(document))
