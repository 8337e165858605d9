"""Errors over the wire: a SandboxError becomes a Problem in the trailing metadata, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn, cast

import grpc
import grpc.aio

from sandbox.errors import BY_NAME, InputError, Refusal, SandboxError, TrustError, Unavailable
from sandbox.rpc import common_pb2

METADATA_KEY = "sandbox-problem-bin"
FACT_LIMIT = 500
"""Characters of one fact: what a peer sent may be in it, and metadata is bounded."""
CERTIFICATE_REFUSED = "CERTIFICATE_VERIFY_FAILED"
"""What TLS says, in the details of a failed call, of a peer's certificate that does not hold."""

_STATUS: dict[type[SandboxError], grpc.StatusCode] = {
    InputError: grpc.StatusCode.INVALID_ARGUMENT,
    Refusal: grpc.StatusCode.FAILED_PRECONDITION,
    TrustError: grpc.StatusCode.PERMISSION_DENIED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
}

# Where a status says more than the kind of the error does.
_STATUS_OF_CODE = {
    "SB-3250": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "SB-3253": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "SB-3269": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "SB-3270": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "SB-4005": grpc.StatusCode.ALREADY_EXISTS,
    "SB-5104": grpc.StatusCode.DEADLINE_EXCEEDED,
    "SB-6010": grpc.StatusCode.ALREADY_EXISTS,
}


def problem_of(error: SandboxError, party: str) -> common_pb2.Problem:
    """Return `error` as a message; `party` says who speaks."""
    return common_pb2.Problem(
        kind=type(error).__name__,
        code=error.code,
        facts={name: str(value)[:FACT_LIMIT] for name, value in error.facts.items()},
        party=party,
    )


def error_of(problem: common_pb2.Problem) -> SandboxError:
    """Return the error that a message carries; its party becomes the fact `party`."""
    kind = BY_NAME.get(problem.kind, Unavailable)
    facts = {"party": problem.party, **problem.facts}
    return kind(problem.code, **facts)


async def abort(
    context: grpc.aio.ServicerContext[object, object], error: SandboxError, party: str
) -> NoReturn:
    """End the call with `error`."""
    by_kind = _STATUS.get(type(error), grpc.StatusCode.FAILED_PRECONDITION)
    status = _STATUS_OF_CODE.get(error.code, by_kind)
    metadata = ((METADATA_KEY, problem_of(error, party).SerializeToString()),)
    await context.abort(status, error.code, metadata)
    raise AssertionError("abort returned")


def error_of_call(error: grpc.RpcError, party: str) -> SandboxError:
    """Return what a failed call means: the peer's own error, or that `party` is not there."""
    # Named pairs from a blocking call, plain ones from an asynchronous call.
    metadata = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    problem = next((value for key, value in metadata if key == METADATA_KEY), None)
    if isinstance(problem, bytes):
        return error_of(common_pb2.Problem.FromString(problem))
    if CERTIFICATE_REFUSED in (error.details() or ""):
        return Unavailable("SB-5040", party=party)
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unavailable("SB-5102", party=party)
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Unavailable("SB-5103", party=party)
    return Unavailable("SB-5101", party=party)
