"""BLAKE3 as its paper has it (O'Connor, Aumasson, Neves, Wilcox-O'Hearn 2020), in every mode."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

IV: Final = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
PERMUTATION: Final = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
LANES: Final = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip
CHUNK_START, CHUNK_END, PARENT, ROOT, KEYED, CONTEXT, MATERIAL = (1 << i for i in range(7))
CHUNK: Final = 1024
MASK: Final = 0xFFFFFFFF

Words = Sequence[int]


def rotate(word: int, bits: int) -> int:
    return (word >> bits | word << (32 - bits)) & MASK


def mix(state: list[int], lane: tuple[int, int, int, int], x: int, y: int) -> None:
    a, b, c, d = lane
    for message, first, second in ((x, 16, 12), (y, 8, 7)):
        state[a] = (state[a] + state[b] + message) & MASK
        state[d] = rotate(state[d] ^ state[a], first)
        state[c] = (state[c] + state[d]) & MASK
        state[b] = rotate(state[b] ^ state[c], second)


class Node:
    """The last compression of a chunk or a parent, not yet done: the root's is another."""

    def __init__(self, chaining: Words, block: bytes, counter: int, flags: int) -> None:
        self.chaining = chaining
        self.block = block
        self.counter = counter
        self.flags = flags

    def words(self, counter: int, flags: int) -> list[int]:
        """All sixteen words of the compression (§2.2)."""
        message = list(struct.unpack("<16I", self.block.ljust(64, b"\0")))
        state = [*self.chaining, *IV[:4], counter & MASK, counter >> 32, len(self.block), flags]
        for _ in range(7):
            for i, lane in enumerate(LANES):
                mix(state, lane, message[2 * i], message[2 * i + 1])
            message = [message[i] for i in PERMUTATION]
        high = [state[i + 8] ^ self.chaining[i] for i in range(8)]
        return [state[i] ^ state[i + 8] for i in range(8)] + high

    def value(self) -> list[int]:
        return self.words(self.counter, self.flags)[:8]

    def output(self, size: int) -> bytes:
        """As many bytes as are asked for, of the root (§2.6)."""
        blocks = range(-(-size // 64))
        out = [struct.pack("<16I", *self.words(i, self.flags | ROOT)) for i in blocks]
        return b"".join(out)[:size]


def chunk(key: Words, message: bytes, number: int, flags: int) -> Node:
    *blocks, last = [message[i : i + 64] for i in range(0, len(message), 64)] or [b""]
    chaining, start = key, CHUNK_START
    for block in blocks:
        chaining, start = Node(chaining, block, number, flags | start).value(), 0
    return Node(chaining, last, number, flags | start | CHUNK_END)


def tree(key: Words, message: bytes, first: int, flags: int) -> Node:
    """The left subtree holds the most chunks, a power of two, that leave the right one a byte (§2.1)."""
    if len(message) <= CHUNK:
        return chunk(key, message, first, flags)
    left = 1
    while 2 * left * CHUNK < len(message):
        left *= 2
    children = (
        tree(key, message[: left * CHUNK], first, flags),
        tree(key, message[left * CHUNK :], first + left, flags),
    )
    block = b"".join(struct.pack("<8I", *child.value()) for child in children)
    return Node(key, block, 0, flags | PARENT)


def plain(message: bytes, size: int = 32) -> bytes:
    """BLAKE3(m)."""
    return tree(IV, message, 0, 0).output(size)


def keyed(key: bytes, message: bytes, size: int = 32) -> bytes:
    """BLAKE3(k; m)."""
    return tree(struct.unpack("<8I", key), message, 0, KEYED).output(size)


def derive_key(context: str, material: bytes) -> bytes:
    """The third mode: a key of 32 bytes for a purpose that is written in the code."""
    key = tree(IV, context.encode(), 0, CONTEXT).output(32)
    return tree(struct.unpack("<8I", key), material, 0, MATERIAL).output(32)
