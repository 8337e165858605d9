"""Private set intersection of two providers (JOIN.md, `psi`): RR22 over sealed frames, no helper.

The receiver learns which of its own keys the sender has; the sender, like whoever relays, learns the
padded sizes alone. The kernels hold every secret and make every message; their lengths follow from the
sizes. Keys come late: a party asks for its own once all that does not depend on them has been sent, so
that rows are read while the peer works, and no message before shows how long reading takes.

Sets of more than BUCKET_KEYS are cut into buckets by their keys' leading bits (buckets.py), each an
intersection of its own, one after the other: what the kernels hold does not grow with the sets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sandbox import _native
from sandbox.crypto.join.buckets import buckets_for
from sandbox.crypto.join.channel import Pair, Stream
from sandbox.crypto.join.machine import Entropy, Machine
from sandbox.errors import TrustError

SECRET_BYTES = 32
T = TypeVar("T")
BUCKET_KEYS = 1 << 22
"""Of either set, in one bucket, about: the kernels take some 250 bytes for each key of a bucket."""
Keys = Callable[[], memoryview]
"""Returns a party's keys of one bucket: distinct, 16 bytes each, at most what it is padded to. Whoever
gives them waits, before it returns, until it no longer shows how long they took to make."""


@dataclass(frozen=True)
class Sizes:
    """What each side's set is padded to, and whether the peer may depart from the protocol.

    bucket_keys: what a bucket has about, of the larger set.
    """

    receiver: int
    sender: int
    malicious: bool
    bucket_keys: int = BUCKET_KEYS

    @property
    def buckets(self) -> int:
        """How many buckets the sets are cut into: the least power of two that is enough."""
        return buckets_for(max(self.receiver, self.sender), self.bucket_keys)

    @property
    def of_bucket(self) -> tuple[int, int]:
        """What either side's part of a bucket is padded to, receiver's first. That any bucket of either
        side has more, of pseudorandom keys, has probability 2^-40 at most."""
        return (
            _native.bucket_keys(self.receiver, self.buckets),
            _native.bucket_keys(self.sender, self.buckets),
        )

    def phase(self, bucket: int) -> str:
        """The phase whose streams carry a bucket's messages: parties of other parameters cannot open
        them."""
        digest = _native.psi_digest(*self.of_bucket, malicious=self.malicious, buckets=self.buckets)
        return f"psi {bytes(memoryview(digest)).hex()} {bucket}"


@dataclass(frozen=True)
class Compared:
    """What is left to be compared once all messages of a bucket have come: of the receiver's keys 16
    bytes each, of the sender's the first `width` of them, in no order that says anything of it."""

    own: memoryview
    theirs: memoryview
    width: int

    def matches(self) -> NDArray[np.bool_]:
        """Return for each key whether the sender has it."""
        found = _native.psi_matches(self.own, self.theirs, self.width)
        return np.frombuffer(memoryview(found), np.bool_)


def receiver(
    sizes: Sizes, bucket: int, pair: Pair, keys: Keys, entropy: Entropy
) -> Machine[Compared]:
    """Run one bucket's intersection; how long the comparison takes tells how many keys match, so that
    it is left to whoever has no message to send any more.

    Raises TrustError SB-3047 for a peer that departs from the protocol, SB-3045 and ProtocolError
    SB-4010 as streams do.
    """
    own, theirs = sizes.of_bucket
    party = _native.PsiReceiver(
        own,
        theirs,
        _session(pair, bucket),
        entropy(SECRET_BYTES),
        malicious=sizes.malicious,
        buckets=sizes.buckets,
    )
    stream, last = pair.stream(sizes.phase(bucket)), memoryview(b"")
    while (length := party.awaits()) is not None:
        if party.wants_keys():
            party.take_keys(keys())
        last = yield from stream.receive(length)
        _checked(stream, partial(party.take, last))
        # Part by part, so that the sender works on one while the next is made.
        while (part := party.next_part()) is not None:
            yield from stream.send(memoryview(part))
        party.catch_up()
    values = last[: theirs * party.value_bytes]
    return Compared(memoryview(party.take_values()), values, party.value_bytes)


def sender(sizes: Sizes, bucket: int, pair: Pair, keys: Keys, entropy: Entropy) -> Machine[None]:
    """Let the peer learn which of its keys of a bucket are among `keys`."""
    party, offer = _native.PsiSender.start(
        *sizes.of_bucket,
        _session(pair, bucket),
        entropy(SECRET_BYTES),
        malicious=sizes.malicious,
        buckets=sizes.buckets,
    )
    stream = pair.stream(sizes.phase(bucket))
    yield from stream.send(memoryview(offer))
    while (length := party.awaits()) is not None:
        if party.wants_keys():
            party.take_keys(keys())
        message = memoryview(b"")
        if party.absorbs():
            yield from stream.receive_each(length, partial(_absorb, party, stream))
        else:
            message = yield from stream.receive(length)
        reply = _checked(stream, partial(party.advance, message))
        yield from stream.send(memoryview(reply))


def _session(pair: Pair, bucket: int) -> bytes:
    return pair.key(f"psi {bucket}")


def _absorb(party: _native.PsiSender, stream: Stream, piece: memoryview) -> None:
    _checked(stream, partial(party.absorb, piece))


def _checked(stream: Stream, step: Callable[[], T]) -> T:
    """Return what a step returns; raises TrustError SB-3047 for a peer that departs."""
    try:
        return step()
    except _native.PeerError as error:
        # One word for every departure: which check failed would be an oracle.
        raise TrustError("SB-3047", party=stream.peer) from error
