"""Attacks 57 and 58: a request that eats memory, disk or time ends; the node and its log go on.

A researcher's SQL holds no such bomb (attacks 12-18), an owner's own view may: it is the view that
is armed here.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from nodes.registry import Registry
from nodes.sources import Source, ViewSource
from nodes.vault import Vault
from nodes.workers import FragmentRequest, Limits, Workers
from sandbox.crypto.identity import Identity, Role
from sandbox.errors import Unavailable
from sandbox.privacy.policy import default_policy
from tests.data.rows import KINDS, make_rows, planned, run_fragment

LIMITS = Limits(deadline_s=1.0, memory_bytes=64 << 20, temp_bytes=8 << 20)
COUNT = planned("SELECT COUNT(*) FROM meters")

BOMBS = {
    # 480 MB in one value.
    "memory": "SELECT * FROM meters WHERE (SELECT len(list(a)) FROM range(60000000) t(a)) > 0",
    # 300 MB of sort runs.
    "disk": "SELECT m.* FROM meters m, (SELECT a, hash(a) AS h FROM range(9000000) t(a) "
    "ORDER BY h, a OFFSET 8999999)",
    # Five hundred states at every character.
    "regex": "SELECT * FROM meters WHERE kind IS NOT NULL AND (SELECT count(*) FROM range(4) t(a) "
    "WHERE regexp_matches(repeat('a', 100000 + a), '(a?){500}b')) = 0",
    # Some seconds of pairs.
    "cross join": "SELECT m.* FROM meters m, range(3000) a(i), range(4000) b(j) "
    "WHERE hash(i, j, m.id) = 0",
}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return KINDS["csv"](tmp_path, make_rows(60))


def armed(sql: str, source: Source) -> ViewSource:
    return ViewSource(sql, (("meters", source),))


@pytest.mark.parametrize("bomb", BOMBS)
def test_attack_57_bomb_ends_its_worker_and_the_node_computes_on(
    tmp_path: Path, source: Source, bomb: str
) -> None:
    async def attack() -> list[int]:
        async with Workers(tmp_path, LIMITS) as workers:
            bombed = FragmentRequest("mallory", "bomb", armed(BOMBS[bomb], source), COUNT)
            begun = time.monotonic()
            with pytest.raises(Unavailable) as failed:
                await workers.sum_fragment(bombed)
            assert (failed.value.code, failed.value.facts) == ("SB-5201", {})
            assert time.monotonic() - begun < LIMITS.deadline_s + 2
            assert not list((tmp_path / "workers" / "temp").iterdir())
            return await workers.sum_fragment(FragmentRequest("alice", "meters", source, COUNT))

    assert asyncio.run(attack()) == run_fragment(source, COUNT)


def test_attack_58_full_queue_refuses_at_once_and_the_log_stays_writable(
    tmp_path: Path, source: Source
) -> None:
    vault = Vault.open(tmp_path, Identity.generate("north", Role.NODE))
    registry = Registry(vault)

    async def attack() -> None:
        async with Workers(tmp_path, Limits(active=1, waiting=2, deadline_s=1.0)) as workers:
            bomb = armed(BOMBS["cross join"].replace("3000", "300000"), source)
            requests = [
                asyncio.create_task(
                    workers.sum_fragment(FragmentRequest("mallory", "bomb", bomb, COUNT))
                )
                for _ in range(3)
            ]
            await asyncio.sleep(0.1)
            begun = time.monotonic()
            for _ in range(1000):
                with pytest.raises(Unavailable, match="SB-5202"):
                    workers.require_room()
            before = len(vault.log.entries())
            registry.set_policy("meters", default_policy())
            assert len(vault.log.entries()) == before + 1
            assert time.monotonic() - begun < 1.0
            failed = await asyncio.gather(*requests, return_exceptions=True)
            assert [getattr(error, "code", None) for error in failed] == ["SB-5201"] * 3
            workers.require_room()

    asyncio.run(attack())
    vault.close()
