"""TLS certificates that say which party holds them; they authenticate transport and nothing else.

P-256 keys, X.509 (RFC 5280). The subject alternative names are the URI
fedsandbox:ROLE:NAME:FINGERPRINT, the DNS name ROLE-NAME.fedsandbox (what a client asks for,
whatever the address) and the hosts. A request carries a proof signed by the identity, so that an
authority names only those who hold its key. Whom a party trusts with data is decided by pinned
fingerprints, never here.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.crypto.identity import (
    Document,
    Identity,
    PublicIdentity,
    Role,
    Signed,
    read_secret,
    verify,
    write_secret,
)
from sandbox.errors import InputError, StateError, TrustError

CA_CERTIFICATE, CA_KEY, TLS_KEY = "ca.crt", "ca.key", "tls.key"
LOCAL_HOSTS = ("localhost", "127.0.0.1")
_REQUEST = "certificate-request"
_CA_LIFETIME = timedelta(days=3650)
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class PeerName:
    """Whom a certificate names, and until when."""

    role: Role
    name: str
    fingerprint: str
    not_after: datetime


@dataclass(frozen=True)
class CertificateRequest:
    """A PEM certificate request, the identity that asks, and its signature over the request."""

    csr: bytes
    identity: PublicIdentity
    proof: Signed

    def to_document(self) -> Document:
        """Return it as a JSON object."""
        return {
            "csr": self.csr.decode("ascii"),
            "identity": self.identity.to_document(),
            "proof": self.proof.to_document(),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> CertificateRequest:
        """Read `to_document`'s object; raises TrustError where it is none."""
        try:
            return cls(
                document["csr"].encode("ascii"),
                PublicIdentity.from_document(document["identity"]),
                Signed.from_document(document["proof"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
            raise TrustError("SB-3071") from error


@dataclass(frozen=True)
class Authority:
    """A certificate authority: its own certificate and key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, directory: Path) -> Authority:
        """Read what `create_authority` wrote; raises StateError or TrustError (readable key)."""
        path = directory / CA_KEY
        try:
            key = load_pem_private_key(read_secret(path), None)
            certificate = _certificate((directory / CA_CERTIFICATE).read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise StateError("SB-3006", path=str(directory)) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise StateError("SB-3006", path=str(path))
        return cls(certificate, key)


def create_authority(directory: Path, now: datetime | None = None) -> Authority:
    """Make ca.crt and ca.key (0600) in `directory`; raises StateError where a key exists."""
    now = now or datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fedsandbox authority")])
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, SHA256())
    )
    directory.mkdir(parents=True, exist_ok=True)
    write_secret(directory / CA_KEY, _key_pem(key))
    (directory / CA_CERTIFICATE).write_bytes(certificate.public_bytes(Encoding.PEM))
    return Authority(certificate, key)


def new_tls_key_and_csr(
    directory: Path, identity: Identity, hosts: Sequence[str] = ()
) -> CertificateRequest:
    """Make tls.key (0600) in `directory` and the request to have it certified for `hosts`.

    Raises StateError where a key exists, InputError for a host that is no DNS name or IP address.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    public = identity.public
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, public.name)]))
        .add_extension(
            x509.SubjectAlternativeName([_host(host) for host in (*LOCAL_HOSTS, *hosts)]),
            critical=False,
        )
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )
    proof = identity.sign(_REQUEST, _proof_body(csr))
    directory.mkdir(parents=True, exist_ok=True)
    write_secret(directory / TLS_KEY, _key_pem(key))
    return CertificateRequest(csr, public, proof)


def issue(
    authority: Authority,
    request: CertificateRequest,
    *,
    role: Role,
    name: str,
    fingerprint: str,
    not_after: datetime,
    now: datetime | None = None,
) -> bytes:
    """Return a PEM certificate that names (role, name, fingerprint) until `not_after`.

    Raises TrustError unless the identity of that role, name and fingerprint made the request.
    """
    now = now or datetime.now(UTC)
    asked = request.identity
    if (asked.role, asked.name, asked.fingerprint) != (role, name, fingerprint):
        raise TrustError("SB-3070", expected=f"{role}:{name}", found=f"{asked.role}:{asked.name}")
    if verify(request.proof, asked, _REQUEST) != _proof_body(request.csr):
        raise TrustError("SB-3071")
    csr = _request(request.csr)
    hosts = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names: list[x509.GeneralName] = [
        x509.UniformResourceIdentifier(f"fedsandbox:{role}:{name}:{fingerprint}"),
        x509.DNSName(target_name(role, name)),
        *(host for host in hosts if isinstance(host, x509.DNSName) and _is_plain(host.value)),
        *(host for host in hosts if isinstance(host, x509.IPAddress)),
    ]
    issuer = authority.certificate
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{role} {name}")]))
        .issuer_name(issuer.subject)
        .public_key(csr.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(min(not_after, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
        .sign(authority.key, SHA256())
    )
    return certificate.public_bytes(Encoding.PEM)


def target_name(role: Role, name: str) -> str:
    """Return the DNS name that a party's certificate bears: gRPC's target-name override."""
    return f"{role}-{name}.fedsandbox"


@lru_cache(maxsize=256)
def peer_name(pem: bytes) -> PeerName:
    """Return whom a certificate names; raises TrustError if it is not one of ours.

    It checks neither the issuer nor the dates: TLS has done so for a live peer, `check_certificate`
    does for a file.
    """
    certificate = _certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise TrustError("SB-3072") from error
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    parts = uris[0].split(":") if len(uris) == 1 else []
    if len(parts) != 4 or parts[0] != "fedsandbox" or parts[1] not in list(Role):
        raise TrustError("SB-3072")
    return PeerName(Role(parts[1]), parts[2], parts[3], certificate.not_valid_after_utc)


def check_certificate(pem: bytes, authority_pem: bytes, now: datetime | None = None) -> PeerName:
    """Return whom a certificate names; raises TrustError if foreign, expired or not yet valid."""
    now = now or datetime.now(UTC)
    peer = peer_name(pem)
    certificate, authority = _certificate(pem), _certificate(authority_pem)
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise TrustError("SB-3073", name=peer.name) from error
    if now > peer.not_after:
        raise TrustError("SB-3074", name=peer.name, date=peer.not_after.isoformat())
    if now < certificate.not_valid_before_utc:
        date = certificate.not_valid_before_utc.isoformat()
        raise TrustError("SB-3075", name=peer.name, date=date)
    return peer


def _proof_body(csr: bytes) -> Document:
    return {"csr_digest": hashlib.sha256(csr).hexdigest()}


def _request(pem: bytes) -> x509.CertificateSigningRequest:
    try:
        csr = x509.load_pem_x509_csr(pem)
        well_signed = csr.is_signature_valid
        csr.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise TrustError("SB-3071") from error
    key = csr.public_key()
    if not (well_signed and isinstance(key, ec.EllipticCurvePublicKey)):
        raise TrustError("SB-3071")
    return csr


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise TrustError("SB-3072") from error


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not _is_plain(host):
        raise InputError("SB-3076", host=host)
    return x509.DNSName(host)


def _is_plain(host: str) -> bool:
    """A host that is neither a wildcard nor another party's name."""
    labels = host.split(".")
    return (
        host.isascii()
        and all(label.replace("-", "").isalnum() for label in labels)
        and labels[-1].lower() != "fedsandbox"
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
