"""Attack j14: frames that nobody asked for, at a worker."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from nodes import join_worker
from sandbox.disposable import message

PATIENCE_S = 10.0


@pytest.mark.parametrize("size", [0, 1000])
def test_attack_j14_peer_that_sends_more_than_the_protocol_leaves_unread_ends_the_worker(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by frames without a byte in them, of which a list takes memory all the same."""
    monkeypatch.setattr(join_worker, "UNREAD_BYTES", 1 << 20)
    here, there = socket.socketpair()
    with here, there:
        child = os.fork()
        if child == 0:
            here.close()
            join_worker.Wire(there)
            time.sleep(2 * PATIENCE_S)
            os._exit(0)
        there.close()
        here.settimeout(PATIENCE_S)
        flood = message({"party": "peer"}, bytes(size)) * 100
        try:
            for _ in range(100):
                here.sendall(flood)
        except OSError:
            pass  # It is gone, as it should be.
        until = time.monotonic() + PATIENCE_S
        while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < until:
            time.sleep(0.05)
        if not ended[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert ended[0]
    assert os.waitstatus_to_exitcode(ended[1]) == 1
