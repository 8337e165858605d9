"""Enrolment: a one-time token is exchanged, once, for a TLS certificate.

The token goes from the coordinator's owner to the new party by a channel they trust. It carries the
authority's certificate and the coordinator's fingerprint, so that the new party knows to whom it
talks, and a secret, so that the coordinator knows who comes. The coordinator keeps a hash of the
secret only. Private keys stay where they were made; a certificate admits to the transport and
nothing else: providers still pin whom they trust. A certificate is renewed in the same way, with a
token that serves the identity it was for and no other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import tomlkit
from cryptography.hazmat.primitives.serialization import Encoding

from sandbox.config import (
    CONFIG_FILE,
    EVERY_INTERFACE,
    is_address,
    load_coordinator,
    place_of,
)
from sandbox.crypto.certificates import Authority, CertificateRequest, issue
from sandbox.crypto.identity import PublicIdentity, Role, canonical, load_public
from sandbox.crypto.trust import Trust
from sandbox.errors import InputError, SandboxError, TrustError, Unavailable
from sandbox.rpc import coordinator_pb2, coordinator_pb2_grpc
from sandbox.rpc.channels import bind
from sandbox.rpc.documents import from_message
from sandbox.rpc.problems import abort

CERTIFICATE_LIFETIME = timedelta(days=397)
INVITATIONS = "invitations"
REQUEST_LIMIT_BYTES = 64 << 10
_VERSION = 1

log = logging.getLogger("sandbox.enrolment")


@dataclass(frozen=True)
class Token:
    """What an invited party needs. `authority`: PEM certificate; `secret`: 32 hex bytes; `renews`: the
    party has joined and is to get a new certificate."""

    role: Role
    name: str
    address: str
    coordinator_address: str
    coordinator: str
    coordinator_name: str
    authority: str
    invitation: str
    secret: str
    renews: bool = False

    def __repr__(self) -> str:
        return f"Token(role={self.role!r}, name={self.name!r}, invitation={self.invitation!r})"

    def encode(self) -> str:
        """Return the token as one line of text."""
        body = json.dumps({"version": _VERSION, **asdict(self)}, separators=(",", ":"))
        return "fse1_" + base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Token:
        """Read `encode`'s text; raises InputError SB-1340."""
        try:
            prefix, body = text.strip().split("_", 1)
            fields = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            if prefix != "fse1" or fields.pop("version") != _VERSION:
                raise ValueError("version")
            return cls(**{**fields, "role": Role(fields["role"])})
        except (ValueError, KeyError, TypeError):
            raise InputError("SB-1340") from None


def invite(
    profile: Path,
    role: Role,
    name: str,
    valid_s: float,
    address: str | None = None,
    now: Callable[[], float] = time.time,
    *,
    renew: bool = False,
) -> str:
    """Make a one-time token for (role, name), valid for `valid_s` seconds; return its text.

    address: "host:port" at which the new party reaches the enrolment port, if not as configured.
    renew: for a new certificate of the party that has joined. Raises InputError SB-1341 if that party
    has joined, SB-1394 if it is to be renewed and has not, SB-1389 if nobody could reach the address.
    """
    config, coordinator = load_coordinator(profile), load_public(profile)
    enrol_address = address or config.enrol_listen
    host = enrol_address.rpartition(":")[0]
    if not _is_reached(enrol_address):
        raise InputError("SB-1389", address=enrol_address)
    PublicIdentity(name, role, bytes(32), bytes(32))  # refuses a bad name before it is promised
    joined = [
        peer.fingerprint
        for peer in Trust(profile).identities().values()
        if (peer.role, peer.name) == (role, name)
    ]
    if joined and not renew:
        raise InputError("SB-1341", role=role.value, name=name)
    if renew and not joined:
        raise InputError("SB-1394", role=role.value, name=name)
    invitation, secret = secrets.token_hex(8), secrets.token_hex(32)
    promise = {
        "role": role.value,
        "name": name,
        "secret_sha256": hashlib.sha256(bytes.fromhex(secret)).hexdigest(),
        "expires": int(now() + valid_s),
        "renews": joined,
    }
    folder = profile / INVITATIONS
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / f"{invitation}.json").write_text(json.dumps(promise), encoding="utf-8")
    authority = Authority.load(profile.parent / "ca").certificate.public_bytes(Encoding.PEM)
    return Token(
        role,
        name,
        enrol_address,
        f"{host}:{config.listen.rpartition(':')[2]}",
        coordinator.fingerprint,
        coordinator.name,
        authority.decode("ascii"),
        invitation,
        secret,
        renew,
    ).encode()


