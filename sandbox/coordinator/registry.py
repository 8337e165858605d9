"""Which nodes there are, whether they answer, and what they declare.

The registry asks every node every second, each at its own pace. It notices one that is gone or came
back, collects the signed catalogue, and brings a restarted node, or the coordinator itself, the
witnesses' answers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.audit.journal import Journal
from sandbox.config import load_coordinator
from sandbox.coordinator.evidence import Witnesses
from sandbox.coordinator.nodelink import NodeLink
from sandbox.crypto.identity import PublicIdentity, Role, Signed
from sandbox.crypto.trust import Trust
from sandbox.errors import SandboxError, StateError, TrustError
from sandbox.rpc.documents import from_message, to_message

ATTEND_EVERY_S = 1.0
HURRY_S = 0.2
"""Between looks while some node is not there yet or not confirmed: a start should not wait a second."""

log = logging.getLogger("sandbox.coordinator")


@dataclass
class NodeView:
    """What the coordinator last saw of one node. `confirmed`: a witness knows its newest head;
    `problem`: why it is not reachable."""

    link: NodeLink
    reachable: bool = False
    problem: SandboxError | None = None
    confirmed: bool = False
    version: str = ""
    last_seen: int = 0
    clock_skew_ms: int = 0
    datasets: tuple[Signed, ...] = ()
    collections: tuple[Signed, ...] = ()
    policies: tuple[Signed, ...] = ()


class Registry:
    """The coordinator's nodes, kept up to date with its configuration."""

    def __init__(self, profile: Path, own_log: Journal, witnesses: Witnesses) -> None:
        self._profile = profile
        self._log = own_log
        self._witnesses = witnesses
        self._trust = Trust(profile)
        self.nodes: dict[str, NodeView] = {}
        self._refresh()

    @property
    def links(self) -> Mapping[str, NodeLink]:
        """Links by fingerprint."""
        return {fingerprint: view.link for fingerprint, view in self.nodes.items()}

    async def attend(self) -> None:
        """Keep asking all nodes, until cancelled.

        Raises StateError SB-6022 where a node knows more of the coordinator's log than it does.
        """
        looks: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                self._refresh_if_readable()
                for name, view in self.nodes.items():
                    # A node that hangs must not keep the others waiting.
                    if name not in looks or looks[name].done():
                        looks[name] = asyncio.create_task(self._look_at(view))
                settled = await self._own_head_confirmed() and all(
                    view.reachable and view.confirmed for view in self.nodes.values()
                )
                await asyncio.sleep(ATTEND_EVERY_S if settled else HURRY_S)
        finally:
            for look in looks.values():
                look.cancel()

    async def close(self) -> None:
        """Close all channels."""
        await asyncio.gather(*(view.link.close() for view in self.nodes.values()))

    def _refresh_if_readable(self) -> None:
        try:
            self._refresh()
        except SandboxError as error:
            # Somebody is editing the configuration: what was read last stays in force.
            log.warning("%s", error)

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
        try:
            await self._ask(view)
        except SandboxError as error:
            if view.reachable:
                log.warning("%s: %s", view.link.identity.name, error.code)
            view.reachable = False
            view.problem = error
        except Exception:
            log.exception("%s", view.link.identity.name)
            view.reachable = False

    async def _ask(self, view: NodeView) -> None:
        asked = time.time()
        description = await view.link.describe()
        now = time.time()
        identity = PublicIdentity.from_document(json.loads(description.identity))
        if identity.fingerprint != view.link.identity.fingerprint:
            raise TrustError("SB-3114", signer=identity.fingerprint)
        view.reachable = True
        view.problem = None
        view.version = description.version
        view.last_seen = int(now)
        view.clock_skew_ms = int(description.time - (asked + now) / 2 * 1000)
        view.datasets = tuple(from_message(signed) for signed in description.datasets)
        view.collections = tuple(from_message(signed) for signed in description.collections)
        view.policies = tuple(from_message(signed) for signed in description.policies)
        view.confirmed = not description.awaiting_witness or await self._confirm_head(
            view, description.awaiting_witness
        )
        if view.confirmed and (fresh := self._witnesses.cosigned.pop(identity.fingerprint, ())):
            await view.link.confirm_head([to_message(signed) for signed in fresh])

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

    async def _own_head_confirmed(self) -> bool:
        """Hold the coordinator's own log against what nodes have seen of it, once after a start."""
        own = self._log.owner.fingerprint
        if self._log.confirmed():
            self._keep_cosignatures(self._witnesses.cosigned.pop(own, ()))
            return True
        there = [view.link for view in self.nodes.values() if view.reachable]
        answers = await asyncio.gather(
            *(link.last_head(own, self._log.nonce) for link in there), return_exceptions=True
        )
        heard = [
            (from_message(answer), link.identity)
            for link, answer in zip(there, answers, strict=True)
            if not isinstance(answer, BaseException)
        ]
        try:
            self._log.take_last_heads(heard)
        except TrustError as error:
            log.warning("%s", error)
        except StateError as error:
            if error.code == "SB-6022":
                raise
            log.warning("%s", error)
        return self._log.confirmed()

    def _keep_cosignatures(self, cosigned: Sequence[Signed]) -> None:
        try:
            for signed in cosigned:
                self._log.acknowledge(signed, self.nodes[signed.signer].link.identity)
        except StateError as error:
            # They only sharpen the check at a later start; jobs tell of a store that is full.
            log.warning("%s", error)
