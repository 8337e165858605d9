"""Attacks j05, j08, j13, j26, j27, j28, j35: by the coordinator of two real nodes.

It asks the nodes itself, with its own certificate, and carries their frames as it likes. Nodes draw no
noise, so that what it sees of two statements can be compared exactly.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import pytest

from sandbox.client import Session
from sandbox.config import load_node
from sandbox.coordinator.nodelink import NodeLink
from sandbox.coordinator.relay import Relay
from sandbox.crypto.identity import Identity, Role, Signed, load_public
from sandbox.crypto.join.dealer import deal
from sandbox.crypto.join.shape import read_shapes
from sandbox.crypto.join.shares import _purpose
from sandbox.crypto.join.words import words_named
from sandbox.crypto.seal import open_sealed
from sandbox.errors import SandboxError
from sandbox.jobs import JOB_KIND, OFFER_KIND
from sandbox.rpc.documents import from_message
from sandbox.rpc.joinparts import Frame
from sandbox.submission import Terms, draft_job
from tests.endtoend import deployment, shops
from tests.nodes.trio import roster_body

DEADLINE_S = 60.0
ALL = "SELECT COUNT(*) AS n FROM a.people p JOIN b.purchases q ON p.id = q.buyer"
ONE = ALL + " WHERE p.age = 33 AND q.amount > 299"
SEMI = "SELECT COUNT(*) AS n FROM a.people WHERE id IN (SELECT buyer FROM b.purchases)"


@dataclass
class Seen:
    """A frame that was carried."""

    source: str
    to: str
    payload: bytes


@dataclass
class Carried:
    """What a relay has seen, and what it does with the frame number `altered` between the nodes."""

    frames: list[Seen] = field(default_factory=list)
    altered: int | None = None
    how: str = ""

    def between(self) -> list[Seen]:
        return [frame for frame in self.frames if frame.to != "coordinator"]

    def tags(self, source: str) -> set[bytes]:
        """The pseudonyms that a node sent, after its shapes: one frame."""
        heard = [f.payload for f in self.frames if (f.source, f.to) == (source, "coordinator")]
        shapes, raw = heard[:2]
        width = read_shapes(shapes, source)[0].tag_bytes
        return {raw[at : at + width] for at in range(0, len(raw), width)}


class Hostile(Relay):
    """A relay that keeps what it carries, and alters, drops or repeats one frame."""

    def __init__(self, own: str, links: dict[str, NodeLink], carried: Carried) -> None:
        super().__init__(own, links)
        self._names = {own: "coordinator"} | {f: link.identity.name for f, link in links.items()}
        self._carried = carried

    async def _carry(self, source: str, frame: Frame) -> None:
        seen = Seen(self._names[source], self._names[frame.party], bytes(frame.payload))
        if seen.to != "coordinator" and len(self._carried.between()) == self._carried.altered:
            match self._carried.how:
                case "altered":
                    frame = Frame(frame.party, bytes([seen.payload[0] ^ 1]) + seen.payload[1:])
                case "cut":
                    frame = Frame(frame.party, seen.payload[:-1])
                case "repeated":
                    await super()._carry(source, frame)
        self._carried.frames.append(seen)
        await super()._carry(source, frame)


class Coordinator:
    """Asks nodes as their coordinator, whatever the real one does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.own = load_public(folder / "coordinator").fingerprint

    def links(self) -> dict[str, NodeLink]:
        made = [
            NodeLink(self.folder / "coordinator", load_public(node), load_node(node).listen)
            for node in (self.folder / "nodes" / "a", self.folder / "nodes" / "b")
        ]
        return {link.identity.fingerprint: link for link in made}

    async def offers(self, links: dict[str, NodeLink], job: Signed) -> list[Signed]:
        """Return what the nodes offer for a job, in their order."""
        replies = [await link.offer(job, 1, DEADLINE_S) for link in links.values()]
        assert all(reply.HasField("offer") for reply in replies), replies
        return [from_message(reply.offer) for reply in replies]

    async def rostered(self, links: dict[str, NodeLink], job: Signed) -> list[Signed]:
        """Return the signatures under a job's roster."""
        offers = await self.offers(links, job)
        body = roster_body(job, offers)
        signed = [await link.sign_roster(job, body, offers) for link in links.values()]
        return sorted(signed, key=lambda one: one.signer)

    def join(self, job: Signed, *carried: Carried) -> list[bytes | str]:
        """Run a job's join once for each of `carried`; return all shares, or the error's code."""

        async def run() -> list[bytes | str]:
            links = self.links()
            roster = await self.rostered(links, job)
            outcomes: list[bytes | str] = []
            for each in carried:
                dealer = deal([*links], os.urandom)
                try:
                    await Hostile(self.own, links, each).run(job.digest, roster, dealer, DEADLINE_S)
                    shares = [
                        await link.compute(job.digest, roster, DEADLINE_S)
                        for link in links.values()
                    ]
                    outcomes.append(b"".join(share.payload for share in shares))
                except SandboxError as error:
                    outcomes.append(error.code)
            for link in links.values():
                await link.close()
            return outcomes

        return asyncio.run(run())


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    folder = tmp_path_factory.mktemp("hostile") / "deployment"
    shops.make(folder)
    with deployment.running(folder, plain=True):
        yield Coordinator(folder)


