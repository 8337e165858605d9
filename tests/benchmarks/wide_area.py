"""Measures the wide area of benchmarks/network.py with plain sockets, in a process of its own.

Prints what it found as JSON, or why this machine cannot make one.
"""

from __future__ import annotations

import json
import socket
import threading
import time

from benchmarks import network

ROUNDS = 10
LONG = 8_000_000


def main() -> None:
    """Measure rounds of one byte, then a long message."""
    found: dict[str, object]
    try:
        if not network.enter():
            raise network.NoNetwork("root's rights or the command ip are missing")
        with network.wide_area() as how, socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=_answer, args=(listener,), daemon=True).start()
            with socket.create_connection(listener.getsockname()) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                rounds = [_seconds(connection, 1) for _ in range(ROUNDS)]
                before = network.loopback_bytes()
                found = {"how": how, "rounds_s": rounds, "long_s": _seconds(connection, LONG)}
                found["long_bytes"] = network.loopback_bytes() - before
    except network.NoNetwork as error:
        found = {"missing": str(error)}
    print(json.dumps(found))


def _answer(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for length in [1] * ROUNDS + [LONG]:
        left = length
        while left:
            left -= len(connection.recv(min(left, 1 << 20)))
        connection.sendall(b"!")


def _seconds(connection: socket.socket, length: int) -> float:
    """Return the time from a message's first byte to its answer."""
    message = bytes(length)
    began = time.perf_counter()
    connection.sendall(message)
    connection.recv(1)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
