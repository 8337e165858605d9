"""How long a worker may take part in a join follows from the join, and is no less than for any."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nodes import server, workers
from nodes.frames import Frames
from nodes.sources import ViewSource
from nodes.workers import JoinRequest, Limits, Workers
from sandbox.disposable import Header
from sandbox.errors import Unavailable
from sandbox.jobs import MOST_RUN_S


class Server:
    """Writes down what a worker would be asked, and is gone."""

    def __init__(self) -> None:
        self.asked: list[Header] = []

    def converse(self, header: Header, _: bytes) -> Any:
        self.asked.append(header)
        raise EOFError


def test_call_of_a_join_lasts_as_long_as_any_job_may_ask_for() -> None:
    assert server.DEADLINES_S["Join"] >= MOST_RUN_S


@pytest.mark.parametrize(("run_s", "given"), [(5, 900.0), (5000, 5000)])
def test_long_join_is_given_the_time_that_it_asks_for(
    tmp_path: Path, run_s: int, given: float
) -> None:
    pool, standing = Workers(tmp_path, Limits(join_deadline_s=900.0)), Server()
    served: Any = standing
    pool._servers[workers.JOIN] = served
    pool._temp.mkdir(parents=True)
    request = JoinRequest("who", "rows", ViewSource("SELECT 1", ()), {}, b"", run_s)
    with pytest.raises(Unavailable, match="SB-5201"):
        asyncio.run(pool.join(request, Frames()))
    assert [asked["deadline_s"] for asked in standing.asked] == [given]
