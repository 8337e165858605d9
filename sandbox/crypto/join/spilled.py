"""Tags of a join's members on disk, matched one bucket at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sandbox import _native
from sandbox.crypto.join.buckets import buckets_for, cut
from sandbox.crypto.join.machine import Entropy
from sandbox.crypto.join.shape import TAG_BYTES
from sandbox.scratch import Scratch

SEED_BYTES = 32
MOST_BUCKETS = 64
"""A file for each member of each is open at a time."""
PLACED = np.dtype([("tag", f"V{TAG_BYTES}"), ("place", "<u4")])
"""A tag and its place in the order in which its member sent it."""


class SpilledTags:
    """All tags of a join's members in files, by bucket; matching them takes the memory of one bucket
    beside 8 bytes for each tag.

    padded: how many each member sends.
    """

    def __init__(self, padded: Sequence[int], of_bucket: int, scratch: Scratch) -> None:
        self._padded = padded
        self._buckets = min(buckets_for(sum(padded), of_bucket), MOST_BUCKETS)
        self._most = [_native.bucket_keys(tags, self._buckets) for tags in padded]
        self._files = [[scratch() for _ in padded] for _ in range(self._buckets)]

    def add(self, member: int, first: int, tags: memoryview) -> None:
        """Write down tags of a member (by its place) that it sent as its `first` and following ones."""
        order, parts = cut(tags, self._buckets)
        spilled = np.empty(len(order), PLACED)
        spilled["tag"] = np.frombuffer(tags, PLACED["tag"])[order]
        spilled["place"] = order + first
        for files, part in zip(self._files, parts, strict=True):
            files[member].write(spilled[part].tobytes())

    def slots(self, entropy: Entropy) -> list[NDArray[np.uint32]]:
        """Return each member's slots, in the order of its tags, as match_tags of all of them would;
        nothing is left of the files.

        A bucket's own slots, which no tag influences, choose among its stretch of a permutation of all.
        Raises PeerError for a tag that a member repeats, or for more tags in a bucket than pseudorandom
        ones ever are: no bucket takes more memory than that.
        """
        order = _native.permutation(entropy(SEED_BYTES), sum(self._padded))
        pi, first = np.frombuffer(memoryview(order), np.uint32), 0
        slots = [np.empty(tags, np.uint32) for tags in self._padded]
        for spilled in self._read():
            tags = [each["tag"].tobytes() for each in spilled]
            last = first + sum(len(each) for each in spilled)
            numbers = _native.match_tags(tags, entropy(SEED_BYTES))
            for own, each, number in zip(slots, spilled, numbers, strict=True):
                own[each["place"]] = pi[first:last][np.frombuffer(memoryview(number), np.uint32)]
            first = last
        return slots

    def _read(self) -> Iterator[list[NDArray[np.void]]]:
        """Yield each bucket's tags, member by member."""
        while self._files:
            found = []
            for file, most in zip(self._files.pop(0), self._most, strict=True):
                with file:
                    if file.tell() > most * PLACED.itemsize:
                        raise _native.PeerError("a bucket")
                    file.seek(0)
                    found.append(np.frombuffer(file.read(), PLACED))
            yield found
