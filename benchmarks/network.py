"""A loopback of this benchmark's own: its bytes are countable, and it can be made slow (Linux, root)."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.delay import MTU, NUMBER

CHECKOUT = Path(__file__).resolve().parent.parent
RATE_MBIT = 100
DELAY_MS = 20
_QUEUE = "100000"
"""Packets: more than DELAY_MS hold, so that none is dropped."""
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET; os.unshare is there from Python 3.12 on."""


class NoNetwork(Exception):
    """This machine cannot give what was asked for; says why."""


def enter() -> bool:
    """Move this process, and all it starts from now on, into a network of its own, if it may.

    Before any thread is started. Returns False where only root's rights or `ip` are missing.
    """
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK) != 0:
        return False
    _done("ip", "link", "set", "lo", "up")
    return True


@contextmanager
def wide_area() -> Iterator[str]:
    """Make the loopback a wide area within the block: DELAY_MS each way, RATE_MBIT for all parties
    together, packets as long as Ethernet's. Yields what it is and which means made it.

    A message that the coordinator relays crosses it twice. Raises NoNetwork where the kernel has neither
    netem nor a queue for user space, or where a packet was lost after all.
    """
    _done("ip", "link", "set", "lo", "mtu", str(MTU))
    what = f"wan ({RATE_MBIT} Mbit/s, {DELAY_MS} ms each way, {_congestion_control()}, by"
    reason = _without_netem()
    if reason is None:
        yield f"{what} netem)"
    else:
        with _queue(reason):
            yield f"{what} a queue in user space)"


def _without_netem() -> str | None:
    """Return why the kernel's own delay cannot be had, None where it now delays."""
    shape = ("netem", "delay", f"{DELAY_MS}ms", "rate", f"{RATE_MBIT}mbit", "limit", _QUEUE)
    try:
        _done("tc", "qdisc", "replace", "dev", "lo", "root", *shape)
    except NoNetwork as error:
        return str(error)
    return None


@contextmanager
def _queue(without_netem: str) -> Iterator[None]:
    """Delay packets by a process of our own.

    Where they arrive: until then they count as what their socket may have under way, and TCP sends no
    more. IPv6 would need a rule of its own, and loses its address instead.
    """
    _done("ip", "-6", "address", "flush", "dev", "lo")
    command = [sys.executable, "-m", "benchmarks.delay", str(RATE_MBIT * 125_000)]
    command.append(str(DELAY_MS / 1000))
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as queue:
        assert queue.stdout is not None
        if queue.stdout.readline().strip() != "ready":
            raise _neither(without_netem, queue.communicate()[1])
        rule = ("PREROUTING", "-i", "lo", "-j", "NFQUEUE", "--queue-num", str(NUMBER))
        try:
            _done("iptables", "--table", "raw", "--append", *rule)
        except NoNetwork as error:
            raise _neither(without_netem, str(error)) from None
        yield
        if queue.poll() is not None or _dropped():
            raise NoNetwork("the queue of --network wan lost packets: the figures would be wrong")


def _neither(without_netem: str, without_queue: str) -> NoNetwork:
    reason = without_queue.strip().splitlines()
    return NoNetwork(
        f"--network wan needs netem in the kernel (sch_netem) or its queues for user space "
        f"(xt_NFQUEUE, command iptables): {without_netem}; {reason[-1] if reason else 'no queue'}"
    )


def _dropped() -> int:
    """Return the packets that the queue could not take."""
    table = Path("/proc/self/net/netfilter/nfnetlink_queue").read_text("ascii")
    return sum(int(column) for line in table.splitlines() for column in line.split()[5:7])


def _congestion_control() -> str:
    return Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text("ascii").strip()


def _done(*command: str) -> None:
    """Run a command; raises NoNetwork with the first line of its complaint."""
    if shutil.which(command[0]) is None:
        raise NoNetwork(f"the command {command[0]} is missing")
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    if ran.returncode != 0:
        reason = ran.stderr.strip().splitlines()[0] if ran.stderr.strip() else "no reason given"
        raise NoNetwork(f"{command[0]}: {reason}")


def loopback_bytes() -> int:
    """Return the bytes that crossed the loopback so far, headers of TCP and IP included."""
    for line in Path("/proc/self/net/dev").read_text("ascii").splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[8])
    raise NoNetwork("this network has no loopback")
