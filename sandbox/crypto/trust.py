"""Whose keys a party's owner has accepted: trusted.json in the party's folder.

The coordinator, researchers and supervisors keep theirs here. A node keeps its pins in its vault
instead, because every change of them is an entry of its log.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from sandbox.crypto.identity import PublicIdentity
from sandbox.errors import StateError

TRUST_FILE = "trusted.json"


class Trust:
    """The file's content, read again whenever the file changes."""

    def __init__(self, profile: Path) -> None:
        self._path = profile / TRUST_FILE
        self._read_at: tuple[int, int] | None = None
        self._identities: dict[str, PublicIdentity] = {}
        self._revoked: frozenset[str] = frozenset()

    def identities(self) -> Mapping[str, PublicIdentity]:
        """Return accepted identities by fingerprint, without revoked ones."""
        self._refresh()
        return {
            fingerprint: identity
            for fingerprint, identity in self._identities.items()
            if fingerprint not in self._revoked
        }

    def is_revoked(self, fingerprint: str) -> bool:
        """Tell whether an identity was accepted once and is no longer."""
        self._refresh()
        return fingerprint in self._revoked

    def accept(self, identity: PublicIdentity) -> None:
        """Add an identity (and lift its revocation)."""
        self._refresh()
        self._identities[identity.fingerprint] = identity
        self._revoked -= {identity.fingerprint}
        self._write()

    def revoke(self, fingerprint: str) -> None:
        """Refuse an identity from now on."""
        self._refresh()
        self._revoked |= {fingerprint}
        self._write()

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp == self._read_at:
            return
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            listed = [PublicIdentity.from_document(entry) for entry in content["identities"]]
            self._revoked = frozenset(content["revoked"])
        except (ValueError, KeyError, TypeError) as error:
            raise StateError("SB-6110", path=str(self._path)) from error
        self._identities = {identity.fingerprint: identity for identity in listed}
        self._read_at = stamp

    def _write(self) -> None:
        content = {
            "identities": [identity.to_document() for identity in self._identities.values()],
            "revoked": sorted(self._revoked),
        }
        # Replaced in one step: a reader never sees half a file.
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        os.replace(draft, self._path)
        self._read_at = None
