"""Channels: TLS 1.3, the peer's own name, and limits that bind."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.crypto.certificates import create_authority
from sandbox.crypto.identity import Role
from sandbox.errors import BY_NAME, InputError, SandboxError, TrustError, Unavailable
from sandbox.rpc import common_pb2, coordinator_pb2, coordinator_pb2_grpc
from sandbox.rpc.channels import (
    CHUNK_BYTES,
    chunks,
    gather_parts,
    new_server,
    open_blocking_channel,
    server_credentials,
)
from sandbox.rpc.guard import CALLS_PER_CALLER, Guard, peer_of
from sandbox.rpc.problems import FACT_LIMIT, error_of, error_of_call, problem_of
from tests.attacks.attacker import certify

WHO = ("coordinator", "node", "researcher")


class Mirror(coordinator_pb2_grpc.CoordinatorServicer):
    """Tells callers who they are; holds `Watch` open; fails as told."""

    async def Status(self, request: Any, context: Any) -> Any:  # noqa: N802
        peer = peer_of(context)
        return coordinator_pb2.StatusReply(version=f"{peer.role}:{peer.name}")

    async def Jobs(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise RuntimeError("kwh = 4711 in row 3")

    async def Watch(self, request: Any, context: Any) -> Any:  # noqa: N802
        yield coordinator_pb2.JobState()
        await asyncio.sleep(60)


@dataclass
class Served:
    """A server with a coordinator's certificate, and the folders of parties."""

    folder: Path
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def open(self, who: str, peer: str = "coordinator-coordinator") -> grpc.Channel:
        return open_blocking_channel(self.folder / who, self.address, peer)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("channels")
    create_authority(folder / "ca")
    for role in WHO:
        certify(folder / role, folder / "ca", role, Role(role))
    ready, loop = threading.Event(), asyncio.new_event_loop()
    port = [0]

    async def serve() -> None:
        allowed = dict.fromkeys(("Status", "Jobs", "Watch"), frozenset(Role))
        server = new_server((Guard("coordinator", allowed, {}, lambda peer: None),))
        coordinator_pb2_grpc.add_CoordinatorServicer_to_server(Mirror(), server)
        port[0] = server.add_secure_port("127.0.0.1:0", server_credentials(folder / "coordinator"))
        await server.start()
        ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            await server.stop(0)

    task = loop.create_task(serve())

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    yield Served(folder, port[0])
    loop.call_soon_threadsafe(task.cancel)
    thread.join(10)


@pytest.mark.parametrize("who", WHO)
def test_a_server_knows_its_caller_by_the_certificate(who: str, served: Served) -> None:
    with served.open(who) as channel:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        assert stub.Status(common_pb2.Empty(), timeout=5).version == f"{who}:{who}"


@pytest.mark.parametrize("expected", ["node-coordinator", "coordinator-other", "node-node"])
def test_a_client_talks_to_no_party_but_the_one_it_asked_for(expected: str, served: Served) -> None:
    """Any certificate of the authority serves TLS; a coordinator's own opens only its own name."""
    with served.open("researcher", expected) as channel:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.Status(common_pb2.Empty(), timeout=2)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_the_transport_is_tls_1_3(served: Served) -> None:
    plain = socket.create_connection(("127.0.0.1", served.port), 5)
    with client_context(served).wrap_socket(plain) as secured:
        assert secured.version() == "TLSv1.3"
        assert secured.selected_alpn_protocol() == "h2"


def client_context(served: Served) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    own = served.folder / "researcher"
    context.load_verify_locations(own / "ca.crt")
    context.load_cert_chain(own / "tls.crt", own / "tls.key")
    context.set_alpn_protocols(["h2"])
    return context


def test_what_failed_inside_is_told_to_nobody(served: Served) -> None:
    with served.open("researcher") as channel:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        with pytest.raises(grpc.RpcError) as failed:
            stub.Jobs(coordinator_pb2.JobsRequest(), timeout=5)
    error = error_of_call(failed.value, "coordinator")
    assert (type(error), error.code) == (Unavailable, "SB-5199")
    assert "4711" not in str(failed.value)
    assert "kwh" not in str(failed.value)


def test_a_caller_has_a_bounded_number_of_calls_over_all_its_connections(served: Served) -> None:
    channels = [separate(served) for _ in range(2)]
    stubs = [coordinator_pb2_grpc.CoordinatorStub(channel) for channel in channels]
    request = coordinator_pb2.JobRequest()
    held = [stubs[n % 2].Watch(request, timeout=30) for n in range(CALLS_PER_CALLER)]
    for call in held:
        next(call)
    with pytest.raises(grpc.RpcError) as refused:
        next(stubs[0].Watch(request, timeout=5))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error_of_call(refused.value, "coordinator").code == "SB-3253"
    with served.open("node") as other:
        stub = coordinator_pb2_grpc.CoordinatorStub(other)
        assert stub.Status(common_pb2.Empty(), timeout=5).version == "node:node"
    for call in held:
        call.cancel()
    for channel in channels:
        channel.close()


