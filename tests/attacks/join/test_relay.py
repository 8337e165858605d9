"""Attacks j02, j12: on the coordinator that carries a join, by the members whose frames it carries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.coordinator.nodelink import Share
from sandbox.coordinator.relay import Relay
from sandbox.crypto.join.dealer import deal
from sandbox.crypto.join.machine import FRAME_BYTES
from sandbox.crypto.join.shape import Shape, write_shapes
from sandbox.errors import ProtocolError, SandboxError, Unavailable
from sandbox.rpc import common_pb2, node_pb2
from sandbox.rpc.documents import from_message
from sandbox.rpc.joinparts import Frame, Part

OWN = "coordinator"
PATIENCE_S = 10.0
COMMITTED = node_pb2.JoinPart(committed=common_pb2.Empty())
RELEASE = common_pb2.Document(kind="release", signer="a")
SHARE: Sequence[Part] = [
    node_pb2.JoinPart(share=part)
    for part in (
        node_pb2.SharePart(release=RELEASE),
        node_pb2.SharePart(chunk=b"of"),
        node_pb2.SharePart(chunk=b" a"),
    )
]


@dataclass
class Call:
    """A member's stream. `says`: what it sends; `stays`: whether it stays open then; `deaf`: whether it
    takes no frame; `every_s`: how long it thinks about each."""

    says: Sequence[Part]
    stays: bool = True
    deaf: bool = False
    every_s: float = 0.0
    heard: list[Part] = field(default_factory=list)

    async def write(self, part: Part) -> None:
        if self.deaf and isinstance(part, Frame):
            raise asyncio.InvalidStateError
        self.heard.append(part)

    async def __aiter__(self) -> AsyncIterator[Part]:
        for part in self.says:
            await asyncio.sleep(self.every_s)
            yield part
        if self.stays:
            await asyncio.Event().wait()

    def cancel(self) -> None:
        pass


@dataclass
class Link:
    """Stands for NodeLink."""

    call: Call
    identity: Any

    def join(self, deadline_s: float) -> Call:
        return self.call


def relayed(
    calls: Mapping[str, Call], idle_s: float = PATIENCE_S, *, busy: bool = False
) -> dict[str, Share]:
    """Run a relay among hostile members; raises what it raises, TimeoutError if it hangs. busy: whether
    other work has all of the threads on which the coordinator does any."""
    links: Any = {
        member: Link(call, SimpleNamespace(name=f"of {member}")) for member, call in calls.items()
    }

    async def run() -> dict[str, Share]:
        done = Event()
        if busy:
            loop = asyncio.get_running_loop()
            loop.set_default_executor(ThreadPoolExecutor(1))
            loop.run_in_executor(None, done.wait)
        try:
            async with asyncio.timeout(PATIENCE_S):
                dealer = deal([*calls], bytes)
                return await Relay(OWN, links).run("job", [], dealer, PATIENCE_S, idle_s)
        finally:
            done.set()

    return asyncio.run(run())


def test_attack_j02_members_that_commit_before_they_have_joined_do_not_hold_the_coordinator() -> (
    None
):
    """Its dealer waits for frames that never come, and other joins of these nodes for its end."""
    relayed(
        {"a": Call([*SHARE, COMMITTED], stays=False), "b": Call([*SHARE, COMMITTED], stays=False)}
    )


def test_share_arrives_in_its_parts_and_a_member_that_commits_without_one_is_named() -> None:
    shares = relayed({"a": Call([*SHARE, COMMITTED]), "b": Call([*SHARE, COMMITTED])})
    assert shares == dict.fromkeys("ab", Share(from_message(RELEASE), b"of a"))
    with pytest.raises(SandboxError, match="SB-4001") as raised:
        relayed({"a": Call([*SHARE, COMMITTED]), "b": Call([COMMITTED])})
    assert raised.value.facts["party"] == "of b"


def test_attack_j02_member_that_ends_while_it_is_sent_to_is_named() -> None:
    shape = write_shapes([Shape(("a", "b"), (1, 1), (1, 1), 0)])
    a = Call([Frame(OWN, shape), Frame("b", b"x"), Frame("b", b"x")])
    with pytest.raises(ProtocolError, match="SB-4010") as raised:
        relayed({"a": a, "b": Call([], deaf=True)})
    assert raised.value.facts["party"] == "b"


def test_attack_j02_member_that_owes_a_frame_and_says_nothing_holds_no_other_for_long() -> None:
    """All that its peers and the coordinator's other joins wait for is this."""
    shape = write_shapes([Shape(("a", "b"), (1, 1), (1, 1), 0)])
    with pytest.raises(Unavailable, match="SB-5119") as raised:
        relayed({"a": Call([Frame(OWN, shape), Frame("b", b"x")]), "b": Call([])}, 0.2)
    assert raised.value.facts["party"] == "of b"


def test_member_that_goes_on_talking_is_waited_for() -> None:
    """However seldom it does, as long as the deadline allows."""
    a = Call([Frame("b", b"x")] * 12 + [*SHARE, COMMITTED], stays=False, every_s=0.2)
    relayed({"a": a, "b": Call([*SHARE, COMMITTED], stays=False)}, 1.5)


def test_matching_waits_for_no_other_work_of_the_coordinator() -> None:
    """Else whoever submits many jobs, which are planned, would hold the joins of others."""
    calls = {"a": Call([Frame(OWN, b"[1]")]), "b": Call([])}
    with pytest.raises(ProtocolError, match="SB-4010"):
        relayed(calls, busy=True)


@pytest.mark.parametrize("party", ["c", "", "researcher", "A"])
def test_attack_j12_frame_for_whoever_is_no_member_ends_the_join(party: str) -> None:
    b = Call([])
    with pytest.raises(ProtocolError, match="SB-4010") as raised:
        relayed({"a": Call([Frame(party, b"x")]), "b": b})
    assert raised.value.facts["party"] == "a"
    assert not any(isinstance(part, Frame) for part in b.heard)


def test_attack_j12_members_first_frame_of_another_form_ends_the_join() -> None:
    for first in (b"", b"[1]", bytes(FRAME_BYTES)):
        with pytest.raises(SandboxError):
            relayed({"a": Call([Frame(OWN, first)]), "b": Call([])})
