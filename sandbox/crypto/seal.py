"""Sealing to one party: HPKE (RFC 9180), base mode, X25519, HKDF-SHA256, ChaCha20Poly1305.

Base mode hides and protects the text but names no sender; who sealed it must be signed around it.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from sandbox.crypto.identity import DOMAIN, Identity, PublicIdentity
from sandbox.errors import TrustError

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_INFO = DOMAIN + b"seal\0"


def seal(recipient: PublicIdentity, aad: bytes, plaintext: bytes) -> bytes:
    """Encrypt so that `recipient` alone can read, and only for the purpose named by `aad`.

    Returns the encapsulated key (32 bytes), the ciphertext and its tag. `aad` is bound through the
    key schedule's `info` (RFC 9180, section 5.1), which single-shot use authenticates alike.
    """
    key = X25519PublicKey.from_public_bytes(recipient.agreement_key)
    return _SUITE.encrypt(plaintext, key, info=_INFO + aad)


def open_sealed(identity: Identity, aad: bytes, sealed: bytes) -> bytes:
    """Return what was sealed to `identity` for `aad`; raises TrustError if anything differs."""
    try:
        return _SUITE.decrypt(sealed, identity.agreement, info=_INFO + aad)
    except (InvalidTag, ValueError) as error:
        raise TrustError("SB-3020", name=identity.public.name) from error
