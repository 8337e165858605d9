"""What stands in front of every handler: who calls, for how long, and what leaves on failure."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import grpc
import grpc.aio

from sandbox.crypto.certificates import PeerName, peer_name
from sandbox.crypto.identity import Role
from sandbox.errors import SandboxError, TrustError, Unavailable
from sandbox.rpc.problems import abort

Context = grpc.aio.ServicerContext[Any, Any]

Streaming = Callable[..., AsyncIterator[Any]]

DEFAULT_DEADLINE_S = 30.0
CALLS_PER_CALLER = 256
"""As many as one connection may have; more connections give nobody more."""

log = logging.getLogger("sandbox.rpc")


def peer_of(context: Context) -> PeerName:
    """Return role, name and fingerprint in the caller's certificate; raises TrustError SB-3110."""
    pem = next(iter(context.auth_context().get("x509_pem_cert", ())), None)
    if pem is None:
        raise TrustError("SB-3110")
    return peer_name(pem)


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Admits a caller by role, imposes a deadline that really stops the handler, closes errors.

    `allowed` maps a method's short name to the roles that may call it; a method that is not listed is
    refused. `recognise` is asked on each call, so that a revocation acts at once: it raises TrustError
    for a caller that this party does not know by now, whatever authority signed its certificate.
    """

    def __init__(
        self,
        party: str,
        allowed: Mapping[str, frozenset[Role]],
        deadlines_s: Mapping[str, float],
        recognise: Callable[[PeerName], None],
    ) -> None:
        self._party = party
        self._allowed = allowed
        self._deadlines_s = deadlines_s
        self._recognise = recognise
        self._open_calls: Counter[str] = Counter()

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]
        ],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        handler = await continuation(details)
        if handler is None:
            return handler
        method = str(details.method).rsplit("/", 1)[-1]
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(method, handler.unary_unary),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(method, cast(Streaming, handler.unary_stream)),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(
                self._unary(method, handler.stream_unary),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.stream_stream:
            return grpc.stream_stream_rpc_method_handler(
                self._stream(method, cast(Streaming, handler.stream_stream)),
                handler.request_deserializer,
                handler.response_serializer,
            )
        raise AssertionError(f"no guard for the shape of {method}")

    @contextmanager
    def _admitted(self, method: str, context: Context) -> Iterator[None]:
        """Count a call while it runs; raises TrustError, or Unavailable SB-3253 for one too many."""
        peer = self._admit(method, context)
        if self._open_calls[peer.fingerprint] >= CALLS_PER_CALLER:
            raise Unavailable("SB-3253", name=peer.name, limit=CALLS_PER_CALLER)
        self._open_calls[peer.fingerprint] += 1
        try:
            yield
        finally:
            self._open_calls[peer.fingerprint] -= 1

    def _admit(self, method: str, context: Context) -> PeerName:
        peer = peer_of(context)
        try:
            # TLS looks at the date once; a connection may last longer than a certificate.
            if datetime.now(UTC) > peer.not_after:
                raise TrustError("SB-3074", name=peer.name, date=peer.not_after.isoformat())
            self._check_role(method, peer)
            self._recognise(peer)
        except TrustError as error:
            log.warning(
                "%s refused to %s %s (%s): %s",
                method,
                peer.role,
                peer.name,
                peer.fingerprint,
                error.code,
            )
            raise
        return peer

    def _check_role(self, method: str, peer: PeerName) -> None:
        if peer.role not in self._allowed.get(method, frozenset()):
            raise TrustError("SB-3111", role=peer.role.value, method=method)

    def _time_left_s(self, method: str, context: Context) -> float:
        limit = self._deadlines_s.get(method, DEFAULT_DEADLINE_S)
        asked = context.time_remaining()
        return limit if asked is None else min(asked, limit)

    def _unary(self, method: str, handler: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        async def guarded(request: Any, context: Context) -> Any:
            try:
                with self._admitted(method, context):
                    async with asyncio.timeout(self._time_left_s(method, context)):
                        return await handler(request, context)
            except Exception as error:
                await abort(context, self._closed(method, error), self._party)

        return guarded

    def _stream(
        self, method: str, handler: Callable[..., AsyncIterator[Any]]
    ) -> Callable[..., AsyncIterator[Any]]:
        async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
            try:
                with self._admitted(method, context):
                    async with asyncio.timeout(self._time_left_s(method, context)):
                        async for reply in handler(request, context):
                            yield reply
            except Exception as error:
                await abort(context, self._closed(method, error), self._party)

        return guarded

    def _closed(self, method: str, error: Exception) -> SandboxError:
        """Return what a caller may know of `error`; the rest goes to this party's own log."""
        if isinstance(error, SandboxError):
            if isinstance(error, TrustError):
                log.warning("%s refused: %s", method, error.code)
            return error
        if isinstance(error, TimeoutError):
            return Unavailable("SB-5104", method=method)
        log.exception("%s failed", method)
        return Unavailable("SB-5199", method=method)
