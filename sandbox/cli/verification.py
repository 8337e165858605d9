"""Checking evidence: receipts and logs, with nothing but the file and public keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.audit.export import read_log, verify_log
from sandbox.audit.receipt import Receipt, verify_receipt
from sandbox.cli.profile import party_folder
from sandbox.crypto.identity import Identity, PublicIdentity, Role, load_public
from sandbox.crypto.trust import Trust
from sandbox.errors import InputError
from sandbox.messages import text


@dataclass(frozen=True)
class Report:
    """Whether the evidence holds, and what to show."""

    ok: bool
    facts: dict[str, Any]


def verify_file(file: Path, keys: Sequence[Path], profile: Path | None) -> Report:
    """Verify a receipt, or an exported log (JSON lines); trusted keys come from files or profile."""
    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("SB-1300", file=str(file), reason=type(error).__name__) from None
    if '"kind":"log"' in content.partition("\n")[0]:
        return _log_report(*_read_log(content))
    pinned = _pinned(keys, profile)
    verdict = verify_receipt(Receipt.from_json(content), pinned)
    facts: dict[str, Any] = {
        "ok": verdict.ok,
        "trusted": verdict.trusted,
        "found": verdict.sentence,
    }
    facts["findings"] = [f"{one.subject}: {one.code} {one.sentence}" for one in verdict.findings]
    facts["parties"] = [f"{p.role.value} {p.name} {p.fingerprint}" for p in verdict.identities]
    return Report(verdict.ok, facts)


def verify_own_log(profile: Path | None) -> Report:
    """Verify the whole log of the node in `profile`, as its own file holds it."""
    import tempfile

    from nodes.vault import Vault

    folder = party_folder(profile)
    if load_public(folder).role is not Role.NODE:
        role = load_public(folder).role.value
        raise InputError("SB-1333", folder=str(folder), role=role)
    vault = Vault.open(folder, Identity.load(folder))
    try:
        vault.log.check()
        with tempfile.TemporaryDirectory() as temporary:
            exported = Path(temporary) / "log.jsonl"
            vault.log.export_log(exported)
            return _log_report(*_read_log(exported.read_text(encoding="utf-8")))
    finally:
        vault.close()


def _read_log(content: str) -> tuple[PublicIdentity, Any, Any]:
    return read_log(content.splitlines())


def _log_report(identity: PublicIdentity, records: Any, heads: Any) -> Report:
    broken = verify_log(identity, records, heads)
    facts: dict[str, Any] = {
        "ok": broken is None,
        "party": f"{identity.role.value} {identity.name}",
        "fingerprint": identity.fingerprint,
        "entries": len(records),
        "found": text("audit.log_holds") if broken is None else broken.sentence,
    }
    return Report(broken is None, facts)


def _pinned(keys: Sequence[Path], profile: Path | None) -> set[str] | None:
    """Return the fingerprints the reader trusts; None if he names nobody."""
    if keys:
        documents = (json.loads(key.read_text(encoding="utf-8")) for key in keys)
        return {PublicIdentity.from_document(document).fingerprint for document in documents}
    if profile is None:
        return None
    folder = party_folder(profile)
    return {*Trust(folder).identities(), load_public(folder).fingerprint}