def redeem(
    profile: Path,
    presented: str,
    request: CertificateRequest,
    address: str,
    now: Callable[[], float] = time.time,
) -> bytes:
    """Spend an invitation and return the PEM certificate of the party that presents it.

    presented: "INVITATION.SECRET". A node's `address` is where the coordinator will reach it; one that
    renews stays where it is. Raises TrustError SB-1342 (unknown, wrong, used or expired: all alike),
    SB-1343 (another party), SB-1395 (another identity than the one whose certificate is renewed);
    InputError SB-1344, SB-1132, SB-1341 if a node names no address or one that another node has, or
    has another's name. None of these spends the invitation.
    """
    invitation, _, secret = presented.partition(".")
    promise = _promise(profile, invitation, secret, int(now()))
    asked = request.identity
    if (asked.role.value, asked.name) != (promise["role"], promise["name"]):
        raise TrustError("SB-1343", role=promise["role"], name=promise["name"])
    # A token made before certificates could be renewed says nothing of it.
    renews = promise.get("renews")
    if renews and asked.fingerprint not in renews:
        raise TrustError("SB-1395", fingerprint=renews[0])
    if asked.role is Role.NODE and not renews:
        if not _is_reached(address):
            raise InputError("SB-1344")
        _refuse_taken(profile, asked, address)
    authority = Authority.load(profile.parent / "ca")
    certificate = issue(
        authority,
        request,
        role=asked.role,
        name=asked.name,
        fingerprint=asked.fingerprint,
        not_after=datetime.fromtimestamp(now(), UTC) + CERTIFICATE_LIFETIME,
    )
    _spend(profile, invitation)
    Trust(profile).accept(asked)
    if asked.role is Role.NODE and not renews:
        _add_node(profile / CONFIG_FILE, asked, address)
    return certificate


class EnrolmentService(coordinator_pb2_grpc.CoordinatorServicer):
    """The one call that needs no certificate."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile

    async def Enrol(  # noqa: N802
        self,
        request: coordinator_pb2.EnrolRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> coordinator_pb2.EnrolReply:
        """Exchange a token for a certificate."""
        try:
            return self._enrol(request)
        except SandboxError as error:
            log.warning("enrolment refused: %s", error.code)
            await abort(context, error, "coordinator")
        except Exception:
            log.exception("enrolment failed")
            await abort(context, Unavailable("SB-5199", method="Enrol"), "coordinator")

    def _enrol(self, request: coordinator_pb2.EnrolRequest) -> coordinator_pb2.EnrolReply:
        try:
            identity = PublicIdentity.from_document(json.loads(request.identity))
        except (ValueError, RecursionError):
            raise TrustError("SB-1342") from None
        asked = CertificateRequest(request.csr, identity, from_message(request.proof))
        certificate = redeem(self._profile, request.token, asked, request.address)
        log.info("%s %s enrolled: %s", identity.role, identity.name, identity.fingerprint)
        return coordinator_pb2.EnrolReply(
            certificate=certificate,
            authority=(self._profile / "ca.crt").read_bytes(),
            coordinator=canonical(load_public(self._profile).to_document()),
        )


def enrolment_server(profile: Path, listen: str) -> grpc.aio.Server:
    """Return a server for Enrol alone, on `listen`, with the coordinator's certificate."""
    server = grpc.aio.server(
        options=(("grpc.max_receive_message_length", REQUEST_LIMIT_BYTES),),
        maximum_concurrent_rpcs=16,
    )
    coordinator_pb2_grpc.add_CoordinatorServicer_to_server(EnrolmentService(profile), server)
    credentials = grpc.ssl_server_credentials(
        [((profile / "tls.key").read_bytes(), (profile / "tls.crt").read_bytes())]
    )
    bind(server, listen, credentials)
    return server


def _promise(profile: Path, invitation: str, secret: str, now: int) -> dict[str, Any]:
    if not (len(invitation) == 16 and set(invitation) <= set("0123456789abcdef")):
        raise TrustError("SB-1342")
    try:
        promise: dict[str, Any] = json.loads(
            (profile / INVITATIONS / f"{invitation}.json").read_text(encoding="utf-8")
        )
        presented = hashlib.sha256(bytes.fromhex(secret)).hexdigest()
    except (OSError, ValueError):
        raise TrustError("SB-1342") from None
    if not hmac.compare_digest(presented, str(promise["secret_sha256"])) or now >= int(
        promise["expires"]
    ):
        raise TrustError("SB-1342")
    return promise


def _spend(profile: Path, invitation: str) -> None:
    """Rename the invitation: of two who present it at once, one finds it gone."""
    folder = profile / INVITATIONS
    try:
        os.rename(folder / f"{invitation}.json", folder / f"{invitation}.used")
    except FileNotFoundError:
        raise TrustError("SB-1342") from None


def _is_reached(address: str) -> bool:
    """Tell whether others could reach a server there."""
    return is_address(address) and address.rpartition(":")[0] != EVERY_INTERFACE


def _refuse_taken(profile: Path, node: PublicIdentity, address: str) -> None:
    admitted = Trust(profile).identities().keys() - {node.fingerprint}
    for peer in load_coordinator(profile).nodes:
        if peer.fingerprint in admitted and peer.name == node.name:
            raise InputError("SB-1341", role=node.role.value, name=node.name)
        if peer.fingerprint in admitted and place_of(peer.address) == place_of(address):
            raise InputError("SB-1132", name=peer.name, address=address)


def _add_node(config: Path, node: PublicIdentity, address: str) -> None:
    document = tomlkit.parse(config.read_text(encoding="utf-8"))
    nodes = document.setdefault("nodes", tomlkit.aot())
    entry = {"name": node.name, "address": address, "fingerprint": node.fingerprint}
    # What still shares a value with the node is an earlier entry of its own or a revoked node's.
    for number in reversed(range(len(nodes))):
        if nodes[number].items() & entry.items():
            del nodes[number]
    nodes.append(tomlkit.item(entry))
    draft = config.with_suffix(".new")
    draft.write_text(tomlkit.dumps(document), encoding="utf-8")
    os.replace(draft, config)
