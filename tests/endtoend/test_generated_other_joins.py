"""Generated joins of three to five tables, and semi-joins, through real nodes, without noise, against
plain SQL over the union. test_generated_joins counts their forms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.client import Session
from tests.endtoend import towns
from tests.endtoend.generated import OTHERS
from tests.sql.town import Town, database, rows


@pytest.fixture(scope="module")
def town() -> Town:
    return database(rows(seed=6, people=24))


@pytest.fixture(scope="module")
def session(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with towns.asked(tmp_path_factory.mktemp("town") / "deployment", town) as session:
        yield session


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", OTHERS)
def test_joins_through_real_nodes_answer_as_plain_sql_does(
    session: Session, town: Town, kind: str
) -> None:
    OTHERS[kind].equals_duckdbs(session, town)
