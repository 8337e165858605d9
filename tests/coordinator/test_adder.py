"""Shares are added by workers that serve one job: what ends one ends that job, by name, and no other."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from sandbox import warm_server
from sandbox.coordinator.adder import Adder, Limits
from sandbox.crypto import he
from sandbox.crypto.he import ResultKey
from sandbox.crypto.rings import RINGS
from sandbox.errors import TrustError, Unavailable
from tests.crypto.shares import Attempt

T = TypeVar("T")


@pytest.fixture(scope="module")
def attempt(tmp_path_factory: pytest.TempPathFactory) -> Attempt:
    key = ResultKey.generate(tmp_path_factory.mktemp("adder") / "key")
    return Attempt(key, {name: [n, -n, 7] for n, name in enumerate("abc")})


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


@pytest.fixture(scope="module")
def adder(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adder]:
    made = Adder(tmp_path_factory.mktemp("coordinator"), Limits(deadline_s=20))
    runner.run(made.start())
    yield made
    runner.run(made.stop())


def limited(
    runner: asyncio.Runner, folder: Path, limits: Limits, act: Callable[[Adder], Awaitable[T]]
) -> T:
    async def run() -> T:
        adder = Adder(folder, limits)
        await adder.start()
        try:
            return await act(adder)
        finally:
            await adder.stop()

    return runner.run(run())


@pytest.mark.parametrize("ring", RINGS, ids=lambda ring: ring.name)
def test_sum_is_the_one_that_the_researcher_opens(
    adder: Adder, runner: asyncio.Runner, attempt: Attempt, ring: he.Ring
) -> None:
    same = Attempt(attempt.key, {name: [n, -n, 7] for n, name in enumerate("abc")}, ring=ring)
    shares = same.shares()
    assert same.open(runner.run(adder.add(shares))) == [3, -3, 21]


def test_shares_that_one_message_does_not_hold_are_added_in_parts(
    runner: asyncio.Runner, attempt: Attempt, tmp_path: Path
) -> None:
    shares = attempt.shares()
    two = Limits(message_bytes=len(shares[0]) + len(shares[1]) + 1000)
    summed = limited(runner, tmp_path, two, lambda adder: adder.add(shares))
    assert attempt.open(summed) == [3, -3, 21]


def test_share_that_is_none_is_refused_by_its_own_code(
    adder: Adder, runner: asyncio.Runner, attempt: Attempt
) -> None:
    shares = attempt.shares()
    other = Attempt(attempt.key, {name: [1, 2] for name in "abc"}).shares()
    for wrong in ([shares[0], other[1]], [shares[0], shares[1][:-100]]):
        with pytest.raises(TrustError) as here:
            he.add(wrong)
        with pytest.raises(TrustError) as there:
            runner.run(adder.add(wrong))
        assert (there.value.code, there.value.facts) == (here.value.code, here.value.facts)
    assert attempt.open(runner.run(adder.add(shares))) == [3, -3, 21]


def test_worker_out_of_memory_ends_its_job_and_the_next_is_served(
    runner: asyncio.Runner, attempt: Attempt, tmp_path: Path
) -> None:
    large = [attempt.shares()[0]] * 300

    async def act(adder: Adder) -> bytes:
        with pytest.raises(Unavailable, match="SB-5050"):
            await adder.add(large)
        adder._limits = Limits()
        return await adder.add(attempt.shares())

    tight = Limits(memory_bytes=-4 * sum(map(len, large)))
    assert attempt.open(limited(runner, tmp_path, tight, act)) == [3, -3, 21]


def workers() -> list[int]:
    """Every process that stands by or adds, of any adder of these tests."""
    pids = [int(pid) for pid in os.listdir("/proc") if pid.isdigit()]
    servers = {p for p in pids if parent(p) == os.getpid() and "adder_main" in command(p)}
    return [pid for pid in pids if parent(pid) in servers]


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    except OSError:
        return ""


linux = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")


async def signalled(adder: Adder, shares: list[bytes], number: signal.Signals) -> None:
    """Start to add and signal every worker once one has the shares."""
    adding = asyncio.create_task(adder.add(shares))
    await asyncio.sleep(0.3)
    for worker in workers():
        os.kill(worker, number)
    await adding


@linux
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, "SB-5050"), (signal.SIGSTOP, "SB-5051")]
)
def test_worker_that_is_killed_or_hangs_ends_its_job_in_time_and_no_other(
    runner: asyncio.Runner, attempt: Attempt, tmp_path: Path, number: signal.Signals, code: str
) -> None:
    async def act(adder: Adder) -> bytes:
        began = time.monotonic()
        with pytest.raises(Unavailable) as failed:
            await signalled(adder, attempt.shares() * 600, number)
        assert failed.value.code == code
        assert time.monotonic() - began < 10
        for worker in workers():
            os.kill(worker, signal.SIGCONT)
        return await adder.add(attempt.shares())

    summed = limited(runner, tmp_path, Limits(active=1, deadline_s=3), act)
    assert attempt.open(summed) == [3, -3, 21]


PROGRAM = """
import os, sys
from pathlib import Path
from sandbox.coordinator import adder_main

adder_main.imports()
assert len(os.listdir("/proc/self/task")) == 1, "a thread in a process that forks"
before = set(sys.modules)
share = Path(sys.argv[1]).read_bytes()
adder_main.prepare()
adder_main.add({"sizes": [len(share)] * 2}, share + share)
late = set(sys.modules) - before
assert not late, late
"""


@linux
def test_a_warm_adder_has_one_thread_and_imports_nothing_late(
    attempt: Attempt, tmp_path: Path
) -> None:
    """A late import would be most of what a small sum costs."""
    share = tmp_path / "share"
    share.write_bytes(attempt.shares()[0])
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(share)],
        env={**warm_server._FORK_SAFE, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_the_coordinators_server_never_loads_seal() -> None:
    program = "import sys, sandbox.coordinator.server; assert 'tenseal' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
