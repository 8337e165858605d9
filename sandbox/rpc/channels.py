"""Channels and servers: mutual TLS, bounded messages, bounded waits. There is no way to turn it off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio

from sandbox.crypto.certificates import check_certificate
from sandbox.errors import InputError, Unavailable

MESSAGE_LIMIT_BYTES = 4 << 20
CHUNK_BYTES = 1 << 20

_COMMON = (
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 8_000),
    ("grpc.max_metadata_size", 64 << 10),
)
_SERVER = (
    *_COMMON,
    ("grpc.max_concurrent_streams", 256),
    # A peer may ping every 10 s while a call is open; one that pings more is disconnected.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 3),
    ("grpc.so_reuseport", 0),
)


def server_credentials(profile: Path) -> grpc.ServerCredentials:
    """Return credentials that demand a certificate of the deployment's authority from every caller.

    Raises TrustError SB-3073..SB-3075 where this party's own certificate is foreign or out of date.
    """
    certificate, authority = _own_certificate(profile)
    return grpc.ssl_server_credentials(
        [((profile / "tls.key").read_bytes(), certificate)],
        root_certificates=authority,
        require_client_auth=True,
    )


def new_server(interceptors: Sequence[grpc.aio.ServerInterceptor[Any, Any]]) -> grpc.aio.Server:
    """Return a server with our limits: 4 MB messages, 256 streams a connection, 1,024 calls."""
    return grpc.aio.server(interceptors=interceptors, options=_SERVER, maximum_concurrent_rpcs=1024)


def bind(server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials) -> int:
    """Let a server listen at HOST:PORT; returns the port. Raises Unavailable SB-5053."""
    try:
        return server.add_secure_port(listen, credentials)
    except RuntimeError:
        raise Unavailable("SB-5053", listen=listen) from None


def open_channel(profile: Path, address: str, peer: str) -> grpc.aio.Channel:
    """Return an asynchronous channel to `address` that accepts only the certificate of `peer`.

    peer: the name in the certificate, "coordinator-NAME" or "node-NAME". Raises TrustError
    SB-3073..SB-3075 where this party's own certificate is foreign or out of date.
    """
    return grpc.aio.secure_channel(address, _credentials(profile), options=_client(peer))


def open_blocking_channel(profile: Path, address: str, peer: str) -> grpc.Channel:
    """Return a blocking channel to `address`; see `open_channel`."""
    return grpc.secure_channel(address, _credentials(profile), options=_client(peer))


def chunks(payload: bytes) -> Iterator[bytes]:
    """Yield `payload` in pieces that fit a message; one empty piece for an empty payload."""
    for start in range(0, max(len(payload), 1), CHUNK_BYTES):
        yield payload[start : start + CHUNK_BYTES]


class Part(Protocol):
    """A message that carries a piece of a long byte string."""

    @property
    def chunk(self) -> bytes: ...


P = TypeVar("P", bound=Part)


async def gather_parts(parts: AsyncIterator[P], limit_bytes: int) -> tuple[P, bytes]:
    """Return the first part and all pieces joined; raises InputError SB-3250 for none or too much."""
    first: P | None = None
    joined = bytearray()
    async for part in parts:
        first = first or part
        joined += part.chunk
        if len(joined) > limit_bytes:
            raise InputError("SB-3250", limit=limit_bytes)
    if first is None:
        raise InputError("SB-3252")
    return first, bytes(joined)


def _credentials(profile: Path) -> grpc.ChannelCredentials:
    certificate, authority = _own_certificate(profile)
    return grpc.ssl_channel_credentials(
        root_certificates=authority,
        private_key=(profile / "tls.key").read_bytes(),
        certificate_chain=certificate,
    )


def _own_certificate(profile: Path) -> tuple[bytes, bytes]:
    """Return this party's certificate and its authority's. Peers that refuse a certificate only hang
    up, so whoever holds it finds out here what is wrong with it."""
    certificate, authority = (profile / "tls.crt").read_bytes(), (profile / "ca.crt").read_bytes()
    check_certificate(certificate, authority)
    return certificate, authority


def _client(peer: str) -> tuple[tuple[str, object], ...]:
    return (
        *_COMMON,
        ("grpc.ssl_target_name_override", f"{peer}.fedsandbox"),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.enable_retries", 0),
    )
