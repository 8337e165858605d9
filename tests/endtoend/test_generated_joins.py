"""Generated joins of two tables through real nodes, without noise, against plain SQL over the union."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from sandbox.client import Session
from tests.endtoend import towns
from tests.endtoend.generated import OTHERS, TWO_TABLES
from tests.sql.town import Town, database, rows

AT_LEAST = 300
OF_EACH = 5
FORMS = (
    "blind", "psi", "plain", "malicious", "verified", "2 providers", "3 providers", "4 providers",
    "5 providers", "2 tables", "3 tables", "4 tables", "5 tables", "inner join", "left join",
    "collection", "composite key", "normalised key", "one to one", "many to one", "many to many",
    "filter on the first side", "filter on a later side", "disjunction across sides",
    "equal small domains", "product across sides", "ungrouped", "grouped by one side",
    "grouped by several sides", "EXISTS", "IN (SELECT", "filter beside the subquery",
    "filter in the subquery", "count", "sum", "avg", "var", "stddev", "covar", "corr",
)  # fmt: skip


@pytest.fixture(scope="module")
def town() -> Town:
    return database(rows(seed=5, people=24))


@pytest.fixture(scope="module")
def session(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with towns.asked(tmp_path_factory.mktemp("town") / "deployment", town) as session:
        yield session


def test_generated_joins_are_of_every_form() -> None:
    """A generator that stopped to produce something would leave it untested."""
    counted: Counter[str] = Counter()
    asked = 0
    for batch in (*TWO_TABLES.values(), *OTHERS.values()):
        for _, planned in batch.drawn():
            counted.update(batch.forms(planned))
            asked += 1
    assert asked >= AT_LEAST
    assert not {form: counted[form] for form in FORMS if counted[form] < OF_EACH}, counted


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", TWO_TABLES)
def test_joins_of_two_tables_through_real_nodes_answer_as_plain_sql_does(
    session: Session, town: Town, kind: str
) -> None:
    TWO_TABLES[kind].equals_duckdbs(session, town)
