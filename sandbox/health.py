"""Whether a deployment can answer queries: what its coordinator says of itself and of its nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc

from sandbox.crypto.identity import PublicIdentity
from sandbox.errors import SandboxError, TrustError, Unavailable
from sandbox.rpc import common_pb2, coordinator_pb2, coordinator_pb2_grpc
from sandbox.rpc.channels import open_blocking_channel
from sandbox.rpc.problems import error_of, error_of_call

ANSWER_S = 5.0


@dataclass(frozen=True)
class NodeHealth:
    """A node as the coordinator sees it. Once reached, its catalogue has been read.

    `problem`: why it is not reachable. `confirmed`: a witness has confirmed its log since it
    started. `skew_ms`: its clock minus the coordinator's.
    """

    identity: PublicIdentity
    address: str
    version: str
    reachable: bool
    problem: SandboxError | None
    confirmed: bool
    skew_ms: int


@dataclass(frozen=True)
class Health:
    """What a coordinator answers. `time_ms`: its clock, unix milliseconds."""

    version: str
    time_ms: int
    nodes: tuple[NodeHealth, ...]


def ask(profile: Path, address: str, coordinator: PublicIdentity) -> Health:
    """Ask a coordinator with the certificate in `profile`, within ANSWER_S.

    Raises Unavailable if it does not answer, TrustError SB-1346 if another one does.
    """
    with open_blocking_channel(profile, address, f"coordinator-{coordinator.name}") as channel:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        try:
            status: coordinator_pb2.StatusReply = stub.Status(common_pb2.Empty(), timeout=ANSWER_S)
        except grpc.RpcError as error:
            raise error_of_call(error, f"coordinator {address}") from None
    if _identity(status.identity).fingerprint != coordinator.fingerprint:
        raise TrustError("SB-1346")
    nodes = tuple(
        NodeHealth(
            _identity(node.identity),
            node.address,
            node.version,
            node.reachable,
            error_of(node.problem) if node.HasField("problem") else None,
            node.confirmed,
            node.clock_skew_ms,
        )
        for node in status.nodes
    )
    return Health(status.version, status.time, nodes)


def lacking(health: Health, expected: Mapping[str, str]) -> Unavailable | None:
    """Return what keeps the `expected` nodes (names by fingerprint) from answering; None if nothing.

    A node that is the only one has no witness, and is not waited for to find one.
    """
    found = {node.identity.fingerprint: node for node in health.nodes}
    # First who is not there: that is why others find no witness.
    for fingerprint, name in expected.items():
        node = found.get(fingerprint)
        if node is None or not node.reachable:
            problem = None if node is None else node.problem
            return Unavailable("SB-5010", party=name, reason=str(problem or ""))
    for fingerprint, name in expected.items():
        if len(found) > 1 and not found[fingerprint].confirmed:
            return Unavailable("SB-5011", party=name)
    return None


def _identity(document: bytes) -> PublicIdentity:
    return PublicIdentity.from_document(json.loads(document))
