"""What the other models stand on: blocks as integers, AES over them, GF(2^128) (docs/protocols.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def to_bytes(blocks: Iterable[int]) -> bytes:
    return b"".join(block.to_bytes(16, "little") for block in blocks)


def from_bytes(text: bytes) -> list[int]:
    return [int.from_bytes(text[i : i + 16], "little") for i in range(0, len(text), 16)]


def aes(key: int, blocks: Sequence[int]) -> list[int]:
    """π_k of each block."""
    cipher = Cipher(algorithms.AES(key.to_bytes(16, "little")), modes.ECB())  # noqa: S305 - a permutation is wanted
    return from_bytes(cipher.encryptor().update(to_bytes(blocks)))


def hashed(key: int, blocks: Sequence[int]) -> list[int]:
    """π_k(x) ⊕ x of each block."""
    return [out ^ x for out, x in zip(aes(key, blocks), blocks, strict=True)]


def stream(seed: int, count: int, first: int = 0) -> list[int]:
    """Blocks of AES-CTR(seed), from number `first`."""
    return aes(seed, range(first, first + count))


def words(seed: int, count: int, size: int) -> list[int]:
    """The stream as words of `size` bytes."""
    raw = to_bytes(stream(seed, -(-count * size // 16)))
    return [int.from_bytes(raw[size * i : size * (i + 1)], "little") for i in range(count)]


def multiply(a: int, b: int) -> int:
    """In GF(2^128) modulo x^128 + x^7 + x^2 + x + 1, by the definition."""
    product = 0
    for bit in range(128):
        if b >> bit & 1:
            product ^= a << bit
    for bit in reversed(range(128, 255)):
        if product >> bit & 1:
            product ^= (1 << 128 | 0x87) << (bit - 128)
    return product


def polynomial(x: int, coefficients: Sequence[int]) -> int:
    """Σ x^i c_i."""
    value = 0
    for coefficient in reversed(coefficients):
        value = multiply(value, x) ^ coefficient
    return value


def total(blocks: Iterable[int]) -> int:
    value = 0
    for block in blocks:
        value ^= block
    return value


def reflected(block: bytes) -> int:
    """A block of GCM, whose first bit is the coefficient of x^0, as an element of the field."""
    return int(f"{int.from_bytes(block.ljust(16, bytes(1)), 'big'):0128b}"[::-1], 2)


def gcm(key: bytes, nonce: bytes, text: bytes) -> bytes:
    """AES-GCM without associated data, for a nonce of 12 bytes (NIST SP 800-38D §7.1): text and tag."""
    encrypt = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update  # noqa: S305 - a permutation is wanted
    parts = [text[i : i + 16] for i in range(0, len(text), 16)]
    pads = [encrypt(nonce + (i + 1).to_bytes(4, "big")) for i in range(len(parts) + 1)]
    sealed = [
        bytes(a ^ b for a, b in zip(part, pad, strict=False))
        for part, pad in zip(parts, pads[1:], strict=True)
    ]
    tag, factor = 0, reflected(encrypt(bytes(16)))
    for block in (*sealed, (8 * len(text)).to_bytes(16, "big")):
        tag = multiply(tag ^ reflected(block), factor)
    whole = int(f"{tag ^ reflected(pads[0]):0128b}"[::-1], 2)
    return b"".join(sealed) + whole.to_bytes(16, "big")


class Draws:
    """A party's random blocks, one after the other: a stream, so that vectors can be made again."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._next = 0

    def blocks(self, count: int) -> list[int]:
        self._next += count
        return stream(self._seed, count, self._next - count)

    def block(self) -> int:
        return self.blocks(1)[0]

    def wide(self) -> bytes:
        """64 bytes, of which scalars and points are made."""
        return to_bytes(self.blocks(4))
