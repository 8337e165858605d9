"""How offers for a job are gathered: who is asked, who is away, and whether what they release could be
proved. Nothing is spent before a roster is signed, so that all of this can be tried again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from sandbox.coordinator.nodelink import NodeLink
from sandbox.coordinator.waits import PASSING, Waits
from sandbox.crypto.identity import Signed
from sandbox.errors import ProtocolError, SandboxError, Unavailable
from sandbox.jobs import JobSpec, Missing
from sandbox.rpc import node_pb2
from sandbox.rpc.documents import from_message
from sandbox.rpc.problems import error_of

T = TypeVar("T")


class Offering:
    """Asks a job's members for offers. context: returns a result key's ring and public contexts."""

    def __init__(
        self,
        signed: Signed,
        spec: JobSpec,
        waits: Waits,
        context: Callable[[str], tuple[str, bytes] | None],
    ) -> None:
        self._signed = signed
        self._spec = spec
        self._waits = waits
        self._patience = waits.patience
        self._context = context
        self._heard: dict[str, float] = {}
        """When each member that owes an answer was last known to be there (monotonic)."""

    async def gather(self, attempt: int) -> tuple[list[Signed], list[str]]:
        """Return offers, and the members that are away, by fingerprint.

        Raises Unavailable SB-5113 or SB-5030 where the job's rule lets nobody be away, SB-5111 for
        too few, SB-5052 where nobody could witness what they release.
        """
        members = self._spec.members
        self._heard = dict.fromkeys(members, time.monotonic())
        answers = await gather_or_first_error([self._offer_of(each, attempt) for each in members])
        offers = [offer for offer in answers if offer is not None]
        absent = [each for each, offer in zip(members, answers, strict=True) if offer is None]
        if absent and len(offers) < self._spec.minimum_members:
            raise Unavailable("SB-5111", parties=self._waits.names(absent))
        await self._await_witness([offer.signer for offer in offers], absent)
        return offers, absent

    async def _offer_of(self, member: str, attempt: int) -> Signed | None:
        """Return a member's offer; None if it is away, or nobody witnesses its log, and the job goes
        on with those present."""
        unseen_since: float | None = None
        while True:
            asked = time.monotonic()
            self._waits.expire(self._waits.name(member), self._waits.reason(member) or "offer")
            try:
                link = self._waits.link(member)
                reply = await self._answer(link, member, attempt)
            except SandboxError as error:
                self._waits.begin_or_raise(member, error)
                if PASSING[error.code] == "busy":
                    self._heard[member] = time.monotonic()
                silent = self._silent_s(member) + self._patience.poll_s > self._patience.silent_s
                if silent and self._goes_on_without_silent(member):
                    return None
                await self._waits.pause()
                continue
            self._heard[member] = time.monotonic()
            match reply.WhichOneof("answer"):
                case "offer":
                    self._waits.end(member)
                    del self._heard[member]
                    return from_message(reply.offer)
                case "problem":
                    raise error_of(reply.problem)
                case _ if reply.wait.reason == node_pb2.Wait.CONTEXT:
                    await self._hand_context(link)
                case _:
                    reason = node_pb2.Wait.Reason.Name(reply.wait.reason).lower()
                    self._waits.begin(member, reason)
                    if reply.wait.reason == node_pb2.Wait.WITNESS:
                        unseen_since = unseen_since or asked
                        if asked - unseen_since > self._patience.witness_s:
                            if self._spec.missing is Missing.FAIL:
                                raise Unavailable("SB-5030", party=self._waits.name(member))
                            if self._spec.missing is Missing.PRESENT:
                                return None
                    await self._waits.pause()

    async def _answer(self, link: NodeLink, member: str, attempt: int) -> node_pb2.OfferReply:
        """Return what a node answers to an offer. While it says who it is, it is busy, and has until
        the job expires; after silent_s raises Unavailable SB-5102."""
        left = max(self._spec.expires - time.time(), self._patience.poll_s)
        asking = asyncio.ensure_future(link.offer(self._signed, attempt, left))
        try:
            while True:
                await asyncio.wait([asking], timeout=self._patience.probe_s)
                if asking.done():
                    return asking.result()
                with contextlib.suppress(Unavailable, TimeoutError):
                    patience_s = self._patience.silent_s - self._silent_s(member)
                    async with asyncio.timeout(max(patience_s, 0)):
                        await link.describe()
                    self._heard[member] = time.monotonic()
                    self._waits.begin(member, "busy")
                if self._silent_s(member) >= self._patience.silent_s:
                    raise Unavailable("SB-5102", party=link.identity.name)
        finally:
            asking.cancel()

    def _silent_s(self, member: str) -> float:
        return time.monotonic() - self._heard[member]

    def _goes_on_without_silent(self, member: str) -> bool:
        """Tell whether the job goes on without a member that stays silent; where its rule is to fail,
        raises Unavailable SB-5113, which names all who are silent by now."""
        if self._spec.missing is Missing.FAIL:
            # Another may have been silent a probe less than this one: it is named too.
            nearly = self._patience.silent_s - self._patience.probe_s - self._patience.poll_s
            silent = {each for each in self._heard if self._silent_s(each) >= nearly}
            raise Unavailable("SB-5113", parties=self._waits.names([*silent | {member}]))
        return self._spec.missing is Missing.PRESENT

    async def _hand_context(self, link: NodeLink) -> None:
        known = self._context(self._spec.context)
        if known is None:
            raise ProtocolError("SB-4003", digest=self._spec.context[:16])
        try:
            await link.put_context(self._spec.context, *known)
        except Unavailable as error:
            if error.code not in PASSING:
                raise
            await self._waits.pause()  # The next offer tells whether it is still missing.

    async def _await_witness(self, offering: Sequence[str], absent: Sequence[str]) -> None:
        """Make sure that another node is there if one alone computes: nodes witness each other's
        logs, and what nobody witnesses would be paid for and never be handed out.

        A deployment of one node has no other; its receipts say so.
        """
        others = set(self._waits.links()) - set(offering)
        if len(offering) != 1 or not others:
            return
        (alone,) = offering
        began = time.monotonic()
        # Who was silent to the offer has had its time, and so has the researcher who waited.
        hoped = others if self._spec.missing is Missing.WAIT else others - set(absent)
        patience_s = self._patience.probe_s if absent else self._patience.silent_s
        while not await self._any_there(hoped):
            name = self._waits.name(alone)
            self._waits.expire(name, "witness")
            late = time.monotonic() - began + self._patience.poll_s > patience_s
            if self._spec.missing is not Missing.WAIT and (late or not hoped):
                others_named = self._waits.names([*others])
                raise Unavailable("SB-5052", party=name, parties=others_named)
            self._waits.begin(alone, "witness")
            await self._waits.pause()
        self._waits.end(alone)

    async def _any_there(self, nodes: set[str]) -> bool:
        async def there(node: str) -> bool:
            with contextlib.suppress(SandboxError, TimeoutError):
                async with asyncio.timeout(self._patience.probe_s):
                    await self._waits.link(node).describe()
                    return True
            return False

        return any(await asyncio.gather(*map(there, nodes)))


async def gather_or_first_error(awaitables: Sequence[Awaitable[T]]) -> list[T]:
    """Return all results; at the first error cancel the rest and raise that error."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
