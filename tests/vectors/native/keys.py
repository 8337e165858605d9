"""Join keys encoded and hashed by an independent, slow model, which writes keys.json when run.

BLAKE3 as its paper has it (O'Connor, Aumasson, Neves, Wilcox-O'Hearn 2020, §2), keyed, of one chunk
(at most 1024 bytes); the encoding as native/src/keys/encoding.rs states it.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Final

Value = int | str | bytes

IV: Final = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
PERMUTATION: Final = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, ROOT, KEYED_HASH = 1, 2, 8, 16
MASK: Final = 0xFFFFFFFF


def rotate(word: int, bits: int) -> int:
    return (word >> bits | word << (32 - bits)) & MASK


def mix(state: list[int], a: int, b: int, c: int, d: int, x: int, y: int) -> None:
    for message, first, second in ((x, 16, 12), (y, 8, 7)):
        state[a] = (state[a] + state[b] + message) & MASK
        state[d] = rotate(state[d] ^ state[a], first)
        state[c] = (state[c] + state[d]) & MASK
        state[b] = rotate(state[b] ^ state[c], second)


def compress(chaining: tuple[int, ...], block: bytes, flags: int) -> tuple[int, ...]:
    """The chaining value after a block of a chunk whose counter is 0."""
    words = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    state = [*chaining, *IV[:4], 0, 0, len(block), flags]
    columns = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
    diagonals = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(columns + diagonals):
            mix(state, a, b, c, d, words[2 * i], words[2 * i + 1])
        words = [words[i] for i in PERMUTATION]
    return tuple(state[i] ^ state[i + 8] for i in range(8))


def keyed_blake3(key: bytes, message: bytes) -> bytes:
    """32 bytes; `message` of at most one chunk."""
    if len(message) > 1024:
        raise ValueError("the model hashes one chunk")
    blocks = [message[i : i + 64] for i in range(0, len(message), 64)] or [b""]
    chaining = struct.unpack("<8I", key)
    for i, block in enumerate(blocks):
        flags = KEYED_HASH | (CHUNK_START if i == 0 else 0)
        if i == len(blocks) - 1:
            flags |= CHUNK_END | ROOT
        chaining = compress(chaining, block, flags)
    return struct.pack("<8I", *chaining)


def encode(key: tuple[Value, ...]) -> bytes:
    """The canonical encoding of a composite key."""
    out = b""
    for value in key:
        if isinstance(value, int):
            out += b"\x01" + value.to_bytes(8, "little", signed=True)
        else:
            text = value.encode() if isinstance(value, str) else value
            kind = b"\x02" if isinstance(value, str) else b"\x03"
            out += kind + len(text).to_bytes(4, "little") + text
    return out.ljust(-len(out) // 64 * -64, b"\0")


def hash_key(session: bytes, key: tuple[Value, ...]) -> bytes:
    """The 16 bytes that leave the provider."""
    return keyed_blake3(session, encode(key))[:16]


CASES: Final[tuple[tuple[Value, ...], ...]] = (
    (42,),
    ("42",),
    (b"42",),
    (-(2**63),),
    ("",),
    ("", ""),
    ("ab", "c"),
    ("a", "bc"),
    ("x" * 59,),
    ("x" * 60,),
    ("日本", 7, b"\0"),
    ("y" * 300, 1),
)


def main() -> None:
    session = b"whats the Elvish word for friend"
    cases = [
        {
            "key": [value.hex() if isinstance(value, bytes) else value for value in case],
            "binary": [isinstance(value, bytes) for value in case],
            "hash": hash_key(session, case).hex(),
        }
        for case in CASES
    ]
    vectors = {"session_key": session.hex(), "cases": cases}
    Path(__file__).with_name("keys.json").write_text(
        json.dumps(vectors, indent=1, ensure_ascii=False) + "\n"
    )


if __name__ == "__main__":
    main()
