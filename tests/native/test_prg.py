"""The kernels' generator against an independent AES."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from sandbox import _native


def reference(seed: bytes, blocks: int) -> bytes:
    """Counters are little-endian, which CTR mode of libraries is not: encrypt them one by one."""
    encryptor = Cipher(algorithms.AES(seed), modes.ECB()).encryptor()  # noqa: S305 - one block at a time
    return encryptor.update(b"".join(i.to_bytes(16, "little") for i in range(blocks)))


@given(st.binary(min_size=16, max_size=16), st.integers(0, 300))
def test_a_seed_expands_as_aes_in_counter_mode(seed: bytes, blocks: int) -> None:
    assert bytes(_native.expand(seed, blocks)) == reference(seed, blocks)


def test_a_seed_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        _native.expand(b"short", 1)


def test_memory_that_somebody_may_still_write_is_refused() -> None:
    with pytest.raises(BufferError):
        _native.expand(bytearray(16), 1)
