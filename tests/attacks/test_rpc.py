"""Attacks on the transport: bombs, floods, borrowed ids, calls without an end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from nodes.server import ALLOWED as NODE_METHODS
from nodes.server import DEADLINES_S as NODE_DEADLINES_S
from sandbox.client import Session
from sandbox.coordinator.server import ALLOWED as COORDINATOR_METHODS
from sandbox.coordinator.server import DEADLINES_S as COORDINATOR_DEADLINES_S
from sandbox.crypto.certificates import create_authority
from sandbox.crypto.identity import Role
from sandbox.processes import state_of
from sandbox.rpc import common_pb2, coordinator_pb2, coordinator_pb2_grpc, node_pb2
from sandbox.rpc.channels import new_server, server_credentials
from sandbox.rpc.documents import to_message
from sandbox.rpc.guard import CALLS_PER_CALLER, Guard
from tests.attacks.attacker import (
    GOAWAY,
    PING,
    RST_STREAM,
    SETTINGS,
    Http2,
    Target,
    address,
    altered,
    calling,
    certify,
    offered,
    outcome,
)

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
COUNT = "SELECT COUNT(*) FROM machines"
PUT_CONTEXT = "/sandbox.v1.Coordinator/PutContext"


def memory_mb(target: Target, party: str) -> float:
    """Return the resident memory of a server (Linux)."""
    state = state_of(target.folder)
    assert state is not None
    (pid,) = [each["pid"] for each in state["processes"] if each["name"] == party]
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


# 7. Bombs


@pytest.mark.parametrize("party", ["coordinator", "a"])
def test_attack_07_a_gzip_bomb_is_refused_unpacked_nowhere(party: str, target: Target) -> None:
    bearer = "researcher" if party == "coordinator" else "coordinator"
    kind = coordinator_pb2.UploadPart if party == "coordinator" else node_pb2.ContextPart
    bomb = kind(digest="0" * 64, ring="bfv-4096-40", chunk=bytes(200 << 20))
    before = memory_mb(target, party)
    with calling(target.folder, party, target.profile(bearer)) as stub:
        found = outcome(
            stub.PutContext, iter([bomb]), compression=grpc.Compression.Gzip, timeout=30
        )
    assert found.status is EXHAUSTED
    assert memory_mb(target, party) < before + 60


def test_attack_07_many_small_bombs_are_refused_together(target: Target) -> None:
    part = coordinator_pb2.UploadPart(digest="0" * 64, ring="bfv-4096-40", chunk=bytes(1 << 20))
    with calling(target.folder, "coordinator", target.profile("researcher")) as stub:
        found = outcome(
            stub.PutContext, iter([part] * 100), compression=grpc.Compression.Gzip, timeout=30
        )
    assert (found.status, found.code) == (EXHAUSTED, "SB-3250")


# 8. One id, two bodies


def test_attack_08_a_job_id_stands_for_one_body_at_the_coordinator(
    target: Target, session: Session
) -> None:
    job = target.draft(session, COUNT)
    other = altered(job, target.researcher, purpose="another body")
    with calling(target.folder, "coordinator", target.profile("researcher")) as stub:
        assert outcome(stub.Submit, to_message(job)).status is grpc.StatusCode.OK
        found = outcome(stub.Submit, to_message(other))
    assert (found.status, found.code) == (grpc.StatusCode.ALREADY_EXISTS, "SB-4005")
    assert other.digest in target.log("coordinator")


def test_attack_08_a_job_id_stands_for_one_body_at_a_node(target: Target, session: Session) -> None:
    job = target.draft(session, COUNT)
    other = altered(job, target.researcher, purpose="another body")
    assert offered(target.folder, "a", job) == ""
    assert offered(target.folder, "a", other) == "SB-6010"
    assert offered(target.folder, "a", job) == ""
    logged = [record.body for record in target.entries("a") if record.entry.kind == "refusal"]
    assert other.digest in {body.get("digest") for body in logged}


# 9. No deadline


class Endless(coordinator_pb2_grpc.CoordinatorServicer):
    """Handlers that would run for ever; they note how they end."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def _sleep(self, method: str) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.ended.append(method)
            raise

    async def Status(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._sleep("Status")

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        yield coordinator_pb2.JobState()
        await self._sleep("Watch")

    async def PutContext(self, request: AsyncIterator[Any], context: Any) -> Any:  # noqa: N802
        try:
            async for _ in request:
                pass
        except asyncio.CancelledError:
            self.ended.append("PutContext")
            raise


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[tuple[Endless, Any]]:
    """A server with the product's guard, whose limits are short, and a stub to it."""
    create_authority(tmp_path / "ca")
    certify(tmp_path / "server", tmp_path / "ca", "coordinator", Role.COORDINATOR)
    service, ready, port = Endless(), threading.Event(), [0]
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        allowed = dict.fromkeys(("Status", "Watch", "PutContext"), frozenset(Role))
        limits = dict.fromkeys(allowed, 0.3)
        server = new_server((Guard("coordinator", allowed, limits, lambda peer: None),))
        coordinator_pb2_grpc.add_CoordinatorServicer_to_server(service, server)
        port[0] = server.add_secure_port("127.0.0.1:0", server_credentials(tmp_path / "server"))
        await server.start()
        ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            await server.stop(0)

    task = loop.create_task(serve())
    thread = threading.Thread(target=lambda: _until_cancelled(loop, task))
    thread.start()
    assert ready.wait(10)
    credentials = grpc.ssl_channel_credentials(
        *((tmp_path / "server" / name).read_bytes() for name in ("ca.crt", "tls.key", "tls.crt"))
    )
    options = (("grpc.ssl_target_name_override", "coordinator-coordinator.fedsandbox"),)
    with grpc.secure_channel(f"127.0.0.1:{port[0]}", credentials, options) as channel:
        yield service, coordinator_pb2_grpc.CoordinatorStub(channel)
    loop.call_soon_threadsafe(task.cancel)
    thread.join(10)


def _until_cancelled(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


@pytest.mark.parametrize("asked_s", [None, 1e6])
@pytest.mark.parametrize("method", ["Status", "Watch", "PutContext"])
def test_attack_09_a_call_without_an_end_is_given_one_and_its_handler_stops(
    method: str, asked_s: float | None, endless: tuple[Endless, Any]
) -> None:
    service, stub = endless
    stop = threading.Event()

    def slow() -> Iterator[coordinator_pb2.UploadPart]:
        yield coordinator_pb2.UploadPart()
        stop.wait(10)

    requests = {
        "Status": common_pb2.Empty(),
        "Watch": coordinator_pb2.JobRequest(),
        "PutContext": slow(),
    }
    ends = threading.Timer(5, stop.set)
    ends.start()
    began = time.monotonic()
    answer = in_thread(lambda: outcome(getattr(stub, method), requests[method], timeout=asked_s))
    found = answer(4)
    assert (found.status, found.code) == (grpc.StatusCode.DEADLINE_EXCEEDED, "SB-5104")
    assert time.monotonic() - began < 3
    assert service.ended == [method]
    ends.cancel()
    stop.set()


def in_thread(work: Callable[[], Any]) -> Callable[[float], Any]:
    """Run `work` aside; the result is a function that waits for what it returns."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()

    def wait(timeout_s: float) -> Any:
        thread.join(timeout_s)
        assert found, "still running"
        return found[0]

    return wait


def test_attack_09_every_method_has_an_end() -> None:
    week_s = 7 * 24 * 3600
    for methods, deadlines_s in (
        (NODE_METHODS, NODE_DEADLINES_S),
        (COORDINATOR_METHODS, COORDINATOR_DEADLINES_S),
    ):
        guard = Guard("x", methods, deadlines_s, lambda peer: None)

        class Patient:
            """A call for which its caller would wait for ever."""

            def time_remaining(self) -> None:
                return None

        for method in methods:
            assert 0 < guard._time_left_s(method, Patient()) <= week_s  # type: ignore[arg-type]


# 10. Floods


def test_attack_10_streams_beyond_the_limit_of_a_connection_are_refused(target: Target) -> None:
    with Http2(
        address(target.folder, "coordinator"), target.folder / "ca", target.profile("researcher")
    ) as raw:
        kind, _, payload = raw.read()
        assert kind == SETTINGS
        settings = {
            int.from_bytes(payload[at : at + 2], "big"): int.from_bytes(
                payload[at + 2 : at + 6], "big"
            )
            for at in range(0, len(payload), 6)
        }
        assert settings[0x3] == 256
        with contextlib.suppress(OSError):
            for number in range(400):
                raw.open_stream(2 * number + 1, PUT_CONTEXT)
        frames = everything(raw, seconds=1.5)
    refused = [stream for kind, stream, _ in frames if kind == RST_STREAM]
    closed = any(kind in (GOAWAY, None) for kind, _, _ in frames)
    assert len(refused) >= 400 - 256 or closed
    assert served_quickly(target)


def test_attack_10_a_flood_of_pings_ends_the_connection(target: Target) -> None:
    with Http2(
        address(target.folder, "a"), target.folder / "ca", target.profile("coordinator")
    ) as raw:
        with contextlib.suppress(OSError):
            for number in range(200):
                raw.send(PING, 0, number.to_bytes(8, "big"))
        frames = everything(raw, seconds=1.5)
    (goaway,) = [payload for kind, _, payload in frames if kind == GOAWAY]
    assert int.from_bytes(goaway[4:8], "big") == 0xB, "ENHANCE_YOUR_CALM (RFC 9113, section 7)"


def everything(raw: Http2, seconds: float) -> list[tuple[int | None, int, bytes]]:
    """Read frames until nothing comes for a while or the server hangs up (kind None)."""
    frames: list[tuple[int | None, int, bytes]] = []
    raw.tls.settimeout(seconds)
    try:
        while True:
            frames.append(raw.read())
    except TimeoutError:
        pass
    except OSError:
        frames.append((None, 0, b""))
    return frames


def served_quickly(target: Target) -> bool:
    """Tell whether another party is answered within two seconds."""
    began = time.monotonic()
    with calling(target.folder, "coordinator", target.profile("supervisor")) as stub:
        found = outcome(stub.Status, common_pb2.Empty(), timeout=5)
    return found.status is grpc.StatusCode.OK and time.monotonic() - began < 2


def test_attack_10_of_10000_streams_few_run_and_others_are_served(target: Target) -> None:
    before = memory_mb(target, "coordinator")
    counts = asyncio.run(flood(target, calls=10_000, channels=40))
    # Each connection lets 256 through; all connections of one caller together no more than that.
    assert counts["OK"] == 0
    assert counts["most at once"] <= CALLS_PER_CALLER
    # A refusal may reach a caller as the reset that follows it (CANCELLED).
    assert counts["RESOURCE_EXHAUSTED"] + counts["CANCELLED"] >= 10_000 - CALLS_PER_CALLER
    assert counts["RESOURCE_EXHAUSTED"] > 1_000
    assert counts["others refused"] == 0
    assert memory_mb(target, "coordinator") < before + 150
    assert served_quickly(target)


async def flood(target: Target, calls: int, channels: int) -> Counter[str]:
    """Open calls that never end over many connections; count how they end, and how many hang."""
    profile = target.profile("rival")
    credentials = grpc.ssl_channel_credentials(
        *((profile / name).read_bytes() for name in ("ca.crt", "tls.key", "tls.crt"))
    )
    options = (
        ("grpc.ssl_target_name_override", "coordinator-coordinator.fedsandbox"),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
    )
    opened = [
        grpc.aio.secure_channel(address(target.folder, "coordinator"), credentials, options)
        for _ in range(channels)
    ]
    counts: Counter[str] = Counter()

    async def call(stub: Any) -> None:
        open_call = stub.PutContext(timeout=40)
        try:
            counts[(await open_call.code()).name] += 1
        finally:
            open_call.cancel()

    stubs = [coordinator_pb2_grpc.CoordinatorStub(channel) for channel in opened]  # type: ignore[no-untyped-call]
    tasks = {asyncio.create_task(call(stubs[number % channels])) for number in range(calls)}
    waiting, quiet = tasks, 0
    while waiting and quiet < 2:
        ended, waiting = await asyncio.wait(waiting, timeout=1.0)
        quiet = 0 if ended or len(waiting) == calls else quiet + 1
        counts["others refused"] += not await asyncio.to_thread(served_quickly, target)
    counts["most at once"] = len(waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.gather(*(channel.close() for channel in opened))
    return counts
