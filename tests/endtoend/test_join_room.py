"""A coordinator that may match no more rows than `join_rows` says so before anything is charged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.client import Session
from sandbox.config import CONFIG_FILE
from sandbox.crypto.join.shape import CHECK_KEYS
from sandbox.errors import Refusal
from tests.endtoend import deployment, shops

JOINED = "SELECT COUNT(*) AS n FROM a.people p JOIN b.purchases q ON p.id = q.buyer"
MATCHED = "SELECT COUNT(*) AS n FROM a.people WHERE id IN (SELECT buyer FROM b.purchases)"
ROWS = 1600
"""What both cards declare; dummies come on top."""
SPILLED_MB = 100


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("room") / "deployment"
    shops.make(folder)
    config = folder / "coordinator" / CONFIG_FILE
    config.write_text(f"join_rows = {ROWS}\n{config.read_text('utf-8')}", "utf-8")
    with deployment.running(folder, plain=True), deployment.researcher(folder) as opened:
        yield opened


def test_larger_join_is_refused_by_name_and_costs_nothing(session: Session) -> None:
    before = deployment.left(session)
    with pytest.raises(Refusal, match="SB-1110") as raised:
        session.sql(JOINED).run(epsilon="1", delta="1e-6")
    assert int(raised.value.facts["most"]) == ROWS
    assert int(raised.value.facts["rows"]) > ROWS
    assert deployment.left(session) == before


def test_check_keys_of_a_verified_join_take_room_as_dummies_do(session: Session) -> None:
    rows = []
    for verify in (False, True):
        with pytest.raises(Refusal, match="SB-1110") as raised:
            session.sql(JOINED).run(epsilon="1", delta="1e-6", verify=verify)
        rows.append(int(raised.value.facts["rows"]))
    assert rows[1] - rows[0] == 2 * CHECK_KEYS


def test_psi_that_the_coordinator_only_carries_runs_all_the_same(session: Session) -> None:
    session.sql(MATCHED).run(epsilon="1", delta="1e-6")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Cards of more than one bucket, at a node whose owner lets little be spilled."""
    folder = tmp_path_factory.mktemp("disk") / "deployment"
    shops.make(folder, row_bound=5_000_000)
    config = folder / "nodes" / "a" / CONFIG_FILE
    config.write_text(f"temp_limit_mb = {SPILLED_MB}\n{config.read_text('utf-8')}", "utf-8")
    with deployment.running(folder, plain=True), deployment.researcher(folder) as opened:
        yield opened


def test_psi_that_would_spill_more_than_an_owner_allows_is_refused_and_costs_nothing(
    narrow: Session,
) -> None:
    before = deployment.left(narrow)
    with pytest.raises(Refusal, match="SB-2271") as raised:
        narrow.sql(MATCHED).run(epsilon="1", delta="1e-6")
    assert raised.value.facts["node"] == "a"
    assert int(raised.value.facts["needed"]) > int(raised.value.facts["most"]) == SPILLED_MB
    assert deployment.left(narrow) == before