@pytest.fixture(scope="module")
def session(coordinator: Coordinator) -> Iterator[Session]:
    with Session.open(coordinator.folder / "researcher") as opened:
        yield opened


def drafted(session: Session, statement: str) -> Signed:
    """Return a job that its researcher has signed, not submitted."""
    draft = draft_job(
        session.sql(statement).plan,
        Terms(Decimal("0.05"), Decimal("1e-7")),
        session.catalogue(),
        session.identities(),
        session._identity.public.fingerprint,
        session._coordinator.fingerprint,
        session.result_key,
        int(time.time()),
    )
    return session._identity.sign(JOB_KIND, draft.spec.body())


def test_attack_j05_narrow_filter_is_not_read_off_what_is_carried_or_matched(
    coordinator: Coordinator, session: Session
) -> None:
    seen = []
    for statement in (ALL, ONE):
        carried = Carried()
        (outcome,) = coordinator.join(drafted(session, statement), carried)
        assert isinstance(outcome, bytes)
        # Shapes apart, which name fingerprints and numbers of the statement's own.
        rest = (f for f in carried.frames if not f.payload.startswith(b"["))
        lengths = sorted((f.source, f.to, len(f.payload)) for f in rest)
        seen.append((lengths, len(carried.tags("a") & carried.tags("b"))))
    (lengths, matched), (filtered_lengths, filtered_matched) = seen
    assert lengths == filtered_lengths
    assert matched == filtered_matched


def test_attack_j35_nothing_above_the_ring_leaves_with_a_share(
    coordinator: Coordinator, session: Session
) -> None:
    """Shares are added modulo the job's ring. Bits above it are no noised sum's: they would tell of the
    columns under their masks, to a researcher who also has the coordinator's view."""
    job = drafted(session, ALL)
    ring = words_named(json.loads(job.body)["ring"])
    assert ring.width < 8

    async def shares() -> list[bytes]:
        links = coordinator.links()
        roster = await coordinator.rostered(links, job)
        await Relay(coordinator.own, links).run(
            job.digest, roster, deal([*links], os.urandom), DEADLINE_S
        )
        found = []
        for node, link in links.items():
            share = await link.compute(job.digest, roster, DEADLINE_S)
            purpose = _purpose(job.digest, roster[0].digest, node)
            found.append(open_sealed(session._identity, purpose, share.payload))
            await link.close()
        return found

    for opened in asyncio.run(shares()):
        words = [int.from_bytes(opened[n : n + 8], "little") for n in range(0, len(opened), 8)]
        assert words
        assert all(word < ring.modulus for word in words)


def test_attack_j08_join_that_is_asked_for_again_is_the_stored_share(
    coordinator: Coordinator, session: Session
) -> None:
    """A second run would draw other noise, and masks under keys that were used."""
    first, again = Carried(), Carried()
    outcomes = coordinator.join(drafted(session, ALL), first, again)
    assert isinstance(outcomes[0], bytes)
    assert outcomes[0] == outcomes[1]
    assert first.between()
    assert not again.frames


def test_attack_j13_whatever_is_altered_the_nodes_say_one_thing_and_never_join_again(
    coordinator: Coordinator, session: Session
) -> None:
    outcomes: set[bytes | str] = set()
    for statement, altered, how in [
        (ALL, 0, "altered"),
        (ALL, 0, "cut"),
        (SEMI, 0, "repeated"),
        (SEMI, 1, "altered"),
        (SEMI, 2, "cut"),
    ]:
        tried, again = Carried(altered=altered, how=how), Carried()
        outcomes.update(coordinator.join(drafted(session, statement), tried, again))
        assert not again.frames
    assert outcomes == {"SB-5203"}


