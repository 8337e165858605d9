"""`python -m tests.nodes.lingering FD COUNT`: workers that still write a file once hung up on."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from sandbox import disposable
from sandbox.disposable import Header

LINGERS_S = 0.5


def linger(request: Header, _: bytes, peer: socket.socket) -> tuple[Header, bytes]:
    """Write the file that the request names, long after the daemon has hung up; then end."""
    peer.sendall(disposable.message({"party": "started"}))
    peer.recv(1)
    time.sleep(LINGERS_S)
    Path(request["file"]).touch()
    os._exit(1)


if __name__ == "__main__":
    disposable.run(lambda: None, lambda: linger)
