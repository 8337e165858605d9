"""A wide area in user space, where the kernel lacks netem: `python -m benchmarks.delay RATE DELAY`.

Takes the packets that iptables gives to NFQUEUE 0 of its network and lets each go DELAY seconds after
its last byte has crossed a line of RATE bytes a second: in order, dropping none, until its input ends.
Speaks nfnetlink by hand (Linux, include/uapi/linux/netfilter/nfnetlink_queue.h); needs root's rights.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

NUMBER = 0
"""Of the queue; a network has 65,536 of its own."""
MTU = 1500
HEADERS = 52
"""Bytes of IPv4 and TCP with its time stamps."""

_NETFILTER = 12
_SUBSYSTEM = 3 << 8
_PACKET, _VERDICTS, _CONFIGURE = _SUBSYSTEM, _SUBSYSTEM | 3, _SUBSYSTEM | 2
_ERROR = 2
_ASK, _ASK_AND_ANSWER = 1, 5
_ID, _VERDICT, _SIZE = 1, 2, 13
_BIND, _COPY, _LONGEST, _MASK, _FLAGS = 1, 2, 3, 4, 5
_WHOLE_BUNDLES = 4
_ACCEPT = 1
_HEAD = struct.Struct("=IHHII4x")
"""nlmsghdr and nfgenmsg."""
_ATTRIBUTE = struct.Struct("=HH")

_FORCED_BUFFER = 33
_BUFFER_BYTES = 64 << 20
_MOST_PACKETS = 1_000_000
_AT_ONCE = 64


@dataclass
class Line:
    """A line of `rate` bytes a second that `delay_s` lengthens; all share it."""

    rate: float
    delay_s: float
    free_s: float = 0.0

    def leaves(self, now_s: float, size: int) -> float:
        """Return when a packet that came now comes out; size: bytes."""
        self.free_s = max(self.free_s, now_s) + size / self.rate
        return self.free_s + self.delay_s


def on_the_wire(size: int) -> int:
    """Return the bytes that a packet of `size` is on a line: TCP hands the loopback several in one
    bundle, which a card would cut into packets of at most MTU bytes, each with HEADERS."""
    more = max(0, -(-(size - HEADERS) // (MTU - HEADERS)) - 1)
    return size + more * HEADERS


def main() -> None:
    """Print "ready", then delay."""
    rate, delay_s = (float(each) for each in sys.argv[1:])
    # The delay should be of the line and not of a wait for a core.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as packets:
        # A packet whose notice finds no room would be dropped.
        packets.setsockopt(socket.SOL_SOCKET, _FORCED_BUFFER, _BUFFER_BYTES)
        packets.bind((0, 0))
        _bind(packets)
        print("ready", flush=True)
        _delay(packets, Line(rate, delay_s))


def _bind(packets: socket.socket) -> None:
    """Take the queue; raises OSError where the kernel refuses."""
    settings: tuple[dict[int, bytes], ...] = (
        {_BIND: struct.pack(">BxH", 1, 0)},
        # Of each packet one byte: the kernel then says how long the whole one is.
        {_COPY: struct.pack(">IB", 1, 2)},
        {_LONGEST: struct.pack(">I", _MOST_PACKETS)},
        {_FLAGS: struct.pack(">I", _WHOLE_BUNDLES), _MASK: struct.pack(">I", _WHOLE_BUNDLES)},
    )
    for setting in settings:
        packets.send(_message(_CONFIGURE, _ASK_AND_ANSWER, setting))
        list(_arrived(packets.recv(1 << 16)))


def _delay(packets: socket.socket, line: Line) -> None:
    waiting: deque[tuple[float, int]] = deque()
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        ready, _, _ = select.select([packets, sys.stdin], [], [], pause)
        if sys.stdin in ready:
            return
        if packets in ready:
            for identifier, size in _received(packets):
                waiting.append((line.leaves(time.monotonic(), on_the_wire(size)), identifier))
        now, last = time.monotonic(), None
        while waiting and waiting[0][0] <= now:
            last = waiting.popleft()[1]
        if last is not None:
            verdict = {_VERDICT: struct.pack(">II", _ACCEPT, last)}
            packets.send(_message(_VERDICTS, _ASK, verdict))


def _received(packets: socket.socket) -> Iterator[tuple[int, int]]:
    """Yield (id, bytes) of packets that are there; not all at once, since others are due meanwhile."""
    for _ in range(_AT_ONCE):
        try:
            messages = packets.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        yield from _arrived(messages)


def _arrived(messages: bytes) -> Iterator[tuple[int, int]]:
    """Yield (id, bytes) of each packet; raises OSError for a message that says what failed."""
    at = 0
    while at < len(messages):
        length, kind, *_ = _HEAD.unpack_from(messages, at)
        if kind == _ERROR:
            (code,) = struct.unpack_from("=i", messages, at + 16)
            if code != 0:
                raise OSError(-code, os.strerror(-code))
        elif kind == _PACKET:
            found = dict(_attributes(messages[at + _HEAD.size : at + length]))
            yield struct.unpack_from(">I", found[_ID])[0], struct.unpack(">I", found[_SIZE])[0]
        at += _padded(length)


def _attributes(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(content):
        length, kind = _ATTRIBUTE.unpack_from(content, at)
        yield kind, content[at + _ATTRIBUTE.size : at + length]
        at += _padded(length)


def _message(kind: int, flags: int, attributes: dict[int, bytes]) -> bytes:
    content = b"".join(
        _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), name)
        + value.ljust(_padded(len(value)), b"\0")
        for name, value in attributes.items()
    )
    return _HEAD.pack(_HEAD.size + len(content), kind, flags, 0, 0) + content


def _padded(length: int) -> int:
    return length + -length % 4


if __name__ == "__main__":
    main()
