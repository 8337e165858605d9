"""What two providers say to each other through a coordinator that can only relay it.

The key schedule hangs on the roster of a job: both signed it, it names job and attempt and holds each
one's one-time X25519 key, and each signed it only because his owner pinned the other. Every direction
and phase has its own key; a frame's nonce is its place in the stream, so that a frame that was
altered, repeated, dropped or moved does not open.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.crypto.join.machine import FRAME_BYTES, Machine, Receive, Send, frames
from sandbox.crypto.prg import derive_key
from sandbox.errors import ProtocolError, TrustError

TAG_BYTES = 16
SEED_BYTES = 16
PROTOCOL = b"join/1"


class Pair:
    """Everything that two members of a roster derive from their agreement.

    secret: the X25519 agreement of their one-time keys. transcript: digests of job and signed roster.
    """

    def __init__(self, secret: bytes, transcript: bytes, own: str, peer: str) -> None:
        self._secret = secret
        self.transcript = transcript
        self._own = own
        self.peer = peer
        self._opened: set[str] = set()

    def key(self, purpose: str) -> bytes:
        """Return 32 bytes that both members, and nobody else, have for `purpose`."""
        both = sorted((self._own.encode(), self.peer.encode()))
        return derive_key(self._secret, self.transcript, PROTOCOL, purpose.encode(), *both)

    def seed(self, purpose: str) -> bytes:
        """Return a common seed of 16 bytes, once: two masks of one seed would cancel each other."""
        self._open(purpose)
        return self.key(purpose)[:SEED_BYTES]

    def stream(self, phase: str) -> Stream:
        """Return the sealed streams of one phase, once: a second one would repeat nonces."""
        self._open(phase)
        return Stream(self.peer, self._directed(phase, outgoing=True), self._directed(phase))

    def _open(self, label: str) -> None:
        if label in self._opened:
            raise ValueError(f"{label} has been opened before")
        self._opened.add(label)

    def _directed(self, phase: str, *, outgoing: bool = False) -> bytes:
        way = (self._own, self.peer) if outgoing else (self.peer, self._own)
        labels = [name.encode() for name in way]
        return derive_key(self._secret, self.transcript, PROTOCOL, b"seal", phase.encode(), *labels)


class Stream:
    """One phase between two members: AES-256-GCM under one key a direction, counter nonces."""

    def __init__(self, peer: str, sending: bytes, receiving: bytes) -> None:
        self.peer = peer
        self._sending, self._receiving = AESGCM(sending), AESGCM(receiving)
        self._sent = self._received = 0

    def send(self, payload: bytes | memoryview) -> Machine[None]:
        """Seal and send a payload of a length that both sides know."""
        for frame in frames(payload):
            sealed = self._sending.encrypt(_nonce(self._sent), frame, None)
            self._sent += 1
            yield Send(self.peer, sealed)

    def receive(self, length: int) -> Machine[memoryview]:
        """Return the next `length` bytes; raises TrustError SB-3045 for a frame that does not open, and
        ProtocolError SB-4010 for frames that do not add up to it."""
        # Before anything comes: first touches of so much memory take a while, in which the peer works.
        whole = memoryview(bytearray(length))
        missing = length
        while missing:
            missing -= yield from self._open(whole[length - missing :])
        return whole.toreadonly()

    def receive_each(self, length: int, take: Callable[[memoryview], None]) -> Machine[None]:
        """Hand each piece of the next `length` bytes to `take`, which may not keep it; raises as
        `receive`."""
        room = memoryview(bytearray(min(length, FRAME_BYTES)))
        missing = length
        while missing:
            size = yield from self._open(room[: min(missing, FRAME_BYTES)])
            take(room[:size].toreadonly())
            missing -= size

    def _open(self, room: memoryview) -> Machine[int]:
        """Open the next frame at the start of `room`; return how long it is."""
        sealed = yield Receive(self.peer)
        size = len(sealed) - TAG_BYTES
        if not 0 < size <= min(FRAME_BYTES, len(room)):
            raise ProtocolError("SB-4010", party=self.peer)
        try:
            self._receiving.decrypt_into(_nonce(self._received), sealed, None, room[:size])
        except InvalidTag as error:
            raise TrustError("SB-3045", party=self.peer) from error
        self._received += 1
        return size


def _nonce(place: int) -> bytes:
    return place.to_bytes(12, "big")
