"""Attacks j44 to j47: a coordinator that matches or multiplies wrong, and what being caught tells."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from sandbox import _native
from sandbox.crypto.join import shape, verified
from sandbox.crypto.join.channel import Stream
from sandbox.crypto.join.machine import Machine
from sandbox.crypto.join.words import Words
from sandbox.errors import TrustError
from tests.crypto.join.test_verified import (
    LEFT,
    RIGHT,
    SHAPE,
    join,
    left_out,
    lie,
    plain,
    shifting,
    two_pairs_crossed,
)


@pytest.mark.parametrize("by", [{0: 1}, {3: 1 << 20}, {0: 5, 4: 7}, {1: 1 << 31}])
def test_attack_j44_coordinator_that_shifts_a_product_is_found(by: dict[int, int]) -> None:
    """It cannot choose what passes: that follows from numbers that it does not know. Where a join is not
    verified, the sums are off by what it added."""
    unverified = replace(SHAPE, width=4, verify=False)
    found = join(LEFT, RIGHT, unverified, shifting({8 * 2 * 3}, by, 8))
    expected = np.array(plain(LEFT, RIGHT, unverified))
    off = np.zeros(6, np.int64)
    for at, shift in by.items():
        off[at] = shift
    assert ((np.array(found) - expected - off.reshape(2, 3)) % (1 << 32) == 0).all()
    with pytest.raises(TrustError, match="SB-3049"):
        join(LEFT, RIGHT, replace(SHAPE, width=4), shifting({16 * 3 * 3}, by, 16))


def test_attack_j45_coordinator_that_lets_different_keys_meet_is_found() -> None:
    """One pair of keys is enough. Where a join is not verified, one person's row is multiplied with
    another's, and the sum is off by what nobody can tell."""
    of = replace(SHAPE, verify=False)
    assert join(LEFT, RIGHT, of, lie(two_pairs_crossed)) != plain(LEFT, RIGHT, of)
    with pytest.raises(TrustError, match="SB-3049"):
        join(LEFT, RIGHT, SHAPE, lie(two_pairs_crossed))


def test_attack_j46_coordinator_learns_no_more_of_how_many_match_from_being_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It sees 30 pseudonyms match and leaves one out. Ten of the thirty are check keys, the others are
    either all rows or all dummies. Of 200 joins of each kind two thirds are not caught; the two shares'
    difference has standard deviation 0.047, and 0.24 is five of it."""
    for module in (shape, verified):
        monkeypatch.setattr(module, "CHECK_KEYS", 10)
    of = replace(SHAPE, dummies=10 + 20)
    unnoticed = {}
    for kind, left, dummies in (("rows", LEFT, 0), ("dummies", {}, 20)):
        unnoticed[kind] = 0
        for n in range(200):
            try:
                join(left, RIGHT, of, lie(left_out(of, 1, n)), dummies)
                unnoticed[kind] += 1
            except TrustError:
                pass
    assert abs(unnoticed["rows"] - unnoticed["dummies"]) / 200 < 0.24
    assert abs(unnoticed["rows"] / 200 - 2 / 3) < 0.17


def test_attack_j47_member_cannot_hold_a_guess_against_what_it_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Different keys have met, so that members' checks of the slots differ by words of a few tags. One
    that guesses the other's keys can make the other's check of each guess; even the right one fits
    nothing that it has heard, whatever it makes of it with all that it knows."""
    checks: dict[bool, bytes] = {}
    known: list[tuple[bytes, bytes]] = []
    heard: list[bytes] = []
    value, start = verified.MatchingCheck.value, _native.Equality.start
    receive = Stream.receive

    def valued(self: verified.MatchingCheck, share: Words) -> bytes:
        checks[self._left] = value(self, share)
        return checks[self._left]

    def started(session: bytes, own: bytes, entropy: bytes) -> object:
        if own == checks.get(True):
            known.append((session, entropy))
        return start(session, own, entropy)

    def received(self: Stream, length: int) -> Machine[memoryview]:
        payload = yield from receive(self, length)
        if checks and self.peer == "b":
            heard.append(bytes(payload))
        return payload

    monkeypatch.setattr(verified.MatchingCheck, "value", valued)
    monkeypatch.setattr(Stream, "receive", received)
    monkeypatch.setattr(_native, "Equality", SimpleNamespace(start=started))
    with pytest.raises(TrustError, match="SB-3049"):
        join(LEFT, RIGHT, SHAPE, lie(two_pairs_crossed))
    guess = checks[False]
    assert guess != checks[True]
    made = [guess, hashlib.sha256(guess).digest()]
    for session, entropy in known:
        party, point = start(session, guess, entropy)
        made += [bytes(point), *map(bytes, party.finish(heard[0], left=True))]
    assert heard
    assert not {*made} & {*heard}
