"""Sealing: RFC 9180 by an independent model, and what must not open."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from sandbox.crypto.identity import Identity, Role
from sandbox.crypto.seal import open_sealed, seal
from sandbox.errors import TrustError
from tests.crypto import model

KEM_ID = b"KEM\x00\x20"
SUITE_ID = b"HPKE\x00\x20\x00\x01\x00\x03"
BASE_POINT = (9).to_bytes(32, "little")


def labeled(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    """LabeledExtract (RFC 9180, section 4)."""
    import hmac

    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + secret, "sha256")


def expand(suite: bytes, key: bytes, label: bytes, info: bytes, size: int) -> bytes:
    """LabeledExpand for one block of output."""
    import hmac

    text = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(key, text + b"\x01", "sha256")[:size]


def key_schedule(shared: bytes, enc: bytes, recipient: bytes, info: bytes) -> tuple[bytes, bytes]:
    """ExtractAndExpand (4.1) and KeySchedule in base mode (5.1): key and base nonce."""
    extracted = labeled(KEM_ID, b"", b"eae_prk", shared)
    secret = expand(KEM_ID, extracted, b"shared_secret", enc + recipient, 32)
    context = b"\0" + labeled(SUITE_ID, b"", b"psk_id_hash", b"")
    context += labeled(SUITE_ID, b"", b"info_hash", info)
    final = labeled(SUITE_ID, secret, b"secret", b"")
    key = expand(SUITE_ID, final, b"key", context, 32)
    return key, expand(SUITE_ID, final, b"base_nonce", context, 12)


@pytest.fixture(scope="module")
def node() -> Identity:
    return Identity.generate("a", Role.NODE)


def test_the_model_gives_rfc_9180_appendix_a_2_1() -> None:
    ephemeral = bytes.fromhex("f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600")
    recipient = bytes.fromhex("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a")
    enc = model.x25519(ephemeral, BASE_POINT)
    shared = model.x25519(ephemeral, recipient)
    key, nonce = key_schedule(shared, enc, recipient, b"Ode on a Grecian Urn")
    assert enc.hex() == "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"
    assert key.hex() == "ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91"
    assert nonce.hex() == "5c4d98150661b848853b547f"
    sealed = ChaCha20Poly1305(key).encrypt(nonce, b"Beauty is truth, truth beauty", b"Count-0")
    assert sealed.hex() == (
        "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"
    )


def test_what_the_product_seals_opens_by_the_rfc(node: Identity) -> None:
    sealed = seal(node.public, b"job 1", b"seed")
    enc, box = sealed[:32], sealed[32:]
    shared = model.x25519(node.agreement.private_bytes_raw(), enc)
    info = b"fedsandbox/v1/seal\0job 1"
    key, nonce = key_schedule(shared, enc, node.public.agreement_key, info)
    assert ChaCha20Poly1305(key).decrypt(nonce, box, b"") == b"seed"


def test_what_is_sealed_by_the_rfc_opens_in_the_product(node: Identity) -> None:
    ephemeral = bytes(range(32))
    enc = model.x25519(ephemeral, BASE_POINT)
    shared = model.x25519(ephemeral, node.public.agreement_key)
    info = b"fedsandbox/v1/seal\0job 1"
    key, nonce = key_schedule(shared, enc, node.public.agreement_key, info)
    box = ChaCha20Poly1305(key).encrypt(nonce, b"seed", b"")
    assert open_sealed(node, b"job 1", enc + box) == b"seed"


def test_a_sealed_text_opens_for_its_recipient_and_purpose_alone(node: Identity) -> None:
    sealed = seal(node.public, b"job 1", b"seed")
    assert open_sealed(node, b"job 1", sealed) == b"seed"
    other = Identity.generate("b", Role.NODE)
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    cases = [(other, b"job 1", sealed), (node, b"job 2", sealed), (node, b"job 1", flipped)]
    cases += [(node, b"job 1", sealed[:size]) for size in (0, 31, 32, 47)]
    cases += [(node, b"job 1", bytes(32) + sealed[32:])]
    for identity, aad, text in cases:
        with pytest.raises(TrustError, match="SB-3020"):
            open_sealed(identity, aad, text)


def test_sealing_twice_gives_different_bytes(node: Identity) -> None:
    assert seal(node.public, b"", b"x") != seal(node.public, b"", b"x")
