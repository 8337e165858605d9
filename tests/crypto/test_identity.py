"""Identities, canonical documents and signatures."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.crypto.identity import (
    KEY_FILE,
    Identity,
    PublicIdentity,
    Role,
    Signed,
    canonical,
    document_digest,
    parse,
    verify,
)
from sandbox.errors import InputError, StateError, TrustError
from tests.crypto import model

VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors/canonical.json").read_text(encoding="utf-8")
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
DOCUMENTS = st.dictionaries(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@pytest.fixture(scope="module")
def alice() -> Identity:
    return Identity.generate("alice", Role.RESEARCHER)


@pytest.mark.parametrize("vector", VECTORS["good"])
def test_a_document_has_the_text_and_digest_of_the_vectors(vector: dict[str, Any]) -> None:
    body = canonical(vector["document"])
    assert body.decode() == vector["text"]
    assert document_digest("job", body) == vector["digest_as_job"]
    assert parse(body) == vector["document"]


@pytest.mark.parametrize("text", VECTORS["bad"])
def test_any_other_text_of_a_document_is_refused(text: str) -> None:
    with pytest.raises(TrustError, match="SB-3001"):
        parse(text.encode())


@pytest.mark.parametrize("body", [b"\xff", b'{"a":"\\ud800"}', b"[" * 100_000, b"\xef\xbb\xbf{}"])
def test_hostile_bytes_are_refused_without_a_crash(body: bytes) -> None:
    with pytest.raises(TrustError, match="SB-3001"):
        parse(body)


@given(DOCUMENTS)
def test_canonical_text_agrees_with_the_slow_model_and_reads_back(document: dict[str, Any]) -> None:
    body = canonical(document)
    assert body.decode() == model.canonical(document)
    assert parse(body) == document


@given(DOCUMENTS, st.data())
def test_a_changed_byte_never_reads_as_the_same_document(
    document: dict[str, Any], data: st.DataObject
) -> None:
    body = bytearray(canonical(document))
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        assert parse(bytes(body)) != document
    except TrustError as refused:
        code = refused.code
    else:
        code = "SB-3001"
    assert code == "SB-3001"


@pytest.mark.parametrize("value", [1.0, b"bytes", {1: 2}, {"a": float("nan")}, object(), {3, 4}])
def test_what_has_no_single_text_cannot_enter_a_document(value: object) -> None:
    with pytest.raises(TypeError):
        canonical({"value": value})


def test_a_signature_holds_for_its_kind_its_signer_and_its_body_alone(alice: Identity) -> None:
    signed = alice.sign("job", {"epsilon": "0.5"})
    mallory = Identity.generate("alice", Role.RESEARCHER)
    assert verify(signed, alice.public, "job") == {"epsilon": "0.5"}
    for other, by, kind, code in (
        (signed, alice.public, "roster", "SB-3010"),
        (signed, mallory.public, "job", "SB-3011"),
        (replace(signed, signer=mallory.public.fingerprint), mallory.public, "job", "SB-3012"),
        (replace(signed, body=b'{"epsilon":"5"}'), alice.public, "job", "SB-3012"),
        (replace(signed, kind="roster"), alice.public, "roster", "SB-3012"),
        (replace(signed, signature=bytes(64)), alice.public, "job", "SB-3012"),
        (replace(signed, signature=b""), alice.public, "job", "SB-3012"),
    ):
        with pytest.raises(TrustError, match=code):
            verify(other, by, kind)


def test_a_signed_text_that_is_not_canonical_is_refused(alice: Identity) -> None:
    signed = alice.sign_bytes("job", b'{"a": 1}')
    with pytest.raises(TrustError, match="SB-3001"):
        verify(signed, alice.public, "job")


def test_kind_and_body_cannot_slide_into_each_other(alice: Identity) -> None:
    with pytest.raises(TrustError, match="SB-3010"):
        alice.sign_bytes("job\0{", b"}")


def test_a_signed_document_survives_json(alice: Identity) -> None:
    signed = alice.sign("job", {"text": "电压"})
    assert Signed.from_document(json.loads(json.dumps(signed.to_document()))) == signed
    for broken in (
        {},
        {**signed.to_document(), "signature": "xyz"},
        {**signed.to_document(), "body": 1},
    ):
        with pytest.raises(TrustError, match="SB-3002"):
            Signed.from_document(broken)


def test_a_fingerprint_covers_name_role_and_both_keys(alice: Identity) -> None:
    public = alice.public
    others = {
        replace(public, name="bob").fingerprint,
        replace(public, role=Role.SUPERVISOR).fingerprint,
        replace(public, signing_key=bytes(32)).fingerprint,
        replace(public, agreement_key=bytes(32)).fingerprint,
    }
    assert len(others | {public.fingerprint}) == 5
    assert len(public.fingerprint) == 35
    assert public.fingerprint.startswith("fs1")
    assert PublicIdentity.from_document(public.to_document()) == public


@pytest.mark.parametrize("name", ["", "Alice", "-a", "a-", "a.b", "a" * 41, "a\n", "a/b"])
def test_a_name_that_would_not_fit_a_certificate_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="SB-3003"):
        Identity.generate(name, Role.NODE)


def test_a_party_cannot_be_called_what_a_fingerprint_is(alice: Identity) -> None:
    """Where a policy or a command takes either, the name would stand for the other party."""
    with pytest.raises(InputError, match="SB-3003"):
        Identity.generate(alice.public.fingerprint, Role.NODE)
    Identity.generate("fs1-north", Role.NODE)


def test_an_identity_loads_as_it_was_saved_and_is_never_overwritten(
    alice: Identity, tmp_path: Path
) -> None:
    alice.save(tmp_path)
    loaded = Identity.load(tmp_path)
    assert loaded.public == alice.public
    assert loaded.sign("job", {}) == alice.sign("job", {})
    assert loaded.agreement.private_bytes_raw() == alice.agreement.private_bytes_raw()
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    with pytest.raises(StateError, match="SB-3008"):
        Identity.generate("alice", Role.RESEARCHER).save(tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(alice: Identity, tmp_path: Path, mode: int) -> None:
    alice.save(tmp_path)
    os.chmod(tmp_path / KEY_FILE, mode)
    with pytest.raises(TrustError, match="SB-3009"):
        Identity.load(tmp_path)


def test_a_damaged_or_mixed_up_identity_is_refused(alice: Identity, tmp_path: Path) -> None:
    alice.save(tmp_path)
    key = tmp_path / KEY_FILE
    pem = key.read_bytes()
    for broken in (b"", pem[:100], pem[: len(pem) // 2], pem.replace(b"M", b"N")):
        key.write_bytes(broken)
        with pytest.raises(StateError, match=r"SB-300[67]"):
            Identity.load(tmp_path)
    Identity.generate("alice", Role.RESEARCHER).save(tmp_path / "other")
    key.write_bytes((tmp_path / "other" / KEY_FILE).read_bytes())
    with pytest.raises(StateError, match="SB-3007"):
        Identity.load(tmp_path)
    (tmp_path / "identity.json").unlink()
    with pytest.raises(StateError, match="SB-3006"):
        Identity.load(tmp_path)


def test_no_private_key_shows_in_a_repr(alice: Identity) -> None:
    secret = alice.agreement.private_bytes_raw()
    assert repr(secret) not in repr(alice)
    assert "PrivateKey" not in repr(alice)


def test_a_key_under_a_passphrase_opens_with_that_passphrase_alone(
    alice: Identity, tmp_path: Path
) -> None:
    alice.save(tmp_path, "correct horse battery")
    assert Identity.load(tmp_path, "correct horse battery") == alice
    for wrong in ("correct horse batterx", "", None):
        with pytest.raises(TrustError, match="SB-3257"):
            Identity.load(tmp_path, wrong)
    pem = (tmp_path / KEY_FILE).read_bytes()
    assert pem.count(b"ENCRYPTED") == 4
    assert alice._signing.private_bytes_raw() not in pem


def test_a_key_without_a_passphrase_is_never_opened_with_one(
    alice: Identity, tmp_path: Path
) -> None:
    alice.save(tmp_path)
    with pytest.raises(TrustError, match="SB-3257"):
        Identity.load(tmp_path, "any passphrase at all")


def test_a_short_passphrase_is_refused_before_anything_is_written(
    alice: Identity, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="SB-3256"):
        alice.save(tmp_path / "new", "elevenchars")
    assert not (tmp_path / "new").exists()
