"""Published statements, asked of real nodes over small tables, are answered as DuckDB answers them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import duckdb
import pytest

from benchmarks.published import scql, smcql, tpch
from benchmarks.published.check import check, union
from benchmarks.published.model import Workload
from benchmarks.published.nodes import make
from sandbox.client import Session
from tests.endtoend import deployment, published_rows

WORKLOADS = {
    "tpch": (tpch.workload(Decimal("0.001")), published_rows.tpch),
    "smcql": (smcql.WORKLOAD, published_rows.smcql),
    "scql": (scql.WORKLOAD, published_rows.scql),
}
RUNS_IN_TPCH = {"q1", "q4", "q5", "q6", "q7", "q12", "q13", "q14", "q19"}
RUN = [(n, s.name) for n, (w, _) in WORKLOADS.items() for s in w.statements
       if n != "tpch" or s.name in RUNS_IN_TPCH]  # fmt: skip


@dataclass(frozen=True)
class Running:
    workload: Workload
    session: Session
    plain: duckdb.DuckDBPyConnection


@pytest.fixture(scope="module", params=list(WORKLOADS))
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    workload, write = WORKLOADS[request.param]
    data = tmp_path_factory.mktemp(request.param)
    write(data)
    files = workload.files(data, data)
    folder = data / "deployment"
    make(folder, workload, files)
    with deployment.running(folder, plain=True), deployment.researcher(folder) as session:
        yield Running(workload, session, union(workload, files))


@pytest.mark.parametrize(("running", "name"), RUN, indirect=["running"], scope="module")
def test_a_published_statement_is_answered_as_over_plain_tables(
    running: Running, name: str
) -> None:
    (statement,) = (s for s in running.workload.statements if s.name == name)
    outcome = check(running.session, running.workload, statement, running.plain, None, noised=False)
    assert not outcome.refusal, outcome.refusal
    assert outcome.expected, "the small tables give no answer to compare with"
    assert all(value is not None for row in outcome.expected for value in row)
    assert outcome.equal, f"{outcome.found}, not {outcome.expected}"
