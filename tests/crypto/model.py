"""A slow, independent model of what parties must agree on byte by byte: plain Python, no library.

HKDF after RFC 5869, ChaCha20 after RFC 8439, X25519 after RFC 7748; masks and frames after the
docstrings of sandbox/crypto. Its own tests hold it to the vectors of those RFCs.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterator, Mapping, Sequence

PRIME = 2**255 - 19
CHECKS = 2


def canonical(value: object) -> str:
    """The one text of a document."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(map(_escaped, value)) + '"'
    if isinstance(value, Mapping):
        items = (f"{canonical(key)}:{canonical(value[key])}" for key in sorted(value))
        return "{" + ",".join(items) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(canonical, value)) + "]"
    raise TypeError(value)


def _escaped(character: str) -> str:
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b"}
    short["\f"] = "\\f"
    if character in short:
        return short[character]
    return f"\\u{ord(character):04x}" if ord(character) < 0x20 else character


def hkdf(secret: bytes, salt: bytes, info: bytes, size: int = 32) -> bytes:
    """RFC 5869 with SHA-256."""
    pseudorandom = hmac.digest(salt or bytes(32), secret, "sha256")
    output = block = b""
    for counter in range(1, -(-size // 32) + 1):
        block = hmac.digest(pseudorandom, block + info + bytes([counter]), "sha256")
        output += block
    return output[:size]


def chacha20(key: bytes, counter: int, nonce: bytes) -> bytes:
    """RFC 8439, section 2.3: one block of 64 bytes; `nonce` of 12."""
    start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), counter]
    start += struct.unpack("<3I", nonce)
    state = list(start)
    columns = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
    diagonals = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
    for _ in range(10):
        for a, b, c, d in columns + diagonals:
            for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                state[x] = (state[x] + state[y]) & 0xFFFFFFFF
                mixed = state[z] ^ state[x]
                state[z] = (mixed << turn | mixed >> 32 - turn) & 0xFFFFFFFF
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(state, start, strict=True)))


def x25519(scalar: bytes, point: bytes) -> bytes:
    """RFC 7748, section 5: the Montgomery ladder."""
    clamped = bytes([scalar[0] & 248]) + scalar[1:31] + bytes([scalar[31] & 127 | 64])
    k = int.from_bytes(clamped, "little")
    x1 = int.from_bytes(point, "little") & (1 << 255) - 1
    x2, z2, x3, z3, swapped = 1, 0, x1, 1, 0
    for bit in reversed(range(255)):
        now = k >> bit & 1
        if swapped != now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swapped = now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % PRIME, b * b % PRIME, d * a % PRIME, c * b % PRIME
        x3, z3 = (da + cb) ** 2 % PRIME, x1 * (da - cb) ** 2 % PRIME
        x2, z2 = aa * bb % PRIME, (aa - bb) * (aa + 121665 * (aa - bb)) % PRIME
    if swapped:
        x2, z2 = x3, z3
    return (x2 * pow(z2, PRIME - 2, PRIME) % PRIME).to_bytes(32, "little")


def derive_key(secret: bytes, salt: bytes, *labels: bytes) -> bytes:
    """sandbox.crypto.prg.derive_key."""
    info = b"fedsandbox/v1/" + b"".join(struct.pack(">I", len(x)) + x for x in labels)
    return hkdf(secret, salt, info)


def uniform(key: bytes, modulus: int, count: int) -> list[int]:
    """sandbox.crypto.prg.uniform, word by word."""
    drawn: list[int] = []
    for word in _words(key):
        if len(drawn) == count:
            break
        candidate = word % 2 ** modulus.bit_length()
        if candidate < modulus:
            drawn.append(candidate)
    return drawn


def _words(key: bytes) -> Iterator[int]:
    counter = 0
    while True:
        yield from struct.unpack("<8Q", chacha20(key, counter, bytes(12)))
        counter += 1


def mask(
    name: str, private: bytes, publics: Mapping[str, bytes], transcript: bytes, t: int, slots: int
) -> list[int]:
    """The mask of one member modulo t; `publics` holds every member's key, its own too."""
    total = [0] * slots
    for peer in publics:
        if peer == name:
            continue
        first, second = min(name, peer), max(name, peer)
        key = derive_key(
            x25519(private, publics[peer]),
            transcript,
            b"mask",
            first.encode(),
            publics[first],
            second.encode(),
            publics[second],
            b"%d" % t,
        )
        sign = 1 if name == first else -1
        stream = uniform(key, t, slots)
        total = [(a + sign * b) % t for a, b in zip(total, stream, strict=True)]
    return total


def frame(
    values: Sequence[int], t: int, chunk: int, seed: bytes, transcript: bytes, member: str
) -> list[int]:
    """The slots of one member modulo t, `chunk` values to a ciphertext."""
    slots: list[int] = []
    for number, start in enumerate(range(0, len(values), chunk)):
        part = values[start : start + chunk]
        key = derive_key(seed, transcript, b"check", b"%d" % t, b"%d" % number)
        weights = uniform(derive_key(key, b"", b"weights"), t, CHECKS * len(part))
        constants = uniform(derive_key(key, b"", b"constant", member.encode()), t, CHECKS)
        slots += [value % t for value in part]
        for check in range(CHECKS):
            row = weights[check * len(part) : (check + 1) * len(part)]
            total = sum(w * v for w, v in zip(row, part, strict=True))
            slots.append((total + constants[check]) % t)
    return slots


def document_digest(kind: str, body: str) -> str:
    """The name of a document."""
    return hashlib.sha256(f"fedsandbox/v1/{kind}".encode() + b"\0" + body.encode()).hexdigest()
