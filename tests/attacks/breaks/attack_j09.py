"""Break j09: a peer is told which of its messages failed."""

from __future__ import annotations

from collections.abc import Callable

from sandbox import _native
from sandbox.crypto.join import psi
from sandbox.crypto.join.channel import Stream
from sandbox.errors import TrustError


def apply() -> None:
    def telling(stream: Stream, step: Callable[[], psi.T]) -> psi.T:
        try:
            return step()
        except _native.PeerError as error:
            raise TrustError("SB-3047", party=stream.peer, step=repr(step)) from error

    psi._checked = telling
