"""Attacks j14, j16: frames that nobody asked for, at a worker."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from nodes import join_worker
from sandbox.disposable import message

PATIENCE_S = 10.0


def status_after(flood: bytes) -> int | None:
    """Return the exit status of a worker, with one peer, that is sent `flood` again and again; None if
    it bears it."""
    here, there = socket.socketpair()
    with here, there:
        child = os.fork()
        if child == 0:
            here.close()
            join_worker.Wire(there, ["peer"])
            time.sleep(2 * PATIENCE_S)
            os._exit(0)
        there.close()
        here.settimeout(PATIENCE_S)
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
    return os.waitstatus_to_exitcode(ended[1]) if ended[0] else None


@pytest.mark.parametrize("size", [0, 1000])
def test_attack_j14_peer_that_sends_more_than_the_protocol_leaves_unread_ends_the_worker(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by frames without a byte in them, of which a list takes memory all the same."""
    monkeypatch.setattr(join_worker, "UNREAD_BYTES", 1 << 20)
    assert status_after(message({"party": "peer"}, bytes(size)) * 100) == 1


def test_attack_j16_coordinator_that_makes_up_parties_with_long_names_ends_the_worker() -> None:
    """Their frames can be empty: names alone would take memory, and no limit counts them."""
    assert status_after(message({"party": "x" * 100_000})) == 1
