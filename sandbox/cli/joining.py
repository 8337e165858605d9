"""Join a coordinator with a one-time token: keys are made here, only a request leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import tomlkit

from sandbox.config import CONFIG_FILE
from sandbox.coordinator.enrolment import Token
from sandbox.crypto.certificates import (
    CA_CERTIFICATE,
    TLS_KEY,
    CertificateRequest,
    check_certificate,
    new_tls_key_and_csr,
    target_name,
)
from sandbox.crypto.identity import PUBLIC_FILE, Identity, PublicIdentity, Role, canonical
from sandbox.crypto.trust import Trust
from sandbox.errors import InputError, TrustError
from sandbox.messages import text
from sandbox.rpc import coordinator_pb2, coordinator_pb2_grpc
from sandbox.rpc.documents import to_message
from sandbox.rpc.problems import error_of_call

TIMEOUT_S = 10.0


def join(
    token: str, profile: Path, roles: Sequence[Role], listen: str = "", address: str = ""
) -> PublicIdentity:
    """Join as the role and name the token was made for, in `profile`; return the own identity.

    roles: the token must be for one of these. An identity already in `profile` is used. `listen`,
    `address`: where a node serves, and where the coordinator reaches it. Raises InputError SB-1340,
    SB-1345, SB-1387; TrustError SB-1346; Unavailable. A token that renews leaves all but the
    certificate and its key as they are; whoever serves with the old one uses it until restarted.
    """
    invited = Token.decode(token)
    if invited.role not in roles:
        raise InputError("SB-1387", role=text(f"role.{invited.role.value}"), name=invited.name)
    if (profile / "tls.crt").exists() and not invited.renews:
        raise InputError("SB-1345", folder=str(profile))
    identity = _own_identity(profile, invited)
    host = address.rpartition(":")[0]
    # A new key replaces an old one only once it is certified.
    with TemporaryDirectory(dir=profile) as draft:
        request = new_tls_key_and_csr(Path(draft), identity, (host,) if host else ())
        certificate = _certified(invited, request, address, profile, listen)
        (Path(draft) / "tls.crt").write_bytes(certificate)
        # The certificate last: it marks the joining as done.
        for name in (TLS_KEY, "tls.crt"):
            (Path(draft) / name).replace(profile / name)
    return identity.public


def _certified(
    invited: Token, request: CertificateRequest, address: str, profile: Path, listen: str
) -> bytes:
    """Exchange the token for the certificate (PEM), and keep whom and what it tells of."""
    reply = _enrol(invited, request, address)
    coordinator = PublicIdentity.from_document(json.loads(reply.coordinator))
    if coordinator.fingerprint != invited.coordinator:
        raise TrustError("SB-1346")
    named = check_certificate(reply.certificate, invited.authority.encode())
    if named.fingerprint != request.identity.fingerprint:
        raise TrustError("SB-1346")
    if not invited.renews:
        (profile / CA_CERTIFICATE).write_text(invited.authority, encoding="ascii")
        _write_config(profile, invited, listen)
        _accept(profile, Identity.load(profile), coordinator)
    return reply.certificate


def _own_identity(profile: Path, invited: Token) -> Identity:
    if not (profile / PUBLIC_FILE).exists():
        identity = Identity.generate(invited.name, invited.role)
        identity.save(profile)
        return identity
    identity = Identity.load(profile)
    if (identity.public.role, identity.public.name) != (invited.role, invited.name):
        raise InputError("SB-1347", role=text(f"role.{invited.role.value}"), name=invited.name)
    return identity


def _accept(profile: Path, identity: Identity, coordinator: PublicIdentity) -> None:
    """Keep the coordinator's identity where this role keeps whom it knows: a node, in its vault."""
    if identity.public.role is not Role.NODE:
        Trust(profile).accept(coordinator)
        return
    from nodes.vault import Vault

    vault = Vault.open(profile, identity)
    try:
        vault.pins.pin(coordinator)
    finally:
        vault.close()


def _enrol(invited: Token, request: CertificateRequest, address: str) -> coordinator_pb2.EnrolReply:
    credentials = grpc.ssl_channel_credentials(root_certificates=invited.authority.encode())
    expected = target_name(Role.COORDINATOR, invited.coordinator_name)
    options = (("grpc.ssl_target_name_override", expected),)
    with grpc.secure_channel(invited.address, credentials, options=options) as channel:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        message = coordinator_pb2.EnrolRequest(
            token=f"{invited.invitation}.{invited.secret}",
            csr=request.csr,
            identity=canonical(request.identity.to_document()),
            proof=to_message(request.proof),
            address=address,
        )
        try:
            reply: coordinator_pb2.EnrolReply = stub.Enrol(message, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            raise error_of_call(error, f"coordinator {invited.address}") from None
        return reply


def _write_config(profile: Path, invited: Token, listen: str) -> None:
    config = {"name": invited.name}
    if invited.role is Role.NODE:
        config["listen"] = listen
    config["coordinator"] = invited.coordinator_address
    config["coordinator_fingerprint"] = invited.coordinator
    (profile / CONFIG_FILE).write_text(tomlkit.dumps(config), encoding="utf-8")
