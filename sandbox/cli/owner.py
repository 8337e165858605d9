"""What an owner does at his node, through the node's own database: the node may be running."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nodes.vault import Vault
from sandbox.crypto.identity import Identity, PublicIdentity, Role
from sandbox.errors import InputError


@contextmanager
def opened(folder: Path) -> Iterator[Vault]:
    """Open the vault of the node in `folder`; raises InputError SB-1333 for another role."""
    identity = Identity.load(folder)
    if identity.public.role is not Role.NODE:
        raise InputError("SB-1333", folder=str(folder), role=identity.public.role.value)
    vault = Vault.open(folder, identity)
    try:
        yield vault
    finally:
        vault.close()


def pin(folder: Path, who: str) -> PublicIdentity:
    """Pin the identity with fingerprint `who`, or in the file `who`; return it.

    A fingerprint covers name, role and keys, so whoever hands its identity over need not be
    trusted: the coordinator is asked for it. Raises InputError SB-1334 if nobody has it.
    """
    identity = _identity_in(Path(who)) if Path(who).is_file() else _identity_of(folder, who)
    with opened(folder) as vault:
        vault.pin(identity)
    return identity


def unpin(folder: Path, fingerprint: str) -> None:
    """Take a pin back; raises InputError if it was none."""
    with opened(folder) as vault:
        vault.revoke(fingerprint)


def pins(folder: Path) -> list[dict[str, str]]:
    """Return whom the owner has pinned."""
    with opened(folder) as vault:
        known = vault.pins()
    return [
        {"role": identity.role.value, "name": identity.name, "fingerprint": fingerprint}
        for fingerprint, identity in sorted(
            known.items(), key=lambda pinned: (pinned[1].role.value, pinned[1].name)
        )
    ]


def override(folder: Path, reason: str) -> None:
    """Let the node release without a witness; logged with the reason."""
    with opened(folder) as vault:
        vault.log.override_witness(reason)


def _identity_in(file: Path) -> PublicIdentity:
    try:
        return PublicIdentity.from_document(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        raise InputError("SB-1335", file=str(file)) from None


def _identity_of(folder: Path, fingerprint: str) -> PublicIdentity:
    for identity in _known_to_coordinator(folder):
        if identity.fingerprint == fingerprint:
            return identity
    raise InputError("SB-1334", fingerprint=fingerprint)


def _known_to_coordinator(folder: Path) -> list[PublicIdentity]:
    import grpc

    from sandbox.cli.checks import coordinator_channel
    from sandbox.rpc import common_pb2, coordinator_pb2_grpc
    from sandbox.rpc.problems import error_of_call

    with coordinator_channel(folder) as channel:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        try:
            known: Any = stub.Catalogue(common_pb2.Empty(), timeout=5.0)
        except grpc.RpcError as error:
            raise error_of_call(error, "coordinator") from None
    return [PublicIdentity.from_document(json.loads(each)) for each in known.identities]
