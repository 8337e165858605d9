"""A researcher watches and stops joins of real nodes: phases in order; what one held is free at once."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nodes import worker_main
from nodes.taskrows import TaskState
from nodes.vault import Vault
from nodes.workers import TEMP
from sandbox.audit.logrows import EntryKind
from sandbox.client import Session
from sandbox.coordinator.store import Store
from sandbox.crypto.identity import Identity
from sandbox.errors import InputError
from sandbox.jobview import JobView
from sandbox.processes import Processes
from sandbox.progress import done, member_at
from sandbox.query import Wishes
from tests.cli.commands import ok
from tests.endtoend import deployment, shops
from tests.endtoend.test_disclosures import allow

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

ROWS = 1 << 20
"""Declared of either table, so that a join of a few hundred rows takes a second or two."""
STATEMENTS = {
    "blind": "SELECT COUNT(*) AS n FROM a.people p JOIN b.purchases q ON p.id = q.buyer",
    "psi": "SELECT COUNT(*) AS n FROM a.people WHERE id IN (SELECT buyer FROM b.purchases)",
}
SOON_S = 10.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("stopping") / "deployment"
    shops.make(made, ROWS)
    allow(made, "b", "purchases", ("a",))
    return made


@pytest.fixture(scope="module")
def processes(folder: Path) -> Iterator[Processes]:
    with deployment.running(folder, plain=True) as running:
        yield running


@pytest.fixture(scope="module")
def session(folder: Path, processes: Processes) -> Iterator[Session]:
    with deployment.researcher(folder) as opened:
        yield opened


def submitted(session: Session, mode: str) -> str:
    asked = session.sql(STATEMENTS[mode])
    return session.submit(asked.plan, asked.terms(Wishes(epsilon="1", delta="1e-6")))


def at_work(folder: Path) -> list[Path]:
    """What workers may spill into, while they work."""
    return [left for name in "ab" for left in (folder / "nodes" / name / TEMP).iterdir()]


def soon(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def until_it_runs(session: Session, folder: Path, job: str) -> None:
    """Return once both nodes' workers are at work and frames have passed between them: tags of a join
    that multiplies, correlations of a PSI; of what only matches, what members state."""
    spec = json.loads(session._notes.read(job).signed.body)
    multiplies = " JOIN " in spec["statement"] and not spec["prepare"]
    for view in session.watch(job):
        assert not view.ended, view.problem
        if any(each.moved if multiplies else each.phase != "vole" for each in view.progress):
            break
    assert at_work(folder)


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def workers(processes: Processes, name: str) -> set[int]:
    """Return the processes of a node that wait for a join or are at work on one."""
    (node,) = (program for program in processes.programs if program.folder.name == name)
    (server,) = (
        pid
        for pid in children(processes.pid(node))
        if worker_main.JOIN.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    )
    return children(server)


@contextmanager
def vault_of(folder: Path, name: str) -> Iterator[Vault]:
    node = folder / "nodes" / name
    vault = Vault.open(node, Identity.load(node))
    try:
        yield vault
    finally:
        vault.close()


def charges(vault: Vault, job: str) -> list[tuple[str, str, int]]:
    """Return what a job took of each budget of a node."""
    with vault.database.read() as connection:
        rows = connection.execute(
            "SELECT budget_group, researcher, loss FROM ledger WHERE job = :job"
            " ORDER BY budget_group, researcher",
            {"job": job},
        )
        return [tuple(row) for row in rows]


PHASES = {
    "blind": ["reading", "tags", "matching", "multiplying", "shares"],
    "psi": ["vole", "reading", "encoded", "values", "shares"],
}


@pytest.mark.parametrize("mode", STATEMENTS)
def test_watchers_see_the_phases_of_each_member_in_order_and_sizes_that_cards_declare(
    folder: Path, session: Session, mode: str
) -> None:
    def watched(statement: str) -> list[JobView]:
        views: list[JobView] = []
        session.sql(statement).run(epsilon="1", delta="1e-6", progress=views.append)
        return views

    narrow = STATEMENTS[mode] + {"blind": " WHERE p.age = 33", "psi": " AND age = 33"}[mode]
    sizes = []
    for views in (watched(STATEMENTS[mode]), watched(narrow)):
        assert [done(view) for view in views] == sorted(done(view) for view in views)
        assert {each.party for view in views for each in view.progress} == {"a", "b"}
        for party in "ab":
            way = [each for view in views for each in view.progress if each.party == party]
            phases = [phase for phase, _ in itertools.groupby(each.phase for each in way)]
            # Some may have passed between two words of them.
            assert [phase for phase in PHASES[mode] if phase in phases] == phases
            assert [each.moved for each in way] == sorted(each.moved for each in way)
            assert len(phases) > 1
            assert all(member_at(each) for each in way)
        sizes.append({(each.party, each.all) for view in views for each in view.progress})
        assert len(sizes[-1]) == 2
    assert sizes[0] == sizes[1]
    # As protocols.md counts them.
    least = {"blind": 2 * 4 * ROWS, "psi": 16 * ROWS}[mode]
    assert all(least < every < 10 * least for _, every in sizes[0])


def test_the_command_that_watches_tells_progress_as_json(session: Session, folder: Path) -> None:
    job = submitted(session, "blind")
    profile = ("--profile", folder / "researcher")
    lines = ok("job", job, "--watch", "--format", "json", *profile).stdout.splitlines()
    told = [each for line in lines for each in json.loads(line)["progress"]]
    assert {each["party"] for each in told} == {"a", "b"}
    assert all(each["moved"] <= each["all"] for each in told)
    assert json.loads(lines[-1])["progress"] == []
    assert any(json.loads(line)["waiting"] for line in lines)


@pytest.mark.parametrize("mode", STATEMENTS)
def test_join_that_runs_is_stopped_charged_once_and_its_nodes_are_free_at_once(
    folder: Path, processes: Processes, session: Session, mode: str
) -> None:
    job = submitted(session, mode)
    until_it_runs(session, folder, job)
    during = {name: workers(processes, name) for name in "ab"}
    view = session.cancel(job)
    assert (view.phase, view.begun, view.untold) == ("cancelled", True, ())
    following = submitted(session, mode)
    for name in "ab":
        soon(lambda name=name: len(during[name] - workers(processes, name)) > 0)  # type: ignore[misc]
    result = session.result(following, session.wait(following, None))
    (expected,) = shops.duck(folder).execute(STATEMENTS[mode]).fetchall()
    assert [result.to_arrow().to_pylist()[0]["n"]] == [*expected]
    assert [record for record in session.jobs() if not record.ended] == []
    assert not at_work(folder)
    for name in "ab":
        with vault_of(folder, name) as vault:
            task = vault.task_of(job)
            assert task is not None
            assert task.state is TaskState.CANCELLED
            kinds = [record.entry.kind for record in vault.log.entries(job)]
            assert kinds == ["job", "roster", "reservation", "cancellation"]
            assert charges(vault, job) == charges(vault, result.job_id) != []
            vault.log.check()
    with pytest.raises(InputError, match="SB-3290"):
        session.result(job)
    told = ok("cancel", job, "--profile", folder / "researcher")  # Again, which changes nothing.
    assert "stays spent" in told.stderr
    assert "stays spent" in ok("job", job, "--profile", folder / "researcher").stdout
    store = Store(folder / "coordinator", Identity.load(folder / "coordinator"))
    assert [record.entry.kind for record in store.log.entries(job)] == [
        EntryKind.JOB, EntryKind.ROSTER, EntryKind.CANCELLATION,
    ]  # fmt: skip
    store.close()


def test_stopped_disclosure_and_preparation_leave_no_file(folder: Path, session: Session) -> None:
    ids = session.join("a.people", "b.purchases", on="id=buyer")
    kept = session.prepare(
        "x", "a.people", "b.purchases", on="id=buyer", epsilon="0.05", delta="1e-9"
    )
    for plan, terms in ((ids.plan, ids._terms), (kept.plan, kept.terms)):
        job = session.submit(plan, terms)
        until_it_runs(session, folder, job)
        assert session.cancel(job).phase == "cancelled"
        soon(lambda: not at_work(folder))
        for name in "ab":
            for left in ("joined", "matchings"):
                assert [*(folder / "nodes" / name).glob(f"{left}/*")] == []
