"""Whose identity is meant: a file's, or one that the coordinator hands over for a fingerprint.

A fingerprint covers name, role and keys, so whoever hands its identity over need not be trusted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sandbox.cli.profile import coordinator_of
from sandbox.crypto.identity import PublicIdentity
from sandbox.errors import InputError

ANSWER_S = 5.0


def identity_of(folder: Path, who: str) -> PublicIdentity:
    """Return the identity in the file `who`, or that of the fingerprint `who`.

    folder: whose coordinator is asked. Raises InputError SB-1334 if nobody has it.
    """
    if Path(who).is_file():
        return identity_in(Path(who))
    for identity in _known_to_coordinator(folder):
        if identity.fingerprint == who:
            return identity
    raise InputError("SB-1334", fingerprint=who)


def identity_in(file: Path) -> PublicIdentity:
    """Return the public identity in a file; raises InputError SB-1335."""
    try:
        return PublicIdentity.from_document(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, InputError):
        raise InputError("SB-1335", file=str(file)) from None


def _known_to_coordinator(folder: Path) -> list[PublicIdentity]:
    import grpc

    from sandbox.rpc import common_pb2, coordinator_pb2_grpc
    from sandbox.rpc.channels import open_blocking_channel
    from sandbox.rpc.problems import error_of_call

    address, coordinator = coordinator_of(folder)
    with open_blocking_channel(folder, address, f"coordinator-{coordinator.name}") as channel:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        try:
            known: Any = stub.Catalogue(common_pb2.Empty(), timeout=ANSWER_S)
        except grpc.RpcError as error:
            raise error_of_call(error, f"coordinator {address}") from None
    return [PublicIdentity.from_document(json.loads(each)) for each in known.identities]
