"""Attending to nodes: who hangs keeps nobody waiting, and an old copy of the store ends the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import local
from sandbox.audit.logrows import EntryKind
from sandbox.coordinator.evidence import Witnesses
from sandbox.coordinator.registry import NodeView, Registry
from sandbox.coordinator.store import Store
from sandbox.crypto.identity import Signed, canonical
from sandbox.errors import StateError
from sandbox.rpc import common_pb2, node_pb2
from sandbox.rpc.documents import to_message
from tests.audit.evidence import journal
from tests.coordinator.nodes import COORDINATOR, FakeNode
from tests.faults.histories import copy
from tests.nodes.vaults import party


class Link:
    """What the registry asks of a node."""

    def __init__(self, node: FakeNode) -> None:
        self.node, self.identity, self.address = node, node.identity, ""
        self.kept: list[common_pb2.Document] = []

    async def describe(self) -> node_pb2.Description:
        await self.node._called("describe", 60.0)
        return node_pb2.Description(identity=canonical(self.identity.to_document()))

    async def last_head(self, log: str, nonce: bytes) -> common_pb2.Document:
        await self.node._called("last_head", 60.0)
        return to_message(self.node.last_head(log, nonce))

    async def confirm_head(self, answers: list[common_pb2.Document]) -> bool:
        self.kept += answers
        return True


class Scene:
    def __init__(self, folder: Path) -> None:
        local.make_coordinator(folder, "coordinator", "127.0.0.1:1", "127.0.0.1:2")
        self.profile = folder / "coordinator"
        self.nodes = {name: FakeNode(party(name), journal(folder, party(name))) for name in "abc"}
        self.store = Store(self.profile, COORDINATOR)
        self.store.log.start()

    def registry(self) -> Registry:
        witnesses = Witnesses(COORDINATOR.public, self.store.log)
        found = Registry(self.profile, self.store.log, witnesses)
        for node in self.nodes.values():
            link: Any = Link(node)
            found.nodes[node.identity.fingerprint] = NodeView(link)
        return found

    def seen(self, registry: Registry) -> set[str]:
        return {view.link.identity.name for view in registry.nodes.values() if view.reachable}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "deployment")


async def attend_until(registry: Registry, holds: Callable[[], bool]) -> None:
    attending = asyncio.create_task(registry.attend())
    try:
        async with asyncio.timeout(10):
            while not holds() and not attending.done():
                await asyncio.sleep(0.02)
        if attending.done():
            attending.result()
    finally:
        attending.cancel()
        await asyncio.gather(attending, return_exceptions=True)


def test_node_that_hangs_keeps_nobody_else_waiting(scene: Scene) -> None:
    scene.nodes["b"].hangs = True
    registry = scene.registry()
    others = {"a", "c"}
    asyncio.run(
        attend_until(
            registry, lambda: scene.seen(registry) == others and scene.store.log.confirmed()
        )
    )
    assert scene.seen(registry) == others


def test_node_that_goes_and_comes_back_is_noticed_both_times(scene: Scene) -> None:
    registry = scene.registry()
    scene.nodes["c"].away = True
    asyncio.run(attend_until(registry, lambda: scene.seen(registry) == {"a", "b"}))
    scene.nodes["c"].away = False
    asyncio.run(attend_until(registry, lambda: scene.seen(registry) == {"a", "b", "c"}))


def test_cosignatures_are_carried_to_the_node_whose_log_they_vouch_for(scene: Scene) -> None:
    registry = scene.registry()
    a = scene.nodes["a"].identity.fingerprint
    signed: Signed = party("b").sign("witness", {"of": "a"})
    registry._witnesses.cosigned[a] = (signed,)
    link: Any = registry.nodes[a].link
    asyncio.run(attend_until(registry, lambda: bool(link.kept)))
    assert link.kept == [to_message(signed)]


def test_restored_coordinator_stops_when_a_node_knows_more_of_its_log(scene: Scene) -> None:
    copy(scene.profile / "coordinator.db", scene.profile / "old.db")
    asyncio.run(attend_until(scene.registry(), scene.store.log.confirmed))
    scene.store.log.append(EntryKind.JOB, {"digest": "a job that the old copy does not know"})
    head = scene.store.log.head()
    scene.nodes["c"].log.record_peer_head(head, COORDINATOR.public, [])
    scene.store.close()
    copy(scene.profile / "old.db", scene.profile / "coordinator.db")
    scene.store = Store(scene.profile, COORDINATOR)
    scene.store.log.start()
    with pytest.raises(StateError, match="SB-6022"):
        asyncio.run(attend_until(scene.registry(), lambda: False))


def test_configuration_that_is_being_edited_changes_nothing(scene: Scene) -> None:
    registry = scene.registry()
    (scene.profile / "config.toml").write_text("name = ")
    asyncio.run(attend_until(registry, lambda: scene.seen(registry) == {"a", "b", "c"}))
    assert scene.seen(registry) == {"a", "b", "c"}
