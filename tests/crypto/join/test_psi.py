"""`psi`: what the receiver learns, and what stands in the middle cannot."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.crypto.join import psi
from sandbox.crypto.join.channel import Pair
from sandbox.errors import TrustError
from tests.crypto.join.memory import Wiretap, run

SECRET = bytes(range(32))


def keys(numbers: list[int]) -> memoryview:
    digests = [hashlib.blake2b(str(n).encode(), digest_size=16).digest() for n in numbers]
    return memoryview(b"".join(digests))


def entropy(name: str, job: bytes) -> psi.Entropy:
    drawn = iter(range(1 << 30))
    return lambda n: hashlib.shake_256(name.encode() + job + bytes([next(drawn)])).digest(n)


def intersect(
    ours: list[int],
    theirs: list[int],
    sizes: psi.Sizes,
    wiretap: Wiretap | None = None,
    job: bytes = b"job and roster",
) -> set[int]:
    machines = {
        "r": psi.receiver(
            sizes, Pair(SECRET, job, "r", "s"), lambda: keys(ours), entropy("r", job)
        ),
        "s": psi.sender(
            sizes, Pair(SECRET, job, "s", "r"), lambda: keys(theirs), entropy("s", job)
        ),
    }
    found = run(machines, wiretap)["r"].tolist()
    assert len(found) == len(set(found))
    return {ours[i] for i in found}


@settings(max_examples=25, deadline=None)
@given(
    st.sets(st.integers(0, 300), max_size=200),
    st.sets(st.integers(0, 300), max_size=200),
    st.booleans(),
)
def test_the_receiver_learns_the_plain_intersection(
    ours: set[int], theirs: set[int], malicious: bool
) -> None:
    sizes = psi.Sizes(max(len(ours), 1) + 3, max(len(theirs), 1), malicious)
    assert intersect(sorted(ours), sorted(theirs), sizes) == ours & theirs


@pytest.mark.parametrize("malicious", [False, True])
def test_what_passes_has_lengths_of_the_sizes_alone(malicious: bool) -> None:
    def lengths(ours: list[int], theirs: list[int]) -> dict[tuple[str, str], list[int]]:
        seen: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

        def count(source: str, to: str, frame: bytes) -> bytes:
            seen[source, to].append(len(frame))
            return frame

        intersect(ours, theirs, psi.Sizes(100, 80, malicious), count)
        return seen

    everything = lengths([*range(100)], [*range(80)])
    assert everything == lengths([], []) == lengths([*range(50)], [*range(200, 210)])


def test_two_jobs_share_no_frame_even_on_equal_secrets_and_draws() -> None:
    def frames(job: bytes) -> set[bytes]:
        seen: set[bytes] = set()

        def keep(source: str, to: str, frame: bytes) -> bytes:
            seen.update(frame[i : i + 16] for i in range(0, len(frame) - 16, 16))
            return frame

        intersect([1, 2, 3], [2, 3, 4], psi.Sizes(4, 4, False), keep, job)
        return seen

    assert not frames(b"first") & frames(b"second")


def test_altered_frames_end_the_join_in_one_word() -> None:
    for altered in range(5):
        place = iter(range(100))

        def flip(source: str, to: str, frame: bytes, at: int = altered) -> bytes:
            return bytes([frame[0] ^ 1]) + frame[1:] if next(place) == at else frame  # noqa: B023

        with pytest.raises(TrustError, match="SB-3045"):
            intersect([1, 2, 3], [2, 3, 4], psi.Sizes(4, 4, True), flip)


def test_the_order_of_matches_does_not_follow_the_senders() -> None:
    """The values come shuffled: 24 orders of 4 keys over 720 runs, chi-squared with 23 degrees of
    freedom below 58.6, which a fair shuffle exceeds with probability 6e-5."""
    counts: defaultdict[tuple[int, ...], int] = defaultdict(int)
    for n in range(720):
        job = b"job %d" % n
        machines = {
            "r": psi.receiver(
                psi.Sizes(4, 4, False),
                Pair(SECRET, job, "r", "s"),
                lambda: keys([0, 1, 2, 3]),
                entropy("r", job),
            ),
            "s": psi.sender(
                psi.Sizes(4, 4, False),
                Pair(SECRET, job, "s", "r"),
                lambda: keys([0, 1, 2, 3]),
                entropy("s", job),
            ),
        }
        counts[tuple(np.asarray(run(machines)["r"]).tolist())] += 1
    statistic = sum((count - 30) ** 2 / 30 for count in counts.values()) + 30 * (24 - len(counts))
    assert statistic < 58.6


def test_nothing_of_a_join_depends_on_keys_before_they_are_asked_for() -> None:
    """Rows are read when all that the peer needs before them is sent: a slow reader shows in nothing."""
    for malicious in (False, True):
        sent: defaultdict[str, int] = defaultdict(int)
        asked: dict[str, int] = {}

        def count(source: str, to: str, frame: bytes, sent: defaultdict[str, int] = sent) -> bytes:
            sent[source] += 1
            return frame

        def late(
            name: str, asked: dict[str, int] = asked, sent: defaultdict[str, int] = sent
        ) -> psi.Keys:
            def ask() -> memoryview:
                asked[name] = sent[name]
                return keys([1, 2])

            return ask

        sizes, job = psi.Sizes(4, 4, malicious), b"late"
        machines = {
            "r": psi.receiver(sizes, Pair(SECRET, job, "r", "s"), late("r"), entropy("r", job)),
            "s": psi.sender(sizes, Pair(SECRET, job, "s", "r"), late("s"), entropy("s", job)),
        }
        run(machines, count)
        assert asked == {name: sent[name] - 1 for name in ("r", "s")}


def test_parties_of_other_parameters_cannot_open_each_others_frames() -> None:
    """They would find an empty intersection, and believe it."""
    machines = {
        "r": psi.receiver(
            psi.Sizes(4, 4, False),
            Pair(SECRET, b"j", "r", "s"),
            lambda: keys([1]),
            entropy("r", b"j"),
        ),
        "s": psi.sender(
            psi.Sizes(4, 5, False),
            Pair(SECRET, b"j", "s", "r"),
            lambda: keys([1]),
            entropy("s", b"j"),
        ),
    }
    with pytest.raises(TrustError, match="SB-3045"):
        run(machines)