def separate(served: Served) -> grpc.Channel:
    """A connection of its own: gRPC shares one among channels of equal options otherwise."""
    own = served.folder / "researcher"
    credentials = grpc.ssl_channel_credentials(
        *((own / name).read_bytes() for name in ("ca.crt", "tls.key", "tls.crt"))
    )
    options = (
        ("grpc.ssl_target_name_override", "coordinator-coordinator.fedsandbox"),
        ("grpc.use_local_subchannel_pool", 1),
    )
    return grpc.secure_channel(served.address, credentials, options)


# Certificates out of date


@pytest.fixture(scope="module")
def expired(served: Served) -> Path:
    folder = served.folder / "expired"
    days = {"age": timedelta(days=2), "lifetime": timedelta(days=1)}
    certify(folder, served.folder / "ca", "coordinator", Role.COORDINATOR, **days)
    return folder


def test_whoever_holds_an_expired_certificate_is_told_so(served: Served, expired: Path) -> None:
    with pytest.raises(TrustError, match="SB-3074"):
        open_blocking_channel(expired, served.address, "coordinator-coordinator")
    with pytest.raises(TrustError, match="SB-3074"):
        server_credentials(expired)


def test_a_server_with_an_expired_certificate_is_named_not_taken_for_a_silent_one(
    served: Served, expired: Path
) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    pair = tuple((expired / name).read_bytes() for name in ("tls.key", "tls.crt"))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    own = served.folder / "researcher"
    try:
        with open_blocking_channel(own, f"127.0.0.1:{port}", "coordinator-coordinator") as channel:
            stub = coordinator_pb2_grpc.CoordinatorStub(channel)
            with pytest.raises(grpc.RpcError) as refused:
                stub.Status(common_pb2.Empty(), timeout=5)
    finally:
        server.stop(0).wait()
    assert error_of_call(refused.value, "coordinator").code == "SB-5040"


def test_a_connection_does_not_outlive_its_certificate(served: Served) -> None:
    lifetime = timedelta(seconds=3)
    certify(
        served.folder / "brief", served.folder / "ca", "brief", Role.RESEARCHER, lifetime=lifetime
    )
    with served.open("brief") as channel:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        assert stub.Status(common_pb2.Empty(), timeout=5).version == "researcher:brief"
        time.sleep(lifetime.total_seconds() + 0.1)
        with pytest.raises(grpc.RpcError) as refused:
            stub.Status(common_pb2.Empty(), timeout=5)
    assert error_of_call(refused.value, "coordinator").code == "SB-3074"


@given(st.integers(0, 3 * CHUNK_BYTES))
def test_pieces_join_to_what_was_cut(size: int) -> None:
    payload = bytes(size)

    async def joined() -> bytes:
        parts = (coordinator_pb2.UploadPart(chunk=chunk) for chunk in chunks(payload))

        async def stream() -> Any:
            for part in parts:
                yield part

        return (await gather_parts(stream(), 3 * CHUNK_BYTES))[1]

    assert asyncio.run(joined()) == payload


def test_a_stream_is_cut_off_as_soon_as_it_is_too_long() -> None:
    sent = 0

    async def stream() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield coordinator_pb2.UploadPart(chunk=bytes(10))

    with pytest.raises(InputError, match="SB-3250"):
        asyncio.run(gather_parts(stream(), 100))
    assert sent == 11


@pytest.mark.parametrize("kind", sorted(BY_NAME))
def test_an_error_survives_the_wire(kind: str) -> None:
    error = BY_NAME[kind]("SB-3253", name="a", limit=7)
    arrived = error_of(problem_of(error, "node a"))
    assert type(arrived) is type(error)
    assert (arrived.code, arrived.facts) == (
        "SB-3253",
        {"party": "node a", "name": "a", "limit": "7"},
    )


def test_an_error_of_no_known_kind_is_unavailable_and_facts_are_bounded() -> None:
    assert type(error_of(common_pb2.Problem(kind="Exception", code="SB-1"))) is Unavailable
    problem = problem_of(SandboxError("SB-3010", found="x" * 10_000), "a")
    assert len(problem.facts["found"]) == FACT_LIMIT
