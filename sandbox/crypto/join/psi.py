"""Private set intersection of two providers (JOIN.md, `psi`): RR22 over sealed frames, no helper.

The receiver learns which of its own keys the sender has; the sender, like whoever relays, learns the
padded sizes alone. The kernels hold every secret and make every message; their lengths follow from the
sizes. Keys come late: a party asks for its own once all that does not depend on them has been sent, so
that rows are read while the peer works, and no message before shows how long reading takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox import _native
from sandbox.crypto.join.channel import Pair, Stream
from sandbox.crypto.join.machine import Entropy, Machine
from sandbox.errors import TrustError

SECRET_BYTES = 32
Keys = Callable[[], memoryview]
"""Returns a party's keys: distinct, 16 bytes each, at most what its set is padded to. Whoever gives
them waits, before it returns, until it no longer shows how long they took to make."""


@dataclass(frozen=True)
class Sizes:
    """What each side's set is padded to, and whether the peer may depart from the protocol."""

    receiver: int
    sender: int
    malicious: bool

    @property
    def phase(self) -> str:
        """The phase whose streams carry the messages: parties of other parameters cannot open them."""
        digest = _native.psi_digest(self.receiver, self.sender, malicious=self.malicious)
        return f"psi {bytes(memoryview(digest)).hex()}"


def receiver(sizes: Sizes, pair: Pair, keys: Keys, entropy: Entropy) -> Machine[NDArray[np.uint32]]:
    """Return the indices of the keys that the sender has, in no order that says anything of it.

    Raises TrustError SB-3047 for a peer that departs from the protocol, SB-3045 and ProtocolError
    SB-4010 as streams do.
    """
    party = _native.PsiReceiver(
        sizes.receiver,
        sizes.sender,
        pair.key("psi"),
        entropy(SECRET_BYTES),
        malicious=sizes.malicious,
    )
    yield from _converse(party, pair.stream(sizes.phase), keys)
    return np.frombuffer(memoryview(party.matches()), np.uint32)


def sender(sizes: Sizes, pair: Pair, keys: Keys, entropy: Entropy) -> Machine[None]:
    """Let the peer learn which of its keys are among `keys`."""
    party, offer = _native.PsiSender.start(
        sizes.receiver,
        sizes.sender,
        pair.key("psi"),
        entropy(SECRET_BYTES),
        malicious=sizes.malicious,
    )
    stream = pair.stream(sizes.phase)
    yield from stream.send(memoryview(offer))
    yield from _converse(party, stream, keys)


def _converse(
    party: _native.PsiReceiver | _native.PsiSender, stream: Stream, keys: Keys
) -> Machine[None]:
    """Exchange messages in turn until the party awaits no more."""
    while (length := party.awaits()) is not None:
        if party.wants_keys():
            party.take_keys(keys())
        message = yield from stream.receive(length)
        try:
            reply = party.advance(message)
        except _native.PeerError as error:
            # One word for every departure: which check failed would be an oracle.
            raise TrustError("SB-3047", party=stream.peer) from error
        yield from stream.send(memoryview(reply))
        if isinstance(party, _native.PsiReceiver):
            party.catch_up()
