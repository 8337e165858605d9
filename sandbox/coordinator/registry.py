"""Which nodes there are, whether they answer, and what they declare.

The registry asks every node every few seconds. It notices one that is gone or came back, collects the
signed catalogue, and brings a restarted node its witnesses' answers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.config import load_coordinator
from sandbox.coordinator.nodelink import NodeLink
from sandbox.crypto.identity import PublicIdentity, Role, Signed
from sandbox.crypto.trust import Trust
from sandbox.errors import SandboxError
from sandbox.rpc.documents import from_message

ATTEND_EVERY_S = 1.0
HURRY_S = 0.2
"""Between looks while some node is not there yet or not confirmed: a start should not wait a second."""

log = logging.getLogger("sandbox.coordinator")


@dataclass
class NodeView:
    """What the coordinator last saw of one node. `confirmed`: a witness knows its newest head."""

    link: NodeLink
    reachable: bool = False
    confirmed: bool = False
    version: str = ""
    last_seen: int = 0
    clock_skew_ms: int = 0
    datasets: tuple[Signed, ...] = ()
    collections: tuple[Signed, ...] = ()
    policies: tuple[Signed, ...] = ()


class Registry:
    """The coordinator's nodes, kept up to date with its configuration."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._trust = Trust(profile)
        self.nodes: dict[str, NodeView] = {}
        self._refresh()

    @property
    def links(self) -> Mapping[str, NodeLink]:
        """Links by fingerprint."""
        return {fingerprint: view.link for fingerprint, view in self.nodes.items()}

    async def attend(self) -> None:
        """Keep asking all nodes, until cancelled."""
        while True:
            self._refresh()
            await asyncio.gather(*(self._look_at(view) for view in self.nodes.values()))
            settled = all(view.reachable and view.confirmed for view in self.nodes.values())
            await asyncio.sleep(ATTEND_EVERY_S if settled else HURRY_S)

    async def close(self) -> None:
        """Close all channels."""
        await asyncio.gather(*(view.link.close() for view in self.nodes.values()))

    def _refresh(self) -> None:
        known = self._trust.identities()
        for entry in load_coordinator(self._profile).nodes:
            identity = known.get(entry.fingerprint)
            if identity is None or identity.role is not Role.NODE:
                continue
            view = self.nodes.get(entry.fingerprint)
            if view is None or view.link.address != entry.address:
                link = NodeLink(self._profile, identity, entry.address)
                self.nodes[entry.fingerprint] = NodeView(link)

    async def _look_at(self, view: NodeView) -> None:
        asked = time.time()
        try:
            description = await view.link.describe()
        except SandboxError:
            view.reachable = False
            return
        now = time.time()
        identity = PublicIdentity.from_document(json.loads(description.identity))
        if identity.fingerprint != view.link.identity.fingerprint:
            log.warning("%s answers with another identity", view.link.address)
            view.reachable = False
            return
        view.reachable = True
        view.version = description.version
        view.last_seen = int(now)
        view.clock_skew_ms = int(description.time - (asked + now) / 2 * 1000)
        view.datasets = tuple(from_message(signed) for signed in description.datasets)
        view.collections = tuple(from_message(signed) for signed in description.collections)
        view.policies = tuple(from_message(signed) for signed in description.policies)
        view.confirmed = not description.awaiting_witness or await self._confirm_head(
            view, description.awaiting_witness
        )

    async def _confirm_head(self, view: NodeView, nonce: bytes) -> bool:
        """Carry the witnesses' answers to a node that was restarted; tell whether they suffice."""
        log_name = view.link.identity.fingerprint
        others = [other.link for name, other in self.nodes.items() if name != log_name]
        answers = await asyncio.gather(
            *(other.last_head(log_name, nonce) for other in others), return_exceptions=True
        )
        heard = [answer for answer in answers if not isinstance(answer, BaseException)]
        if not heard:
            return False
        try:
            return await view.link.confirm_head(heard)
        except SandboxError as error:
            log.warning("%s: %s", view.link.identity.name, error.code)
            return False
