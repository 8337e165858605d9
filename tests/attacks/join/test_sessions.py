"""Attacks j17, j18, j19, j24, j25: on `psi`, by a peer that keeps what it hears or whoever relays."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from sandbox.crypto.join import psi
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.machine import Machine
from sandbox.errors import TrustError
from tests.attacks.join.test_dealer import draws
from tests.crypto.join.memory import Wiretap, run
from tests.crypto.join.test_psi import SECRET, intersect, keys

SIZES = psi.Sizes(4, 4, False)
ALL = [0, 1, 2, 3]


def session(
    ours: list[int],
    theirs: list[int],
    *,
    job: bytes = b"job",
    bucket: int = 0,
    seed: str = "",
    sizes: psi.Sizes = SIZES,
    wiretap: Wiretap | None = None,
) -> psi.Compared:
    """Run one intersection; `seed`: what the sender's own draws follow from. The receiver's are the same
    in all sessions, and so is the parties' agreement."""
    receiver, sender = Pair(SECRET, job, "r", "s"), Pair(SECRET, job, "s", "r")
    machines: dict[str, Machine[object]] = {
        "r": psi.receiver(sizes, bucket, receiver, lambda: keys(ours), draws("r")),
        "s": psi.sender(sizes, bucket, sender, lambda: keys(theirs), draws(f"s{seed}")),
    }
    found = run(machines, wiretap)["r"]
    assert isinstance(found, psi.Compared)
    return found


def values(compared: psi.Compared) -> set[bytes]:
    raw, width = bytes(compared.theirs), compared.width
    return {raw[at : at + width] for at in range(0, len(raw), width)}


def matched(compared: psi.Compared) -> list[int]:
    return np.flatnonzero(compared.matches()).tolist()


def as_sent(compared: psi.Compared) -> tuple[int, ...]:
    """The receiver's rows in the order in which the sender's values are theirs."""
    width = compared.width
    own, theirs = bytes(compared.own), bytes(compared.theirs)
    rows = {own[at : at + width]: at // 16 for at in range(0, len(own), 16)}
    return tuple(rows[theirs[at : at + width]] for at in range(0, len(theirs), width))


@pytest.mark.parametrize("malicious", [False, True])
def test_attack_j17_values_of_one_session_are_no_dictionary_for_the_next(malicious: bool) -> None:
    """All else equal, a fresh Δ alone changes what is said of keys that the receiver does not have: one
    that knew it could tell any guess of them."""
    sizes, theirs = psi.Sizes(4, 4, malicious), [3, 7, 8, 9]
    first, second = (session(ALL, theirs, seed=seed, sizes=sizes) for seed in ("first", "second"))
    assert matched(first) == matched(second) == [3]
    # Of what both have, the value follows from the receiver's own draws, here the same.
    assert len(values(first) & values(second)) <= 1


def test_attack_j18_order_of_values_is_independent_of_the_senders_rows() -> None:
    """The receiver would see where its matches stand in the other's file. 6 orders of 3 keys over 180
    runs: chi-squared with 5 degrees of freedom below 26.9, which fair orders exceed with probability
    6e-5."""
    rows, sizes = [0, 1, 2], psi.Sizes(3, 3, False)
    counts = Counter(
        as_sent(session(rows, rows, job=b"job %d" % n, seed=str(n), sizes=sizes))
        for n in range(180)
    )
    statistic = sum((count - 30) ** 2 / 30 for count in counts.values()) + 30 * (6 - len(counts))
    assert statistic < 26.9


@pytest.mark.parametrize("of_bucket", [1000, 30])
@pytest.mark.parametrize("malicious", [False, True])
def test_attack_j19_lengths_of_what_passes_tell_the_declared_sizes_alone(
    malicious: bool, of_bucket: int
) -> None:
    def lengths(ours: list[int], theirs: list[int]) -> dict[tuple[str, str], list[int]]:
        seen: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

        def count(source: str, to: str, frame: bytes) -> bytes:
            seen[source, to].append(len(frame))
            return frame

        intersect(ours, theirs, psi.Sizes(100, 80, malicious, of_bucket), count)
        return seen

    everything = lengths([*range(100)], [*range(80)])
    assert everything == lengths([], []) == lengths([*range(50)], [*range(200, 210)])


def blocks(job: bytes, bucket: int = 0, sizes: psi.Sizes = SIZES) -> set[bytes]:
    """All that passes in one session of the same rows and the same draws."""
    seen: set[bytes] = set()

    def keep(source: str, to: str, frame: bytes) -> bytes:
        seen.update(frame[at : at + 16] for at in range(0, len(frame) - 15, 16))
        return frame

    session([1, 2, 3], [2, 3, 4], job=job, bucket=bucket, sizes=sizes, wiretap=keep)
    return seen


def test_attack_j24_two_sessions_of_the_same_rows_share_no_bytes() -> None:
    """Even on equal draws and one agreement: the job and its roster are in every key."""
    assert not blocks(b"first") & blocks(b"second")


def test_attack_j24_two_buckets_of_one_session_share_no_bytes() -> None:
    sizes = psi.Sizes(8, 8, False, 4)
    assert not blocks(b"job", 0, sizes) & blocks(b"job", 1, sizes)


@pytest.mark.parametrize("played", ["r", "s"])
def test_attack_j25_session_that_is_played_back_to_a_member_is_refused(played: str) -> None:
    """The coordinator has kept what a member said in an earlier job, and says it again in the next: its
    peer would meet a set of other rows, or of none."""
    kept: list[bytes] = []

    def keep(source: str, to: str, frame: bytes) -> bytes:
        if source == played:
            kept.append(frame)
        return frame

    session(ALL, ALL, job=b"earlier", wiretap=keep)
    again = iter(kept)

    def replace(source: str, to: str, frame: bytes) -> bytes:
        return next(again) if source == played else frame

    with pytest.raises(TrustError, match="SB-3045"):
        session(ALL, [7, 8, 9], job=b"later", wiretap=replace)
