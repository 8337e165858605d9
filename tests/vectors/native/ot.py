"""Oblivious transfers by an independent, slow model (docs/protocols.md, section 3): writes ot.json.

A party's own draws come in the order in which the kernels make them, which the protocol leaves to each:
so that messages are the same byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.vectors.native import blake3, ristretto
from tests.vectors.native.blocks import (
    Draws,
    aes,
    from_bytes,
    hashed,
    polynomial,
    stream,
    to_bytes,
    total,
)  # fmt: skip

COUNT: Final = 128
GROUPS, BITS, SEEDS = 32, 4, 16
FULL: Final = 2**128 - 1


def first_block(session: bytes, message: bytes) -> int:
    """The first 16 bytes of BLAKE3(Σ; message)."""
    return int.from_bytes(blake3.keyed(session, message, 16), "little")


# Trees.


def depth(leaves: int) -> int:
    return (leaves - 1).bit_length()


class Trees:
    """GGM trees of one purpose in one session."""

    def __init__(self, session: bytes, purpose: str) -> None:
        text = f"fedsandbox ggm v1 {purpose}"
        self._keys = [first_block(session, f"{text} {side}".encode()) for side in ("left", "right")]

    def children(self, nodes: Sequence[int], width: int) -> list[int]:
        """The next level, of which the last node may have one child."""
        left, right = (hashed(key, nodes) for key in self._keys)
        return [node for pair in zip(left, right, strict=True) for node in pair][:width]

    def expand(self, root: int, leaves: int) -> tuple[list[int], list[tuple[int, int]]]:
        """The leaves, and for each level the sums of left and of right children."""
        nodes, sums = [root], []
        for level in range(1, depth(leaves) + 1):
            nodes = self.children(nodes, -(-leaves // 2 ** (depth(leaves) - level)))
            sums.append((total(nodes[::2]), total(nodes[1::2])))
        return nodes, sums

    def puncture(self, position: int, known: Sequence[int], leaves: int) -> list[int]:
        """All leaves but that at `position`, there 0, from sums of the sides its path avoids."""
        nodes = [0]
        for level, given in enumerate(known, 1):
            above = depth(leaves) - level
            nodes = self.children(nodes, -(-leaves // 2**above))
            on_path = position >> above
            nodes[on_path] = 0
            sibling = on_path ^ 1
            if sibling < len(nodes):
                nodes[sibling] = 0
                nodes[sibling] = given ^ total(nodes[sibling & 1 :: 2])
        return nodes


def pair_hash(session: bytes, inputs: Sequence[int], first: int = 0) -> list[int]:
    """H(x, n), n counting from `first`."""
    key = first_block(session, b"fedsandbox ot pair hash v1")
    inner = aes(key, inputs)
    outer = aes(key, [x ^ n for n, x in enumerate(inner, first)])
    return [x ^ y for x, y in zip(inner, outer, strict=True)]


# Base OTs.


def _oracle(session: bytes, index: int, side: int, other: bytes) -> ristretto.Point:
    text = b"fedsandbox base ot point v1" + index.to_bytes(8, "little") + bytes([side]) + other
    return ristretto.from_uniform(blake3.keyed(session, text, 64))


def _string(
    session: bytes, index: int, side: int, reply: bytes, pair: bytes, shared: ristretto.Point
) -> int:
    text = b"fedsandbox base ot string v1" + index.to_bytes(8, "little") + bytes([side])
    return first_block(session, text + reply + pair + shared.encode())


def _scalar(draws: Draws) -> int:
    return int.from_bytes(draws.wide(), "little") % ristretto.ORDER


class Chooser:
    """Who gets the string of the side that each bit of `choices` names."""

    def __init__(self, session: bytes, choices: int, draws: Draws) -> None:
        self._session = session
        self._choices = [choices >> i & 1 for i in range(COUNT)]
        self._halves = [_scalar(draws) for _ in range(COUNT)]
        free = [ristretto.from_uniform(draws.wide()) for _ in range(COUNT)]
        self._pairs = []
        for i, (side, half, point) in enumerate(
            zip(self._choices, self._halves, free, strict=True)
        ):
            other = (2 * point).encode()
            oracle = _oracle(session, i, side, other)
            own = (2 * (half * ristretto.GENERATOR + -oracle)).encode()
            self._pairs.append(other + own if side else own + other)
        self.offer = b"".join(self._pairs)

    def finish(self, reply: bytes) -> list[int]:
        sender = ristretto.decode(reply)
        return [
            _string(self._session, i, side, reply, pair, 2 * (half * sender))
            for i, (side, half, pair) in enumerate(
                zip(self._choices, self._halves, self._pairs, strict=True)
            )
        ]


def send(session: bytes, offer: bytes, draws: Draws) -> tuple[list[tuple[int, int]], bytes]:
    """Both strings of every OT, and the reply."""
    half = _scalar(draws)
    reply = (2 * half * ristretto.GENERATOR).encode()
    strings = []
    for i in range(COUNT):
        pair = offer[64 * i : 64 * (i + 1)]
        encodings = pair[:32], pair[32:]
        both = []
        for side in (0, 1):
            oracle = _oracle(session, i, side, encodings[1 - side])
            shared = 2 * half * (ristretto.decode(encodings[side]) + 2 * oracle)
            both.append(_string(session, i, side, reply, pair, shared))
        strings.append((both[0], both[1]))
    return strings, reply


# Extension. A column is one number: 128 bits for each tile.


def _leaf(session: bytes, leaf: int) -> tuple[int, int]:
    """Seed and check value."""
    text = b"fedsandbox softspoken leaf v1" + leaf.to_bytes(16, "little")
    out = blake3.keyed(session, text, 48)
    return int.from_bytes(out[:16], "little"), int.from_bytes(out[16:], "little")


def _streams(seeds: Sequence[int], tiles: int) -> list[int]:
    return [int.from_bytes(to_bytes(stream(seed, tiles)), "little") for seed in seeds]


def _column_hash(point: int, column: int, tiles: int) -> int:
    *blocks, last = from_bytes(column.to_bytes(16 * tiles, "little"))
    return last ^ polynomial(point, [0, *blocks])


def _point(session: bytes, message: bytes) -> int:
    return first_block(session, b"fedsandbox softspoken check v1" + message)


def rows(columns: Sequence[int], tiles: int) -> list[int]:
    """Row i of a tile: bit j is bit i of column j there."""
    out = []
    for tile in range(tiles):
        bits = [f"{column >> 128 * tile & FULL:0128b}"[::-1] for column in reversed(columns)]
        out += [int("".join(row), 2) for row in zip(*bits, strict=True)]
    return out


def choose(
    session: bytes,
    keys: Sequence[tuple[int, int]],
    choices: Sequence[int],
    malicious: bool,
    draws: Draws,
) -> tuple[list[int], bytes]:
    """The rows t for choices (128 in each block), and the message."""
    trees = Trees(session, "softspoken")
    message, sums, every, groups = b"", b"", b"", []
    for g in range(GROUPS):
        leaves, levels = trees.expand(draws.block(), SEEDS)
        for j, (left, right) in enumerate(levels):
            zero, one = keys[BITS * g + BITS - 1 - j]
            message += to_bytes([left ^ zero, right ^ one])
        numbered = [_leaf(session, leaves[SEEDS - 1 - number]) for number in range(SEEDS)]
        checks = [check for _, check in numbered]
        sums += total(checks).to_bytes(32, "little")
        every += b"".join(check.to_bytes(32, "little") for check in checks)
        groups.append([seed for seed, _ in numbered])
    wanted = len(choices)
    if malicious:
        message += sums + blake3.keyed(session, every)
        choices = [*choices, draws.block()]
    tiles = len(choices)
    chosen = int.from_bytes(to_bytes(choices), "little")
    columns = []
    for seeds in groups:
        streams = _streams(seeds, tiles)
        message += (total(streams) ^ chosen).to_bytes(16 * tiles, "little")
        columns += [total(streams[y] for y in range(SEEDS) if y >> bit & 1) for bit in range(BITS)]
    if malicious:
        point = _point(session, message)
        message += to_bytes(_column_hash(point, c, tiles) for c in (chosen, *columns))
    return rows(columns, wanted), message


def correlate(
    session: bytes, delta: int, keys: Sequence[int], wanted: int, malicious: bool, message: bytes
) -> list[int]:
    """The rows q; raises ValueError where a check fails."""
    tiles = wanted + malicious
    trees, masked = Trees(session, "softspoken"), from_bytes(message[: 32 * COUNT])
    at = 32 * COUNT
    digests = message[at : at + 32 * (GROUPS + 1)] if malicious else b""
    at += len(digests)
    columns, every = [], b""
    for g in range(GROUPS):
        own = delta >> BITS * g & SEEDS - 1
        known = []
        for j in range(BITS):
            ot = BITS * g + BITS - 1 - j
            known.append(masked[2 * (BITS * g + j) + (delta >> ot & 1)] ^ keys[ot])
        leaves = trees.puncture(SEEDS - 1 - own, known, SEEDS)
        numbered = [_leaf(session, leaves[SEEDS - 1 - number]) for number in range(SEEDS)]
        checks = [check for _, check in numbered]
        if malicious:
            checks[own] = 0
            checks[own] = total(checks) ^ int.from_bytes(digests[32 * g : 32 * g + 32], "little")
            every += b"".join(check.to_bytes(32, "little") for check in checks)
        streams = _streams([seed for seed, _ in numbered], tiles)
        correction = int.from_bytes(message[at : at + 16 * tiles], "little")
        at += 16 * tiles
        for bit in range(BITS):
            column = total(streams[y] for y in range(SEEDS) if (y ^ own) >> bit & 1)
            columns.append(column ^ (correction if own >> bit & 1 else 0))
    if malicious:
        if digests[32 * GROUPS :] != blake3.keyed(session, every):
            raise ValueError("the trees' leaves differ")
        point, (of_choices, *theirs) = _point(session, message[:at]), from_bytes(message[at:])
        for j, column in enumerate(columns):
            expected = theirs[j] ^ (of_choices if delta >> j & 1 else 0)
            if _column_hash(point, column, tiles) != expected:
                raise ValueError("the groups' choices differ")
    return rows(columns, wanted)


# Vectors.

SESSION: Final = bytes(range(32))
DELTA: Final = 0x1F2E3D4C5B6A79880123456789ABCDEF


def digest(message: bytes) -> str:
    """What stands for a long message in the vectors."""
    return blake3.plain(message).hex()


def hexed(blocks: Sequence[int]) -> list[str]:
    return [to_bytes([block]).hex() for block in blocks]


def tree_vectors() -> list[dict[str, Any]]:
    out = []
    for leaves, position in ((2, 1), (11, 10), (16, 5), (258, 200)):
        trees = Trees(SESSION, "test")
        whole, sums = trees.expand(77, leaves)
        sides = [position >> depth(leaves) - 1 - level & 1 for level in range(depth(leaves))]
        known = [pair[1 - side] for pair, side in zip(sums, sides, strict=True)]
        punctured = trees.puncture(position, known, leaves)
        if punctured != [0 if i == position else leaf for i, leaf in enumerate(whole)]:
            raise AssertionError("the punctured tree is another")
        out.append(
            {
                "leaves": leaves,
                "position": position,
                "sums": [hexed(pair) for pair in sums],
                "known": hexed(known),
                "whole": digest(to_bytes(whole)),
                "punctured": digest(to_bytes(punctured)),
            }
        )
    return out


def extension_vectors() -> list[dict[str, Any]]:
    draws = Draws(5)
    keys = [(draws.block(), draws.block()) for _ in range(COUNT)]
    chosen = [pair[DELTA >> i & 1] for i, pair in enumerate(keys)]
    out = []
    for tiles, malicious in ((1, False), (66, False), (3, True)):
        choices = stream(99, tiles)
        t, message = choose(SESSION, keys, choices, malicious, Draws(2))
        q = correlate(SESSION, DELTA, chosen, tiles, malicious, message)
        for i, (t_i, q_i) in enumerate(zip(t, q, strict=True)):
            if q_i ^ t_i != (DELTA if choices[i // 128] >> i % 128 & 1 else 0):
                raise AssertionError("a row is not correlated")
        out.append(
            {
                "tiles": tiles,
                "malicious": malicious,
                "message": digest(message),
                "t": digest(to_bytes(t)),
                "q": digest(to_bytes(q)),
            }
        )
    return out


def vectors() -> dict[str, Any]:
    chooser = Chooser(SESSION, DELTA, Draws(1))
    pairs, reply = send(SESSION, chooser.offer, Draws(2))
    strings = chooser.finish(reply)
    if strings != [pair[DELTA >> i & 1] for i, pair in enumerate(pairs)]:
        raise AssertionError("a string is not the chosen one")
    inputs = [10, 11, FULL]
    return {
        "session": SESSION.hex(),
        "delta": to_bytes([DELTA]).hex(),
        "trees": tree_vectors(),
        "pair_hash": {"first": 7, "in": hexed(inputs), "out": hexed(pair_hash(SESSION, inputs, 7))},
        "base": {
            "offer": digest(chooser.offer),
            "reply": reply.hex(),
            "pairs": digest(to_bytes(block for pair in pairs for block in pair)),
            "chosen": hexed(strings[:2]),
        },
        "extension": extension_vectors(),
    }


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(json.dumps(vectors(), indent=1) + "\n")
