"""Single-use workers forked from a warm server that never sees data: the server's side.

A program (`python -m PROGRAM … FD COUNT`) imports what its work needs and calls `run`, which keeps
COUNT forked children standing by. A child takes one request (a socket passed over FD), serves it and
exits, so no request meets the memory of another. The server starts no thread: only so is fork safe.
Messages are a length, a JSON header and raw bytes; nothing is ever unpickled. warm_server.py is the
daemon's side.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from sandbox.errors import SandboxError

READY, TAKEN = b"R", b"T"
MOST_BYTES = 1 << 30
DAEMON_GONE = 7
REST_S = 0.1
"""Between the end of a child and the start of its successor."""
_LENGTHS = struct.Struct(">II")

Header = dict[str, Any]
Handler = Callable[[Header, bytes], tuple[Header, bytes]]
Talker = Callable[[Header, bytes, socket.socket], tuple[Header, bytes]]
"""Serves a request on whose socket it goes on talking with the daemon, and watches it by that."""


def message(header: Mapping[str, Any], part: bytes = b"") -> bytes:
    """Return one message: length of header and part (4 bytes each, big-endian), then both."""
    return preamble(header, len(part)) + part


def preamble(header: Mapping[str, Any], part_bytes: int) -> bytes:
    """Return what goes before a part of so many bytes, so that a long one need not be copied."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(head), part_bytes) + head


def lengths(prefix: bytes) -> tuple[int, int]:
    """Return the lengths of header and part; raises ValueError above MOST_BYTES."""
    head, part = _LENGTHS.unpack(prefix)
    if head + part > MOST_BYTES:
        raise ValueError("message too long")
    return head, part


PREFIX_BYTES = _LENGTHS.size


def parse_header(head: bytes) -> Header:
    """Return a message's header; raises ValueError if it is no JSON object."""
    header = json.loads(head)
    if not isinstance(header, dict):
        raise ValueError("no object")
    return header


def receive(peer: socket.socket) -> tuple[Header, bytes]:
    """Read one message; raises EOFError when the peer is gone."""
    head, part = lengths(_exactly(peer, PREFIX_BYTES))
    return parse_header(_exactly(peer, head)), _exactly(peer, part)


def _exactly(peer: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        # All at once as a rule; a signal may cut it short.
        piece = peer.recv(count - len(received), socket.MSG_WAITALL)
        if not piece:
            raise EOFError
        received = received + piece if received else piece
    return received


def in_a_child(ask: Callable[[], Header]) -> Header:
    """Return what `ask` answers in a forked child: SEAL starts threads, which would end forking."""
    here, there = socket.socketpair()
    with here, there:
        child = os.fork()
        if child == 0:
            try:
                there.sendall(message(ask()))
            finally:
                os._exit(0)
        there.close()
        answer, _ = receive(here)
        os.waitpid(child, 0)
    return answer


def watched(handler: Handler) -> Talker:
    """Return a handler that ends with the daemon, even in the middle of its work."""

    def talk(request: Header, part: bytes, peer: socket.socket) -> tuple[Header, bytes]:
        threading.Thread(target=_die_with, args=(peer,), daemon=True).start()
        return handler(request, part)

    return talk


def _die_with(peer: socket.socket) -> None:
    peer.recv(1)
    os._exit(1)


def stand_by(prepare: Callable[[], Talker], tray: socket.socket) -> int:
    """Prepare, serve one request from the tray; returns the exit status.

    A failure is answered as {"failed": its class}; a SandboxError adds its code and facts.
    """
    talker = prepare()
    _, passed, _, _ = socket.recv_fds(tray, 1, 1)
    tray.close()
    if not passed:
        return DAEMON_GONE
    peer = socket.socket(fileno=passed[0])
    peer.sendall(TAKEN)
    request, part = receive(peer)
    confine(request["deadline_s"], request["memory_bytes"])
    try:
        answer, result = talker(request, part, peer)
    except BaseException as failure:
        # The message of a failure can hold what it failed on, a cell's value: only its class leaves.
        answer, result = {"failed": type(failure).__name__}, b""
        if isinstance(failure, SandboxError):
            answer |= {"code": failure.code, "facts": failure.facts}
    peer.sendall(message(answer, result))
    return 0


def confine(deadline_s: float, memory_bytes: int) -> None:
    """Let the kernel end this process at its deadline and bound its memory (Linux)."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, deadline_s)
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as statm:
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
        most = mapped + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def serve(prepare: Callable[[], Talker], tray: socket.socket, count: int) -> None:
    """Keep `count` children alive until the daemon is gone."""
    children: set[int] = set()
    while True:
        while len(children) < count:
            child = os.fork()
            if child == 0:
                _child(prepare, tray)
            children.add(child)
        ended, status = os.wait()
        if os.waitstatus_to_exitcode(status) == DAEMON_GONE:
            return
        # The job in hand needs the processor more than a successor does, while others stand by; and
        # workers that die at once must not become a fork storm.
        time.sleep(REST_S)
        while ended:
            children.discard(ended)
            ended = os.waitpid(-1, os.WNOHANG)[0] if children else 0


def _child(prepare: Callable[[], Talker], tray: socket.socket) -> NoReturn:
    status = 1
    try:
        # A crash of native code may print what it held; the server's log must not have it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        status = stand_by(prepare, tray)
    finally:
        os._exit(status)


def run(imports: Callable[[], None], prepare: Callable[[], Talker]) -> None:
    """Import, say READY on the tray, stand by. prepare: what each child does before it has a request."""
    descriptor, count = map(int, sys.argv[-2:])
    # A core file would keep what a child held on disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tray = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    imports()
    # A collection in a child would write into every page that it shares with this process.
    gc.freeze()
    tray.sendall(READY)
    serve(prepare, tray, count)
