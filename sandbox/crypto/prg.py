"""Keys and uniform residues from one secret: HKDF-SHA256 (RFC 5869) and ChaCha20 (RFC 8439).

Both ends of a pair must draw the same numbers, so everything here is a function of its inputs.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from sandbox.crypto.identity import DOMAIN

KEY_BYTES = 32
_WORD_BYTES = 8


def derive_key(secret: bytes, salt: bytes, *labels: bytes) -> bytes:
    """Return 32 bytes bound to `salt` and to the list of `labels`, each prefixed by its length."""
    info = DOMAIN + b"".join(len(label).to_bytes(4, "big") + label for label in labels)
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(secret)


def uniform(key: bytes, modulus: int, count: int) -> NDArray[np.uint64]:
    """Return `count` integers uniform in 0..modulus-1. Each key serves one call.

    Little-endian 64-bit words of the key's ChaCha20 stream (nonce and counter 0) are cut to the
    bit length of `modulus` (at most 63 bits) and those >= modulus dropped, so that no value is
    favoured.
    """
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    mask = np.uint64((1 << modulus.bit_length()) - 1)
    accepted: list[NDArray[np.uint64]] = []
    missing = count
    while missing > 0:
        words = np.frombuffer(stream.update(bytes(_WORD_BYTES * missing)), dtype="<u8")
        words = words.astype(np.uint64) & mask
        kept = words[words < np.uint64(modulus)]
        accepted.append(kept)
        missing -= len(kept)
    return np.concatenate([np.empty(0, np.uint64), *accepted])
