"""`psi`: what the receiver learns, and what stands in the middle cannot."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from fractions import Fraction
from math import comb, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import _native
from sandbox.crypto.join import psi
from sandbox.crypto.join.buckets import cut
from sandbox.crypto.join.channel import Pair
from sandbox.crypto.join.machine import Machine
from sandbox.errors import TrustError
from tests.crypto.join.memory import Wiretap, replied, run

SECRET = bytes(range(32))


def keys(numbers: list[int]) -> memoryview:
    digests = [hashlib.blake2b(str(n).encode(), digest_size=16).digest() for n in numbers]
    return memoryview(b"".join(digests))


def entropy(name: str, job: bytes) -> psi.Entropy:
    drawn = iter(range(1 << 30))
    return lambda n: hashlib.shake_256(name.encode() + job + bytes([next(drawn)])).digest(n)


def by_bucket(numbers: list[int], sizes: psi.Sizes) -> list[list[int]]:
    order, parts = cut(keys(numbers), sizes.buckets)
    return [[numbers[place] for place in order[part]] for part in parts]


def receiving(
    ours: list[int], sizes: psi.Sizes, pair: Pair, drawn: psi.Entropy
) -> Machine[list[int]]:
    """Return whose keys match, bucket by bucket."""
    found = []
    for bucket, own in enumerate(by_bucket(ours, sizes)):
        compared = yield from psi.receiver(sizes, bucket, pair, lambda own=own: keys(own), drawn)  # type: ignore[misc]
        found += [key for key, there in zip(own, compared.matches(), strict=False) if there]
    return found


def sending(theirs: list[int], sizes: psi.Sizes, pair: Pair, drawn: psi.Entropy) -> Machine[None]:
    for bucket, own in enumerate(by_bucket(theirs, sizes)):
        yield from psi.sender(sizes, bucket, pair, lambda own=own: keys(own), drawn)  # type: ignore[misc]


def intersect(
    ours: list[int],
    theirs: list[int],
    sizes: psi.Sizes,
    wiretap: Wiretap | None = None,
    job: bytes = b"job and roster",
    sizes_of_sender: psi.Sizes | None = None,
) -> set[int]:
    machines: dict[str, Machine[object]] = {
        "r": receiving(ours, sizes, Pair(SECRET, job, "r", "s"), entropy("r", job)),
        "s": sending(
            theirs, sizes_of_sender or sizes, Pair(SECRET, job, "s", "r"), entropy("s", job)
        ),
    }
    found = run(machines, wiretap)["r"]
    assert len(found) == len(set(found))
    return set(found)


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


@settings(max_examples=15, deadline=None)
@given(
    st.sets(st.integers(0, 300), max_size=200),
    st.sets(st.integers(0, 300), max_size=200),
    st.booleans(),
    st.sampled_from([17, 60, 100]),
)
def test_many_buckets_have_the_plain_intersection(
    ours: set[int], theirs: set[int], malicious: bool, bucket_keys: int
) -> None:
    sizes = psi.Sizes(200, 200, malicious, bucket_keys)
    assert sizes.buckets in {2, 4, 16}
    assert intersect(sorted(ours), sorted(theirs), sizes) == ours & theirs


@pytest.mark.parametrize(
    ("receiver", "sender", "of_bucket", "buckets"),
    [(1, 1, 4, 1), (4, 4, 4, 1), (5, 1, 4, 2), (1, 9, 4, 4), (64, 64, 4, 16), (65, 1, 4, 32)],
)
def test_buckets_follow_from_the_larger_size(
    receiver: int, sender: int, of_bucket: int, buckets: int
) -> None:
    assert psi.Sizes(receiver, sender, False, of_bucket).buckets == buckets


def test_what_fits_a_bucket_is_cut_into_none() -> None:
    sizes = psi.Sizes(psi.BUCKET_KEYS, 5, False)
    assert (sizes.buckets, sizes.of_bucket) == (1, (psi.BUCKET_KEYS, 5))


@pytest.mark.parametrize(("keys", "buckets"), [(40, 2), (500, 4), (1000, 16), (3000, 8), (20, 32)])
def test_a_bucket_is_padded_to_the_least_that_none_exceeds(keys: int, buckets: int) -> None:
    """Exactly: the union bound over buckets of a binomial tail is at most 2^-41 for either side."""
    sizes = psi.Sizes(keys, 1, False, -(-keys // buckets))
    assert sizes.buckets == buckets
    (most, _) = sizes.of_bucket

    def exceeded(load: int) -> Fraction:
        ways = [
            comb(keys, more) * (buckets - 1) ** (keys - more) for more in range(load + 1, keys + 1)
        ]
        return Fraction(buckets * sum(ways), buckets**keys)

    assert exceeded(most) <= Fraction(1, 2**41)
    assert exceeded(most - 1) > Fraction(1, 2**41)


def test_values_are_as_long_as_all_buckets_keys_need() -> None:
    """A false match in any bucket: the padded sets of all buckets count, not those of one."""
    assert psi.Sizes(1 << 26, 1 << 26, False).buckets == 16
    pair = Pair(SECRET, b"j", "r", "s")
    sizes = psi.Sizes(1 << 12, 1 << 12, False, 1 << 6)
    compared = run(
        {
            "r": psi.receiver(sizes, 0, pair, lambda: keys([1]), entropy("r", b"j")),
            "s": psi.sender(
                sizes, 0, Pair(SECRET, b"j", "s", "r"), lambda: keys([1]), entropy("s", b"j")
            ),
        }
    )["r"]
    padded = sizes.of_bucket[0] * sizes.buckets
    assert 8 * compared.width >= 40 + 2 * log2(padded)


def framed(ours: list[int], sizes: psi.Sizes, pair: Pair, size: int) -> Machine[list[int]]:
    """A receiver that cuts all that it says into frames of its own choice."""
    party = _native.PsiReceiver(
        *sizes.of_bucket, pair.key("psi 0"), entropy("r", b"framed")(32), malicious=False
    )
    stream, last = pair.stream(sizes.phase(0)), memoryview(b"")
    while (length := party.awaits()) is not None:
        if party.wants_keys():
            party.take_keys(keys(ours))
        last = yield from stream.receive(length)
        said = replied(party, last)
        for at in range(0, len(said), size):
            yield from stream.send(said[at : at + size])
    own = memoryview(party.take_values())
    found = psi.Compared(own, last, party.value_bytes).matches()
    return [key for key, there in zip(ours, found, strict=False) if there]


@pytest.mark.parametrize("size", [16, 48, 1600, 8, 17, 1592])
def test_sender_works_on_frames_of_whole_blocks_alone(size: int) -> None:
    sizes, job = psi.Sizes(40, 40, False), b"framed"
    machines: dict[str, Machine[object]] = {
        "r": framed([*range(40)], sizes, Pair(SECRET, job, "r", "s"), size),
        "s": sending([*range(30, 70)], sizes, Pair(SECRET, job, "s", "r"), entropy("s", job)),
    }
    if size % 16:
        with pytest.raises(TrustError, match="SB-3047"):
            run(machines)
    else:
        assert run(machines)["r"] == [*range(30, 40)]


def test_altered_frames_end_the_join_in_one_word() -> None:
    for altered in range(5):
        place = iter(range(100))

        def flip(source: str, to: str, frame: bytes, at: int = altered) -> bytes:
            return bytes([frame[0] ^ 1]) + frame[1:] if next(place) == at else frame  # noqa: B023

        with pytest.raises(TrustError, match="SB-3045"):
            intersect([1, 2, 3], [2, 3, 4], psi.Sizes(4, 4, True), flip)


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
            "r": psi.receiver(sizes, 0, Pair(SECRET, job, "r", "s"), late("r"), entropy("r", job)),
            "s": psi.sender(sizes, 0, Pair(SECRET, job, "s", "r"), late("s"), entropy("s", job)),
        }
        run(machines, count)
        assert asked == {name: sent[name] - 1 for name in ("r", "s")}


@pytest.mark.parametrize(
    "other", [psi.Sizes(4, 5, False), psi.Sizes(4, 4, False, 3), psi.Sizes(4, 4, False, 1)]
)
def test_parties_of_other_parameters_cannot_open_each_others_frames(other: psi.Sizes) -> None:
    """They would find an empty intersection, and believe it."""
    with pytest.raises(TrustError, match="SB-3045"):
        intersect([1], [1], psi.Sizes(4, 4, False), sizes_of_sender=other)
