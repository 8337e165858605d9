"""A warm server that never sees data, and its single-use workers.

`python -m nodes.worker_main KIND FD COUNT` imports what the kind needs, then keeps COUNT forked
children standing by. A child takes one request (a socket passed over FD), serves it and exits, so
no request meets the memory of another. The server starts no thread: only so is fork safe. Messages
are a length, a JSON header and raw bytes; nothing is ever unpickled.
"""

from __future__ import annotations

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
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import asyncio

FRAGMENT, ENCRYPTION, JOIN = "fragment", "encryption", "join"
READY, TAKEN = b"R", b"T"
MOST_BYTES = 1 << 28
NODE_GONE = 7
REST_S = 0.1
"""Between the end of a child and the start of its successor."""
_LENGTHS = struct.Struct(">II")

Header = dict[str, Any]
Handler = Callable[[Header, bytes], tuple[Header, bytes]]
Joiner = Callable[[Header, bytes, socket.socket], tuple[Header, bytes]]
"""Handles a request that goes on talking with the node."""


def message(header: Mapping[str, Any], part: bytes = b"") -> bytes:
    """Return one message: length of header and part (4 bytes each, big-endian), then both."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(head), len(part)) + head + part


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


async def answered(reader: asyncio.StreamReader) -> tuple[Header, bytes]:
    """Read one message as the node does; raises EOFError when the worker is gone."""
    head, part = lengths(await reader.readexactly(PREFIX_BYTES))
    return parse_header(await reader.readexactly(head)), await reader.readexactly(part)


def _exactly(peer: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        piece = peer.recv(min(count - len(received), 1 << 20))
        if not piece:
            raise EOFError
        received += piece
    return bytes(received)


def fragments() -> Handler:
    """Open an empty DuckDB session; the handler runs one fragment in it, locked."""
    import duckdb

    from nodes import sources

    connection = duckdb.connect(":memory:")

    def run(request: Header, _: bytes) -> tuple[Header, bytes]:
        source = sources.from_document(request["source"])
        if not sources.unchanged(source):
            raise SourceChanged
        sources.open_locked(connection, source, request["columns"], request["settings"])
        rows = connection.execute(request["sql"]).fetchall()
        if not sources.unchanged(source):
            raise SourceChanged
        return {"rows": [[_plain(value) for value in row] for row in rows]}, b""

    return run


class SourceChanged(Exception):
    """A file is not the one that was registered."""


def _plain(value: Any) -> Any:
    """Return a cell number, an integer or a histogram's counts as JSON."""
    if isinstance(value, dict):
        return {int(bin_): int(count) for bin_, count in value.items() if bin_ is not None}
    return None if value is None else int(value)


def encryptions() -> Handler:
    """Return the handler that encrypts residues under a result key's public contexts."""
    import numpy as np

    from sandbox.crypto import he
    from sandbox.crypto.rings import ring_named

    def run(request: Header, part: bytes) -> tuple[Header, bytes]:
        ring, length = ring_named(request["ring"]), request["length"]
        contexts, residues = part[: request["contexts"]], part[request["contexts"] :]
        slots = np.frombuffer(residues, dtype="<u8").reshape(len(ring.plain_moduli), -1)
        return {}, he.encrypt_slots(contexts, ring, length, slots)

    return run


def joins() -> Joiner:
    """Open an empty DuckDB session; the joiner runs one side of a join with its rows."""
    import duckdb

    from nodes import join_worker

    return partial(join_worker.run, duckdb.connect(":memory:"))


def watched(handler: Handler) -> Joiner:
    """Return a handler that ends with the node, even in the middle of a query."""

    def run(request: Header, part: bytes, node: socket.socket) -> tuple[Header, bytes]:
        def end_with_node() -> None:
            node.recv(1)
            os._exit(1)

        threading.Thread(target=end_with_node, daemon=True).start()
        return handler(request, part)

    return run


def imports(kind: str) -> None:
    """Import and learn what a kind needs, so that children inherit it; starts no thread."""
    if kind == FRAGMENT:
        import duckdb  # noqa: F401
        import numpy as np  # noqa: F401

        import nodes.sources
    elif kind == JOIN:
        import nodes.join_worker  # noqa: F401
    else:
        # Left to children, both imports would be most of what a share's encryption costs.
        import pyarrow  # noqa: F401
        import tenseal  # noqa: F401

        from sandbox.crypto import he

        he.learn_parameters(_in_a_child(he.parameters_document))


def _in_a_child(ask: Callable[[], Header]) -> Header:
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


def stand_by(kind: str, tray: socket.socket) -> int:
    """Serve one request from the tray; returns the exit status."""
    makers = {
        FRAGMENT: lambda: watched(fragments()),
        ENCRYPTION: lambda: watched(encryptions()),
        JOIN: joins,
    }
    handler = makers[kind]()
    _, passed, _, _ = socket.recv_fds(tray, 1, 1)
    tray.close()
    if not passed:
        return NODE_GONE
    peer = socket.socket(fileno=passed[0])
    peer.sendall(TAKEN)
    request, part = receive(peer)
    confine(request["deadline_s"], request["memory_bytes"])
    try:
        answer, ciphertext = handler(request, part, peer)
    except BaseException as failure:
        # The message of a DuckDB error can print cell values: only its class leaves.
        peer.sendall(message({"failed": type(failure).__name__}))
        return 0
    peer.sendall(message(answer, ciphertext))
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


def serve(kind: str, tray: socket.socket, count: int) -> None:
    """Keep `count` children alive until the node is gone."""
    children: set[int] = set()
    while True:
        while len(children) < count:
            child = os.fork()
            if child == 0:
                _child(kind, tray)
            children.add(child)
        ended, status = os.wait()
        if os.waitstatus_to_exitcode(status) == NODE_GONE:
            return
        # The job in hand needs the processor more than a successor does, while others stand by; and
        # workers that die at once must not become a fork storm.
        time.sleep(REST_S)
        while ended:
            children.discard(ended)
            ended = os.waitpid(-1, os.WNOHANG)[0] if children else 0


def _child(kind: str, tray: socket.socket) -> NoReturn:
    status = 1
    try:
        # A crash of native code may print what it held; the server's log must not have it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        status = stand_by(kind, tray)
    finally:
        os._exit(status)


def main() -> None:
    """Import, say READY on the tray, stand by."""
    kind, descriptor, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    # A core file would keep rows on disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tray = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    imports(kind)
    tray.sendall(READY)
    serve(kind, tray, count)


if __name__ == "__main__":
    main()