Ask = Callable[[dict[str, NodeLink]], Awaitable[object]]


def refusal(coordinator: Coordinator, ask: Ask) -> str:
    """Return the code under which nodes refuse what a coordinator asks of them."""

    async def asked() -> str:
        links = coordinator.links()
        try:
            await ask(links)
        except SandboxError as error:
            return error.code
        finally:
            for link in links.values():
                await link.close()
        return "nobody refused"

    return asyncio.run(asked())


def test_attack_j26_coordinator_that_puts_a_key_of_its_own_into_the_roster_is_refused(
    coordinator: Coordinator, session: Session
) -> None:
    """It would agree with either node on the keys under which the nodes think they agree."""
    job = drafted(session, ALL)

    async def swapped(links: dict[str, NodeLink]) -> None:
        a, _b = links.values()
        offers = await coordinator.offers(links, job)
        theirs = json.loads(offers[1].body)["ephemeral"].encode()
        body = roster_body(job, offers).replace(theirs, b"09" + b"00" * 31)
        assert theirs not in body
        await a.sign_roster(job, body, offers)

    assert refusal(coordinator, swapped) == "SB-3117"


def test_attack_j26_provider_that_the_coordinator_mints_takes_part_in_no_join(
    coordinator: Coordinator, session: Session
) -> None:
    """It stands for the other table's owner, or beside both."""
    job, sham = drafted(session, ALL), Identity.generate("b", Role.NODE)

    def minted(replaced: bool) -> Ask:
        async def ask(links: dict[str, NodeLink]) -> None:
            a, _ = links.values()
            offers = await coordinator.offers(links, job)
            own = json.loads(offers[1].body) | {"node": sham.public.fingerprint}
            offers[1 if replaced else 2 :] = [sham.sign(OFFER_KIND, own)]
            await a.sign_roster(job, roster_body(job, offers), offers)

        return ask

    assert [refusal(coordinator, minted(replaced)) for replaced in (True, False)] == ["SB-3117"] * 2


def test_attack_j27_join_under_another_roster_than_the_one_signed_is_refused(
    coordinator: Coordinator, session: Session
) -> None:
    """Of another job with the same tables, of fewer members, or of none."""
    job, other = drafted(session, ALL), drafted(session, ALL)

    def under(swap: Callable[[list[Signed], list[Signed]], list[Signed]]) -> Ask:
        async def ask(links: dict[str, NodeLink]) -> None:
            own, others = [await coordinator.rostered(links, each) for each in (job, other)]
            dealer = deal([*links], os.urandom)
            await Relay(coordinator.own, links).run(
                job.digest, swap(own, others), dealer, DEADLINE_S
            )

        return ask

    swaps: list[Callable[[list[Signed], list[Signed]], list[Signed]]] = [
        lambda own, others: others,
        lambda own, others: own[:1],
        lambda own, others: [],
    ]
    assert [refusal(coordinator, under(swap)) for swap in swaps] == ["SB-3117"] * 3


def test_attack_j28_coordinator_that_asks_each_node_another_statement_is_refused(
    coordinator: Coordinator, session: Session
) -> None:
    """The difference of what both answer is a row. Either job is the researcher's own."""
    job, narrow = drafted(session, ALL), drafted(session, ONE)

    async def mixed(links: dict[str, NodeLink]) -> None:
        a, _ = links.values()
        offers = await coordinator.offers(links, job)
        offers[1] = (await coordinator.offers(links, narrow))[1]
        await a.sign_roster(job, roster_body(job, offers), offers)

    assert refusal(coordinator, mixed) == "SB-3117"


def test_attack_j28_coordinator_that_alters_the_statement_is_refused(
    coordinator: Coordinator, session: Session
) -> None:
    job = drafted(session, ALL)
    altered = replace(job, body=job.body.replace(b"COUNT(*)", b"SUM(age)"))
    assert altered.body != job.body

    async def codes() -> set[str]:
        links = coordinator.links()
        replies = [await link.offer(altered, 1, DEADLINE_S) for link in links.values()]
        for link in links.values():
            await link.close()
        return {reply.problem.code for reply in replies}

    assert asyncio.run(codes()) == {"SB-3012"}
