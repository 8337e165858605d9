"""A loopback of this benchmark's own: its bytes are countable, and it can be made slow (Linux, root)."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

RATE = "100mbit"
DELAY = "20ms"
QUEUE = "100000"
"""Packets: more than 20 ms hold, so that none is dropped."""
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET; os.unshare is there from Python 3.12 on."""


class NoNetwork(Exception):
    """This machine cannot give what was asked for; says why."""


def enter() -> bool:
    """Move this process, and all it starts from now on, into a network of its own, if it may.

    Before any thread is started. Returns False where only root's rights or `ip` are missing.
    """
    command = shutil.which("ip")
    if command is None or os.geteuid() != 0:
        return False
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK) != 0:
        return False
    subprocess.run([command, "link", "set", "lo", "up"], check=True)
    return True


def slow_down() -> None:
    """Make the loopback a wide area: DELAY each way, RATE for all parties together.

    A message that the coordinator relays crosses it twice. Raises NoNetwork where the kernel lacks
    netem or `tc` is missing.
    """
    command = shutil.which("tc")
    if command is None:
        raise NoNetwork("--network wan needs the command tc (package iproute2)")
    shape = ["netem", "delay", DELAY, "rate", RATE, "limit", QUEUE]
    done = subprocess.run(
        [command, "qdisc", "replace", "dev", "lo", "root", *shape],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[0] if done.stderr.strip() else "no reason given"
        raise NoNetwork(f"--network wan needs netem in the kernel (sch_netem): {reason}")


def loopback_bytes() -> int:
    """Return the bytes that crossed the loopback so far, headers of TCP and IP included."""
    for line in Path("/proc/self/net/dev").read_text("ascii").splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[8])
    raise NoNetwork("this network has no loopback")
