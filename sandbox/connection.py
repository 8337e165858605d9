"""A researcher's calls to a coordinator: asked again while it is away, what it answers as it came.

Nothing that is read here is trusted yet: whoever asks holds it against the owners' signatures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from sandbox.audit.receipt import Receipt
from sandbox.crypto.identity import PublicIdentity, Signed
from sandbox.errors import TrustError, Unavailable
from sandbox.jobview import JobView, Progress, view_of
from sandbox.rpc import common_pb2, coordinator_pb2, coordinator_pb2_grpc
from sandbox.rpc.channels import chunks, open_blocking_channel
from sandbox.rpc.documents import to_message
from sandbox.rpc.problems import error_of_call

CALL_S = 10.0
WATCH_S = 7 * 24 * 3600.0
RESULT_S = 60.0
RESULT_LIMIT_BYTES = 512 << 20
RETRY_S = 5.0
RECONNECT_S = 30.0
RETRY_PAUSE_S = 0.5
AWAY = "SB-5101"
"""The code of a coordinator that does not answer."""


class Connection:
    """A channel to one coordinator. Every call raises what the coordinator answers, Unavailable SB-5101
    if it does not."""

    def __init__(self, profile: Path, address: str, coordinator: PublicIdentity) -> None:
        self._channel = open_blocking_channel(profile, address, f"coordinator-{coordinator.name}")
        self._stub = coordinator_pb2_grpc.CoordinatorStub(self._channel)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def catalogue(self) -> coordinator_pb2.CatalogueReply:
        """Return what nodes offer."""
        reply: coordinator_pb2.CatalogueReply = self._call(self._stub.Catalogue, common_pb2.Empty())
        return reply

    def budget(self, request: Signed) -> coordinator_pb2.BudgetReply:
        """Return what each node says of its budgets, or why it does not."""
        reply: coordinator_pb2.BudgetReply = self._call(self._stub.Budget, to_message(request))
        return reply

    def submit(self, job: Signed) -> None:
        """Submit a job; raises InputError SB-3122 if its context has to be uploaded first."""
        self._call(self._stub.Submit, to_message(job))

    def upload(self, digest: str, ring: str, contexts: bytes) -> None:
        """Upload the public contexts by which nodes encrypt under a researcher's key."""
        parts = [
            coordinator_pb2.UploadPart(digest=digest, ring=ring, chunk=chunk)
            for chunk in chunks(contexts)
        ]
        self._call(lambda sent, timeout: self._stub.PutContext(iter(sent), timeout=timeout), parts)

    def jobs(self, limit: int) -> list[JobView]:
        """Return the newest jobs."""
        reply = self._call(self._stub.Jobs, coordinator_pb2.JobsRequest(limit=limit))
        return [view_of(state) for state in reply.jobs]

    def cancel(self, cancellation: Signed) -> JobView:
        """Give a job up; return its state, with the nodes that were not told."""
        return view_of(self._call(self._stub.Cancel, to_message(cancellation)))

    def watch(self, job: str) -> Iterator[JobView]:
        """Yield a job's state now and at every change, until it ends."""
        try:
            for state in self._stub.Watch(coordinator_pb2.JobRequest(job=job), timeout=WATCH_S):
                yield view_of(state)
        except grpc.RpcError as error:
            raise error_of_call(error, "coordinator") from None

    def wait(self, job: str, progress: Progress | None) -> JobView:
        """Return the job's last state, telling `progress` each one.

        A coordinator that goes away is asked again for RECONNECT_S: it takes up its jobs when it is
        back. Raises Unavailable SB-5101 after that.
        """
        lost: float | None = None
        while True:
            try:
                for view in self.watch(job):
                    lost = None
                    if progress is not None:
                        progress(view)
                    if view.ended:
                        return view
            except Unavailable as error:
                if error.code != AWAY:
                    raise
            lost = lost or time.monotonic()
            if time.monotonic() - lost > RECONNECT_S:
                raise Unavailable(AWAY, party="coordinator")
            time.sleep(RETRY_PAUSE_S)

    def result(self, job: str) -> tuple[bytes, Receipt]:
        """Return a finished job's sum and receipt; raises TrustError SB-3139 for more than any has."""
        summed, receipt = bytearray(), bytearray()
        try:
            request = coordinator_pb2.JobRequest(job=job)
            for part in self._stub.Result(request, timeout=RESULT_S):
                summed += part.sum
                receipt += part.receipt
                if len(summed) + len(receipt) > RESULT_LIMIT_BYTES:
                    raise TrustError("SB-3139", limit_mib=RESULT_LIMIT_BYTES >> 20)
        except grpc.RpcError as error:
            raise error_of_call(error, "coordinator") from None
        return bytes(summed), Receipt.from_json(receipt.decode())

    def _call(self, method: Callable[..., Any], request: object) -> Any:
        """Call the coordinator; while it is away, again for RETRY_S. Every call may be repeated: what
        it carries has an id of its own."""
        until = time.monotonic() + RETRY_S
        while True:
            try:
                return method(request, timeout=CALL_S)
            except grpc.RpcError as failure:
                error = error_of_call(failure, "coordinator")
                if error.code != AWAY or time.monotonic() > until:
                    raise error from None
            time.sleep(RETRY_PAUSE_S)
