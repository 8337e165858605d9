"""A join's streams at the coordinator: frames carried between nodes, and its own part as their dealer.

What is for a node is sealed under keys the coordinator has not; it sees who sends how much to whom. A
stream that is not read stops whoever writes to it: gRPC's flow control reaches through the relay.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio

from sandbox.coordinator.nodelink import JoinCall, NodeLink, Share, ShareParts
from sandbox.coordinator.progress import Seen, unseen
from sandbox.crypto.identity import Signed
from sandbox.crypto.join.dealer import Room, deal
from sandbox.crypto.join.machine import Machine, Receive, Send
from sandbox.errors import ProtocolError, Unavailable
from sandbox.rpc import node_pb2
from sandbox.rpc.documents import to_message
from sandbox.rpc.joinparts import Frame, Part
from sandbox.rpc.problems import error_of, error_of_call

UNREAD_FRAMES = 8
"""Frames for the coordinator that wait before a node's stream is no longer read."""
IDLE_S = 300.0
"""For how long no frame may move in a join, at least: one that has begun is never silent for so long,
and until then a node may be busy with other jobs, in line."""


class Joins:
    """The joins of a coordinator; at each node one at a time, since each may need all its memory."""

    def __init__(self, own: str, room: Room) -> None:
        self._own = own
        self._room = room
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(
        self,
        job: str,
        roster: Sequence[Signed],
        members: Mapping[str, NodeLink],
        deadline_s: float,
        run_s: float,
        seen: Seen = unseen,
    ) -> dict[str, Share]:
        """Run one join among `members` by fingerprint; see Relay.run for what it does. run_s: how long
        it may take as its sizes ask, so that no frame may move for as long, either; seen: told of every
        frame."""
        async with contextlib.AsyncExitStack() as held:
            # Always in this order: two joins never hold what the other waits for.
            for member in sorted(members):
                await held.enter_async_context(self._busy[member])
            dealer = deal([*members], os.urandom, self._room)
            relay = Relay(self._own, members, seen)
            return await relay.run(job, roster, dealer, deadline_s, max(IDLE_S, run_s))


class Relay:
    """One join among `members`; `own` is the coordinator's fingerprint. seen: told of every frame."""

    def __init__(self, own: str, members: Mapping[str, NodeLink], seen: Seen = unseen) -> None:
        self._own = own
        self._members = members
        self._seen = seen
        self._calls: dict[str, JoinCall] = {}
        self._writing = {member: asyncio.Lock() for member in members}
        self._heard: dict[str, asyncio.Queue[bytes | memoryview]] = {
            member: asyncio.Queue(UNREAD_FRAMES) for member in members
        }
        self._shares = {member: ShareParts(link.identity.name) for member, link in members.items()}
        self._moved = time.monotonic()
        self._spoke = dict.fromkeys(members, self._moved)

    async def run(
        self,
        job: str,
        roster: Sequence[Signed],
        dealer: Machine[None],
        deadline_s: float,
        idle_s: float = IDLE_S,
    ) -> dict[str, Share]:
        """Carry the join until every member has committed its share; return the shares.

        Raises the first member's problem, Unavailable for a stream that broke, Unavailable SB-5119 once
        no frame has moved for `idle_s`, ProtocolError SB-4010 or SB-4011 for a member that breaks the
        protocol, Refusal SB-1110, SandboxError SB-4001 for one that commits and sends no share.
        """
        start = node_pb2.ComputeRequest(
            job_digest=job, roster=[to_message(signature) for signature in roster]
        )
        self._calls = {member: link.join(deadline_s) for member, link in self._members.items()}
        try:
            async with asyncio.TaskGroup() as tasks:
                dealing = tasks.create_task(self._deal(dealer))
                watching = tasks.create_task(self._watch(idle_s))
                tasks.create_task(self._hear_all(start, dealing, watching))
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            for call in self._calls.values():
                call.cancel()
        return {member: parts.share() for member, parts in self._shares.items()}

    async def _hear_all(self, start: node_pb2.ComputeRequest, *others: asyncio.Task[None]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for member in self._members:
                tasks.create_task(self._listen(member, start))
        # All have committed: what the dealer may still wait for will never come.
        for task in others:
            task.cancel()

    async def _watch(self, idle_s: float) -> None:
        """End the join when nothing has moved for so long: its members' nodes wait with it."""
        while (left := self._moved + idle_s - time.monotonic()) > 0:
            await asyncio.sleep(left)
        silent = min(self._spoke, key=self._spoke.__getitem__)
        raise Unavailable(
            "SB-5119", party=self._members[silent].identity.name, seconds=round(idle_s)
        )

    async def _listen(self, member: str, start: node_pb2.ComputeRequest) -> None:
        call = self._calls[member]
        try:
            await self._write(member, node_pb2.JoinPart(start=start))
            async for part in call:
                self._moved = self._spoke[member] = time.monotonic()
                if isinstance(part, Frame):
                    await self._carry(member, part)
                    continue
                match part.WhichOneof("part"):
                    case "share":
                        self._shares[member].add(part.share)
                    case "committed":
                        return
                    case "problem":
                        raise error_of(part.problem)
                    case _:
                        raise ProtocolError("SB-4010", party=member)
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, self._members[member].identity.name) from None
        raise ProtocolError("SB-4010", party=member)

    async def _carry(self, source: str, frame: Frame) -> None:
        if frame.party == self._own:
            await self._heard[source].put(frame.payload)
        elif frame.party in self._calls:
            await self._write(frame.party, Frame(source, frame.payload))
        else:
            raise ProtocolError("SB-4010", party=source)
        self._seen(source, frame.party, frame.payload)

    async def _deal(self, dealer: Machine[None]) -> None:
        """Drive the coordinator's own machine; its steps are heavy and run beside the event loop, in a
        thread of their own, so that they wait for no other work of the coordinator's."""
        loop, thread = asyncio.get_running_loop(), ThreadPoolExecutor(1, "dealer")
        received: bytes | memoryview | None = None
        try:
            while True:
                step = await loop.run_in_executor(thread, _next, dealer, received)
                received = None
                match step:
                    case Send(party, payload):
                        await self._write(party, Frame(self._own, payload))
                        self._seen(self._own, party, payload)
                    case Receive(party):
                        received = await self._heard[party].get()
                    case None:
                        return
        finally:
            thread.shutdown(wait=False)

    async def _write(self, member: str, part: Part) -> None:
        async with self._writing[member]:
            try:
                await self._calls[member].write(part)
                self._moved = time.monotonic()
            except grpc.aio.AioRpcError as error:
                # Here, where it is known whose stream broke: a peer may be writing.
                raise error_of_call(error, self._members[member].identity.name) from None
            except asyncio.InvalidStateError:
                raise ProtocolError("SB-4010", party=member) from None


def _next(dealer: Machine[None], received: bytes | memoryview | None) -> Send | Receive | None:
    """Return the machine's next step; None at its end."""
    try:
        return next(dealer) if received is None else dealer.send(received)
    except StopIteration:
        return None


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
