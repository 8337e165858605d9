"""Certificates: whom they name, who may have one, and which are refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from sandbox.crypto.certificates import (
    CA_CERTIFICATE,
    CA_KEY,
    TLS_KEY,
    Authority,
    CertificateRequest,
    check_certificate,
    create_authority,
    issue,
    new_tls_key_and_csr,
    peer_name,
)
from sandbox.crypto.identity import Identity, Role
from sandbox.errors import InputError, StateError, TrustError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=90)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return create_authority(tmp_path / "ca", NOW)


@pytest.fixture
def node() -> Identity:
    return Identity.generate("a", Role.NODE)


def certify(authority: Authority, request: CertificateRequest, not_after: datetime) -> bytes:
    asked = request.identity
    return issue(
        authority,
        request,
        role=asked.role,
        name=asked.name,
        fingerprint=asked.fingerprint,
        not_after=not_after,
        now=NOW,
    )


def test_a_certificate_names_role_name_fingerprint_and_hosts(
    authority: Authority, node: Identity, tmp_path: Path
) -> None:
    request = new_tls_key_and_csr(tmp_path / "a", node, ["node.example.org", "10.1.2.3"])
    pem = certify(authority, CertificateRequest.from_document(request.to_document()), LATER)
    peer = check_certificate(pem, (tmp_path / "ca" / CA_CERTIFICATE).read_bytes(), NOW)
    assert (peer.role, peer.name, peer.fingerprint) == (Role.NODE, "a", node.public.fingerprint)
    assert peer.not_after == LATER
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    hosts = names.value.get_values_for_type(x509.DNSName)
    assert hosts == ["node-a.fedsandbox", "localhost", "node.example.org"]
    addresses = names.value.get_values_for_type(x509.IPAddress)
    assert [str(address) for address in addresses] == ["127.0.0.1", "10.1.2.3"]


def test_private_keys_are_readable_by_their_owner_alone(
    authority: Authority, node: Identity, tmp_path: Path
) -> None:
    new_tls_key_and_csr(tmp_path / "a", node)
    for path in (tmp_path / "ca" / CA_KEY, tmp_path / "a" / TLS_KEY):
        assert path.stat().st_mode & 0o077 == 0
    assert Authority.load(tmp_path / "ca").certificate == authority.certificate
    with pytest.raises(StateError, match="SB-3008"):
        create_authority(tmp_path / "ca", NOW)


def test_only_the_holder_of_an_identity_gets_its_certificate(
    authority: Authority, node: Identity, tmp_path: Path
) -> None:
    request = new_tls_key_and_csr(tmp_path / "a", node)
    mallory = Identity.generate("a", Role.NODE)
    theirs = new_tls_key_and_csr(tmp_path / "m", mallory)
    for forged, code in (
        (replace(theirs, identity=node.public), "SB-3011"),
        (replace(request, csr=theirs.csr), "SB-3071"),
        (replace(request, proof=node.sign("job", {})), "SB-3010"),
    ):
        with pytest.raises(TrustError, match=code):
            certify(authority, forged, LATER)


@pytest.mark.parametrize(
    "claim", [{"role": Role.COORDINATOR}, {"name": "b"}, {"fingerprint": "fs1other"}]
)
def test_a_request_is_certified_only_for_whom_it_was_invited(
    authority: Authority, node: Identity, tmp_path: Path, claim: dict[str, str]
) -> None:
    request = new_tls_key_and_csr(tmp_path / "a", node)
    wanted = {"role": Role.NODE, "name": "a", "fingerprint": node.public.fingerprint, **claim}
    with pytest.raises(TrustError, match="SB-3070"):
        issue(authority, request, **wanted, not_after=LATER, now=NOW)  # type: ignore[arg-type]


def test_expired_early_foreign_and_nameless_certificates_are_refused(
    authority: Authority, node: Identity, tmp_path: Path
) -> None:
    pem = certify(authority, new_tls_key_and_csr(tmp_path / "a", node), LATER)
    ours = (tmp_path / "ca" / CA_CERTIFICATE).read_bytes()
    create_authority(tmp_path / "foreign", NOW)
    foreign = (tmp_path / "foreign" / CA_CERTIFICATE).read_bytes()
    for certificate, issuer, now, code in (
        (pem, ours, LATER + timedelta(seconds=1), "SB-3074"),
        (pem, ours, NOW - timedelta(hours=1), "SB-3075"),
        (pem, foreign, NOW, "SB-3073"),
        (ours, ours, NOW, "SB-3072"),
        (b"nothing", ours, NOW, "SB-3072"),
    ):
        with pytest.raises(TrustError, match=code):
            check_certificate(certificate, issuer, now)


def test_a_certificate_does_not_outlive_its_authority(
    authority: Authority, node: Identity, tmp_path: Path
) -> None:
    pem = certify(authority, new_tls_key_and_csr(tmp_path / "a", node), NOW.replace(year=2099))
    assert peer_name(pem).not_after == authority.certificate.not_valid_after_utc


@pytest.mark.parametrize(
    "host", ["*.example.org", "coordinator-c.fedsandbox", "a b", "", "fedsandbox:x", "例.cn"]
)
def test_a_host_that_could_pass_for_another_party_is_refused(
    node: Identity, tmp_path: Path, host: str
) -> None:
    with pytest.raises(InputError, match="SB-3076"):
        new_tls_key_and_csr(tmp_path / "a", node, [host])


def test_damaged_requests_are_refused(node: Identity, tmp_path: Path) -> None:
    document = new_tls_key_and_csr(tmp_path / "a", node).to_document()
    for broken in ({}, {**document, "csr": 1}, {**document, "identity": {}}):
        with pytest.raises(TrustError, match="SB-3071"):
            CertificateRequest.from_document(broken)
