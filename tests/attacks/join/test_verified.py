"""Attacks j44 to j46: a coordinator that matches or multiplies wrong, and what being caught tells it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sandbox.crypto.join import shape, verified
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
