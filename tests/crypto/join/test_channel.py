"""Streams between members: what a relay alters, repeats, drops or moves does not open."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sandbox import _native
from sandbox.crypto.join import many
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.machine import FRAME_BYTES, Machine, Send, receive, send
from sandbox.errors import ProtocolError, SandboxError, TrustError
from tests.crypto.join.memory import Stuck, run

SECRET, TRANSCRIPT = bytes(range(32)), b"job and roster"
VECTORS = json.loads((Path(__file__).parents[2] / "vectors/channel.json").read_text())


def pairs(transcript: bytes = TRANSCRIPT) -> tuple[Pair, Pair]:
    return Pair(SECRET, transcript, "a", "b"), Pair(SECRET, transcript, "b", "a")


def talk(payload: bytes, middle: Callable[[str, str, bytes], bytes | None] | None = None) -> bytes:
    ours, theirs = pairs()

    def sender() -> Machine[None]:
        yield from ours.stream("rows").send(payload)

    def receiver() -> Machine[bytes]:
        return bytes((yield from theirs.stream("rows").receive(len(payload))))

    received: bytes = run({"a": sender(), "b": receiver()}, middle)["b"]
    return received


def test_keys_and_sealed_frames_are_those_of_the_vectors() -> None:
    """The sender has the greater fingerprint: a pair's keys sort both, a stream's have its own first."""
    keys = [X25519PrivateKey.from_private_bytes(bytes.fromhex(key)) for key in VECTORS["private"]]
    salt, names = bytes.fromhex(VECTORS["salt"]), VECTORS["fingerprints"]
    ours = Pair(keys[1].exchange(keys[0].public_key()), salt, names[1], names[0])
    assert {purpose: ours.key(purpose).hex() for purpose in VECTORS["keys"]} == VECTORS["keys"]
    stream = ours.stream(VECTORS["phase"])
    for frame in VECTORS["frames"]:
        (said,) = stream.send(frame["text"].encode())
        assert isinstance(said, Send)
        assert bytes(said.payload).hex() == frame["sealed"]


def test_tags_and_dummies_of_many_are_those_of_the_vectors() -> None:
    expected = VECTORS["many"]
    pair = Pair(SECRET, bytes.fromhex(VECTORS["salt"]), "a", "b")
    assert many.tag_key(pair).hex() == expected["hashing"]
    common, hashes = bytes.fromhex(expected["common"]), bytes.fromhex(expected["hashes"])
    tags = many._enciphered(common, [memoryview(hashes[:16]), memoryview(hashes[16:])])
    assert b"".join(tags).hex() == expected["tags"]
    dummies = _native.expand(many._dummies(common, expected["set"]), 2)
    assert bytes(dummies).hex() == expected["dummies"]


@given(st.binary(max_size=100))
def test_what_is_sent_arrives(payload: bytes) -> None:
    assert talk(payload) == payload


def test_what_fills_several_frames_arrives() -> None:
    payload = bytes(range(256)) * (FRAME_BYTES // 100)
    assert talk(payload) == payload


def test_what_is_taken_piece_by_piece_is_each_frame_once_and_no_more() -> None:
    ours, theirs = pairs()
    pieces: list[bytes] = []

    def sender(*sizes: int) -> Machine[None]:
        stream = ours.stream(f"rows {sizes}")
        for number, size in enumerate(sizes):
            yield from stream.send(bytes([number]) * size)

    def receiver(*sizes: int) -> Machine[None]:
        take = theirs.stream(f"rows {sizes}").receive_each
        yield from take(FRAME_BYTES + 7, lambda piece: pieces.append(bytes(piece)))

    run({"a": sender(2, FRAME_BYTES + 5), "b": receiver(2, FRAME_BYTES + 5)})
    assert [len(piece) for piece in pieces] == [2, FRAME_BYTES, 5]
    assert b"".join(pieces) == bytes(2) + bytes([1]) * (FRAME_BYTES + 5)
    with pytest.raises(ProtocolError, match="SB-4010"):
        run({"a": sender(FRAME_BYTES, 8), "b": receiver(FRAME_BYTES, 8)})


def test_frames_that_are_not_full_before_the_last_are_refused() -> None:
    """A million frames of two bytes would take thirty times the memory of one that is full."""
    length = 2 * FRAME_BYTES + 2

    def receiver() -> Machine[bytes]:
        return bytes((yield from receive("a", length)))

    full = run({"a": send("b", bytes(length)), "b": receiver()})
    assert full["b"] == bytes(length)
    for first in (0, 2, FRAME_BYTES - 1, FRAME_BYTES + 1):
        machine = receive("a", length)
        next(machine)
        with pytest.raises(ProtocolError, match="SB-4010"):
            machine.send(bytes(first))


def test_an_altered_frame_does_not_open() -> None:
    def flip(source: str, to: str, frame: bytes) -> bytes:
        return bytes([frame[0] ^ 1]) + frame[1:]

    with pytest.raises(TrustError, match="SB-3045"):
        talk(b"rows", flip)


def test_repeated_and_dropped_frames_do_not_open() -> None:
    seen: list[bytes] = []

    def repeat(source: str, to: str, frame: bytes) -> bytes:
        seen.append(frame)
        return seen[0]

    with pytest.raises(TrustError, match="SB-3045"):
        talk(bytes(2 * FRAME_BYTES), repeat)

    def drop_first(source: str, to: str, frame: bytes) -> bytes | None:
        seen.append(frame)
        return None if len(seen) == 3 else frame

    with pytest.raises((SandboxError, Stuck)):
        talk(bytes(2 * FRAME_BYTES), drop_first)


def test_a_frame_does_not_open_in_the_other_direction_phase_or_job() -> None:
    ours, theirs = pairs()
    _, other_job = pairs(b"another job")
    (step,) = list(ours.stream("rows").send(b"rows"))
    again, _ = pairs()
    for stream in (again.stream("rows"), theirs.stream("keys"), other_job.stream("rows")):
        machine = stream.receive(4)
        next(machine)
        with pytest.raises(TrustError, match="SB-3045"):
            machine.send(bytes(step.payload))  # type: ignore[union-attr]


def test_two_jobs_share_no_bytes_and_members_share_their_keys() -> None:
    ours, theirs = pairs()
    assert ours.key("tags") == theirs.key("tags") != ours.key("zero")
    assert ours.key("tags") != pairs(b"another job")[0].key("tags")
