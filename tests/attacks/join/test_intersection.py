"""Attacks 37, j09: on `psi`, by a peer that holds the keys of the pair and departs from the protocol."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from sandbox import _native
from sandbox.crypto.join import psi
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.keys import KeyHashes
from sandbox.crypto.join.machine import FRAME_BYTES, Machine
from sandbox.errors import ProtocolError, TrustError
from tests.attacks.join.test_dealer import draws
from tests.crypto.join.memory import replied, run

SIZES, SEMI_HONEST = (psi.Sizes(4, 3, malicious=malicious) for malicious in (True, False))
Tamper = Callable[[int, bytes], bytes]


def keys(*numbers: int) -> memoryview:
    return memoryview(bytes(memoryview(KeyHashes([pa.array(numbers, pa.int64())], bytes(32)).tags)))


def ends() -> tuple[Pair, Pair]:
    return Pair(bytes(32), b"job", "r", "s"), Pair(bytes(32), b"job", "s", "r")


def hostile_sender(sizes: psi.Sizes, pair: Pair, tamper: Tamper) -> Machine[None]:
    """Sends what the kernels say, `tamper`ed with by number, sealed as a member's frames are."""
    party, offer = _native.PsiSender.start(
        sizes.receiver, sizes.sender, pair.key("psi 0"), bytes(32), malicious=True
    )
    party.take_keys(keys(1, 2, 3))
    stream = pair.stream(sizes.phase(0))
    message, number = bytes(memoryview(offer)), 0
    while True:
        yield from stream.send(tamper(number, message))
        number += 1
        if (length := party.awaits()) is None:
            return
        message = bytes(memoryview(party.advance((yield from stream.receive(length)))))


def changed(number: int, at: int) -> Tamper:
    def tamper(n: int, message: bytes) -> bytes:
        if n != number:
            return message
        place = at % len(message)
        return message[:place] + bytes([message[place] ^ 1]) + message[place + 1 :]

    return tamper


def received(tamper: Tamper) -> list[int]:
    ours, theirs = ends()
    machines: dict[str, Machine[object]] = {
        "r": psi.receiver(SIZES, 0, ours, lambda: keys(1, 2, 8, 9), draws("r")),
        "s": hostile_sender(SIZES, theirs, tamper),
    }
    return np.flatnonzero(run(machines)["r"].matches()).tolist()


def test_attack_j09_untampered_sender_shows_the_intersection() -> None:
    assert received(lambda _, message: message) == [0, 1]


@pytest.mark.parametrize(
    ("number", "at"),
    [(1, -1), (2, 0), (2, 31), (3, -1), (3, -32)],
    ids=["commitment", "proof", "proof's end", "opening", "opening's mask"],
)
def test_attack_j09_peer_learns_of_its_failed_check_nothing_but_that_it_failed(
    number: int, at: int
) -> None:
    """Which check found it out would be an oracle for guesses of noise and Δ."""
    with pytest.raises(TrustError) as raised:
        received(changed(number, at))
    assert (raised.value.code, raised.value.facts) == ("SB-3047", {"party": "s"})


@pytest.mark.parametrize("place", [0, 16, 32])
def test_attack_37_sender_that_repeats_a_value_inflates_no_intersection(place: int) -> None:
    """A size, or a sum over matched rows, would count the same row of the receiver again and again."""

    def repeat(n: int, message: bytes) -> bytes:
        return message[place : place + 16] * 3 + message[48:] if n == 3 else message

    assert len(received(repeat)) <= 1


def cutting_receiver(pair: Pair, frame_bytes: int) -> Machine[None]:
    """Says what the kernels say, its encoding in frames of so many bytes."""
    stream = pair.stream(SEMI_HONEST.phase(0))
    party = _native.PsiReceiver(4, 3, pair.key("psi 0"), bytes(32), malicious=False)
    while (length := party.awaits()) is not None:
        size = FRAME_BYTES
        if party.wants_keys():
            party.take_keys(keys(1, 2, 8, 9))
            size = frame_bytes
        message = replied(party, (yield from stream.receive(length)))
        for at in range(0, len(message), size):
            yield from stream.send(message[at : at + size])


def answer_to_frames_of(frame_bytes: int) -> None:
    ours, theirs = ends()
    machines: dict[str, Machine[object]] = {
        "r": cutting_receiver(ours, frame_bytes),
        "s": psi.sender(SEMI_HONEST, 0, theirs, lambda: keys(1, 2, 3), draws("s")),
    }
    run(machines)


@pytest.mark.parametrize("frame_bytes", [1, 24])
def test_attack_j09_broken_blocks_of_an_encoding_end_the_join_as_any_departure(
    frame_bytes: int,
) -> None:
    """A sender works on each frame as it comes, of whatever size, if it holds whole blocks."""
    answer_to_frames_of(16)
    answer_to_frames_of(48)
    with pytest.raises(TrustError) as raised:
        answer_to_frames_of(frame_bytes)
    assert (raised.value.code, raised.value.facts) == ("SB-3047", {"party": "r"})


def greedy_receiver(pair: Pair) -> Machine[None]:
    """Speaks in the streams that were agreed on, and encodes a thousand keys instead of four."""
    stream = pair.stream(SIZES.phase(0))
    party = _native.PsiReceiver(1000, 3, pair.key("psi 0"), bytes(32), malicious=True)
    while (length := party.awaits()) is not None:
        if party.wants_keys():
            party.take_keys(keys(*range(1000)))
        message = yield from stream.receive(length)
        yield from stream.send(replied(party, message))


def test_attack_37_set_beyond_the_bound_is_no_message_that_fits() -> None:
    """More phone numbers than the padded size allow: the length of what is awaited is fixed by it."""
    ours, theirs = ends()
    machines: dict[str, Machine[object]] = {
        "r": greedy_receiver(ours),
        "s": psi.sender(SIZES, 0, theirs, lambda: keys(1, 2, 3), draws("s")),
    }
    with pytest.raises(ProtocolError, match="SB-4010"):
        run(machines)
