"""Attack j29: a coordinator makes a node fall over within a join, and asks for the same join again."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.coordinator.nodelink import NodeLink
from sandbox.crypto.identity import Signed
from sandbox.crypto.join.dealer import deal
from sandbox.errors import SandboxError
from tests.attacks.join.test_processes import (
    ALL,
    DEADLINE_S,
    SEMI,
    Carried,
    Coordinator,
    Hostile,
    drafted,
)
from tests.endtoend import shops
from tests.faults.parties import Deployment, running, until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crash") / "deployment"


@pytest.fixture(scope="module")
def whole(folder: Path) -> Iterator[Deployment]:
    with running(folder, shops.make, frozenset({"a.people", "b.purchases"})) as deployment:
        yield deployment


def rostered(coordinator: Coordinator, job: Signed) -> list[Signed]:
    """Return the signatures under a job's roster, once every node offers: one that has just started
    waits for a witness first."""

    async def offered() -> bool:
        links = coordinator.links()
        replies = [await link.offer(job, 1, DEADLINE_S) for link in links.values()]
        await closed(links)
        return all(reply.HasField("offer") for reply in replies)

    async def signed() -> list[Signed]:
        links = coordinator.links()
        roster = await coordinator.rostered(links, job)
        await closed(links)
        return roster

    until("all nodes offering", lambda: asyncio.run(offered()))
    return asyncio.run(signed())


async def closed(links: dict[str, NodeLink]) -> None:
    for link in links.values():
        await link.close()


def joined(coordinator: Coordinator, job: Signed, roster: list[Signed]) -> tuple[str, Carried]:
    """Run a rostered join; return the code of what went wrong, "" if nothing, and what was carried."""

    async def run() -> tuple[str, Carried]:
        links, carried = coordinator.links(), Carried()
        try:
            dealer = deal([*links], os.urandom)
            await Hostile(coordinator.own, links, carried).run(
                job.digest, roster, dealer, DEADLINE_S
            )
        except SandboxError as error:
            return error.code, carried
        finally:
            await closed(links)
        return "", carried

    return asyncio.run(run())


def one_time_keys(roster: list[Signed]) -> set[str]:
    return {member["ephemeral"] for member in json.loads(roster[0].body)["members"]}


@pytest.mark.parametrize("statement", [ALL, SEMI], ids=["blind", "psi"])
@pytest.mark.parametrize("point", ["reserve: committed", "commit_share: begun"])
def test_attack_j29_join_that_a_crash_ended_never_runs_again_under_its_keys(
    whole: Deployment, folder: Path, statement: str, point: str
) -> None:
    """Its masks would be the first run's, over other slots and noise: differences show the columns."""
    whole.healthy()
    coordinator = Coordinator(folder)
    job = drafted(whole.session, statement)
    roster = rostered(coordinator, job)
    a = whole.nodes["a"]
    a.arm(point)
    assert joined(coordinator, job, roster)[0]
    until("node a's end", lambda: a.dead)
    whole.healthy()
    until("node a being back", a.ready)
    assert a.armed == []
    again = rostered(coordinator, drafted(whole.session, statement))
    assert not one_time_keys(roster) & one_time_keys(again)
    code, carried = joined(coordinator, job, roster)
    assert code == "SB-5203"
    assert not [frame for frame in carried.frames if frame.source == "a"]
