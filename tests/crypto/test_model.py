"""The slow model and the primitives, held to the vectors of the RFCs they follow."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from sandbox.crypto.identity import Identity, Role
from tests.crypto import model


def test_hkdf_gives_rfc_5869_case_1() -> None:
    okm = model.hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert okm.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_chacha20_gives_rfc_8439_section_2_3_2() -> None:
    block = model.chacha20(bytes(range(32)), 1, bytes.fromhex("000000090000004a00000000"))
    assert block.hex() == (
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
    )


def test_x25519_gives_rfc_7748_section_5_2() -> None:
    scalar = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    point = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    assert model.x25519(scalar, point).hex() == (
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    )


# RFC 8032, section 7.1, tests 1 and 3: secret key, public key, message, signature.
ED25519 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
        "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("secret", "public", "message", "signature"), ED25519)
def test_ed25519_gives_rfc_8032_section_7_1(
    secret: str, public: str, message: str, signature: str
) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    assert key.public_key().public_bytes_raw().hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature


def test_an_identity_signs_by_rfc_8032_over_kind_and_body() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(ED25519[0][0]))
    agreement = X25519PrivateKey.from_private_bytes(bytes(range(32)))
    identity = Identity._of("a", Role.NODE, key, agreement)
    assert identity.public.signing_key.hex() == ED25519[0][1]
    signed = identity.sign("offer", {"n": 1})
    assert signed.signature == key.sign(b'fedsandbox/v1/offer\0{"n":1}')


def test_the_products_agreement_is_that_of_the_model() -> None:
    """X25519 in masks and seals, with Bob's key of RFC 7748, section 6.1, at one end."""
    a = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df8b1d5f7a3a0c0b1f6b3d5e0a9e2c2a")
    b = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    ours, theirs = X25519PrivateKey.from_private_bytes(a), X25519PrivateKey.from_private_bytes(b)
    assert theirs.public_key().public_bytes_raw().hex() == (
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    )
    shared = ours.exchange(theirs.public_key())
    assert shared == model.x25519(a, theirs.public_key().public_bytes_raw())
    assert shared == theirs.exchange(ours.public_key())
