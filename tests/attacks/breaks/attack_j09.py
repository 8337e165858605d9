"""Break j09: a peer is told which of its messages failed."""

from __future__ import annotations

from sandbox import _native
from sandbox.crypto.join import psi
from sandbox.crypto.join.channel import Stream
from sandbox.crypto.join.machine import Machine
from sandbox.errors import TrustError


def apply() -> None:
    def telling(party: _native.PsiReceiver, stream: Stream, keys: psi.Keys) -> Machine[None]:
        while (length := party.awaits()) is not None:
            if party.wants_keys():
                party.take_keys(keys())
            message = yield from stream.receive(length)
            try:
                reply = party.advance(message)
            except _native.PeerError as error:
                raise TrustError("SB-3047", party=stream.peer, length=length) from error
            yield from stream.send(memoryview(reply))

    psi._converse = telling  # type: ignore[assignment]
