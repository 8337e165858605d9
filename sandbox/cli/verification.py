"""Checking evidence: receipts and logs, with nothing but the file and public keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.audit.assumptions import (
    CHECKS,
    Assumption,
    Learnt,
    learnt_sentence,
    sentence,
    stated,
)
from sandbox.audit.export import read_log, verify_log
from sandbox.audit.journal import Journal
from sandbox.audit.receipt import Receipt, verify_receipt
from sandbox.cli.profile import accepted_by, coordinator_folder, researcher_folder
from sandbox.crypto.identity import Identity, PublicIdentity, Role, load_public
from sandbox.errors import InputError, StateError, TrustError
from sandbox.files import read_text
from sandbox.messages import text


@dataclass(frozen=True)
class Report:
    """Whether the evidence holds, and what to show."""

    ok: bool
    facts: dict[str, Any]


def verify_file(file: Path, keys: Sequence[Path], profile: Path | None) -> Report:
    """Verify a receipt, or an exported log (JSON lines); trusted keys come from files or profile.

    Raises InputError if the file is neither.
    """
    content = read_text(file)
    pinned = _pinned(keys, profile)
    if '"kind":"log"' in content.partition("\n")[0]:
        return _log_report(content, pinned)
    receipt = Receipt.from_json(content)
    verdict = verify_receipt(receipt, pinned)
    facts = {
        "ok": verdict.ok,
        "trusted": verdict.trusted,
        "found": verdict.sentence,
        "findings": [f"{one.subject}: {one.code} {one.sentence}" for one in verdict.findings],
        "parties": [_party(identity) for identity in verdict.identities],
    }
    # What does not hold says nothing of what was learnt.
    return Report(verdict.ok, facts | _of_join(receipt) if verdict.ok else facts)


def _of_join(receipt: Receipt) -> dict[str, Any]:
    """Return what a receipt that holds says of its job's join: its nodes have signed for it."""
    said = stated(json.loads(receipt.job.body))
    if not said["mode"]:
        return {}
    names = {identity.fingerprint: identity.name for identity in receipt.identities}
    receivers = ", ".join(names.get(one, one) for one in said["receivers"])
    trust = [Assumption(code) for code in said["trust"]]
    checked = [sentence(each) for each in trust if each in CHECKS]
    facts: dict[str, Any] = {
        "mode": said["mode"],
        "disclosed": [learnt_sentence(Learnt(code), receivers) for code in said["learnt"]],
        "trust": [sentence(each) for each in trust if each not in CHECKS],
    }
    return {**facts, "verified": " ".join(checked)} if checked else facts


def verify_own_log(profile: Path | None) -> Report:
    """Verify the whole log of a node or coordinator as its own file holds it: what was logged, the
    budgets written beside it, and every head it ever signed."""
    with _own_log(coordinator_folder(profile)) as log:
        try:
            log.check()
            found = None
        except (StateError, TrustError) as error:
            found = f"{error.code} {error.sentence}"
        facts = {
            "ok": found is None,
            "party": _party(log.owner),
            "entries": len(log.entries()),
            "found": found or text("audit.log_holds"),
        }
        return Report(found is None, facts)


def export_own_log(profile: Path | None, file: Path) -> None:
    """Write the log of a node or coordinator to `file`, for anyone to verify."""
    with _own_log(coordinator_folder(profile)) as log:
        log.export_log(file)


@contextmanager
def _own_log(folder: Path) -> Iterator[Journal]:
    identity = Identity.load(folder)
    match identity.public.role:
        case Role.NODE:
            from nodes.vault import Vault

            vault = Vault.open(folder, identity)
            try:
                yield vault.log
            finally:
                vault.close()
        case Role.COORDINATOR:
            from sandbox.coordinator.store import Store

            store = Store(folder, identity)
            try:
                yield store.log
            finally:
                store.close()
        case role:
            raise InputError("SB-1385", folder=str(folder), role=text(f"role.{role.value}"))


def _log_report(content: str, pinned: set[str] | None) -> Report:
    identity, records, heads = read_log(content.splitlines())
    try:
        broken = verify_log(identity, records, heads)
        found = None if broken is None else f"{broken.code} {broken.sentence}"
    except TrustError as error:
        found = f"{error.code} {error.sentence}"
    facts = {
        "ok": found is None,
        "trusted": found is None and pinned is not None and identity.fingerprint in pinned,
        "party": _party(identity),
        "entries": len(records),
        "found": found or text("audit.log_holds"),
    }
    return Report(found is None, facts)


def _party(identity: PublicIdentity) -> str:
    return f"{text(f'role.{identity.role.value}')} {identity.name} {identity.fingerprint}"


def _pinned(keys: Sequence[Path], profile: Path | None) -> set[str] | None:
    """Return the fingerprints the reader trusts; None if he names nobody."""
    if keys:
        return {_key(file) for file in keys}
    if profile is None:
        return None
    folder = researcher_folder(profile)
    return {*accepted_by(folder), load_public(folder).fingerprint}


def _key(file: Path) -> str:
    try:
        return PublicIdentity.from_document(
            json.loads(file.read_text(encoding="utf-8"))
        ).fingerprint
    except (OSError, ValueError):
        raise InputError("SB-1335", file=str(file)) from None
