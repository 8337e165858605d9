"""Attacks j20–j23, j08: on `sandbox join`, by a researcher or coordinator who wants ids told to another.

Two real nodes; b's owner lets a learn which of its ids are among b's buyers, and nobody else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.client import Session
from sandbox.crypto.identity import Signed, load_public
from sandbox.errors import Refusal, SandboxError
from sandbox.jobs import JOB_KIND, Disclosure, JobSpec
from sandbox.submission import draft_job
from tests.attacks.join.test_processes import Carried, Coordinator
from tests.endtoend import deployment, shops
from tests.endtoend.test_disclosures import allow


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    folder = tmp_path_factory.mktemp("told") / "deployment"
    shops.make(folder)
    allow(folder, "b", "purchases", ("a",))
    with deployment.running(folder):
        yield Coordinator(folder)


@pytest.fixture(scope="module")
def session(coordinator: Coordinator) -> Iterator[Session]:
    with Session.open(coordinator.folder / "researcher") as opened:
        yield opened


def drafted(session: Session, receiver: str = "a.people", **changed: object) -> Signed:
    """Return the job of a join of ids, signed by its researcher, with fields as he likes."""
    sender, on = ("b.purchases", "id=buyer") if receiver == "a.people" else ("a.people", "buyer=id")
    asked = session.join(receiver, sender, on=on)
    draft = draft_job(
        asked.plan,
        asked._terms,
        session.catalogue(),
        session.identities(),
        session._identity.public.fingerprint,
        session._coordinator.fingerprint,
        session.result_key,
        int(time.time()),
    )
    spec = JobSpec.model_validate({**draft.spec.model_dump(), **changed})
    return session._identity.sign(JOB_KIND, spec.body())


def refusal(session: Session, signed: Signed) -> str:
    """Return the code of what a job ends with."""
    session._connection.submit(signed)
    view = session.wait(json.loads(signed.body)["job"], None)
    return view.problem.code if view.problem else ""


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("nodes/*/joined/*"))


def test_attack_j20_job_that_names_another_node_the_receiver_is_refused(
    coordinator: Coordinator, session: Session
) -> None:
    """b's policy would be asked about a, and b would be told."""
    b = load_public(coordinator.folder / "nodes" / "b").fingerprint
    before = files(coordinator.folder)
    signed = drafted(session, disclosure=Disclosure(receiver=b, file="csv").model_dump())
    assert refusal(session, signed) == "SB-2252"
    assert files(coordinator.folder) == before


def test_attack_j21_node_that_no_owner_names_is_told_nothing(
    coordinator: Coordinator, session: Session
) -> None:
    """a's policy allows `psi` as b's does; that is no word about ids."""
    before = files(coordinator.folder)
    assert refusal(session, drafted(session, "b.purchases")) == "SB-2250"
    assert files(coordinator.folder) == before


def test_attack_j22_policy_that_changed_after_the_roster_still_holds(
    coordinator: Coordinator, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    rostered = Coordinator.rostered
    before = files(coordinator.folder)

    async def change_between(self: Coordinator, links: object, job: Signed) -> object:
        roster = await rostered(self, links, job)  # type: ignore[arg-type]
        allow(coordinator.folder, "b", "purchases", ())
        return roster

    monkeypatch.setattr(Coordinator, "rostered", change_between)
    try:
        (outcome,) = coordinator.join(drafted(session), Carried())
    finally:
        allow(coordinator.folder, "b", "purchases", ("a",))
    assert outcome == "SB-2250"
    assert files(coordinator.folder) == before


def test_attack_j08_disclosure_that_is_asked_for_again_runs_no_second_time(
    coordinator: Coordinator, session: Session
) -> None:
    first, again = Carried(), Carried()
    outcomes = coordinator.join(drafted(session), first, again)
    assert isinstance(outcomes[0], bytes)
    assert outcomes[0] == outcomes[1]
    assert first.between()
    assert not again.frames


@pytest.mark.parametrize(
    "written", ["amount > 250", "amount > 250 AND kind = 'a'"], ids=["one column", "two"]
)
def test_attack_j23_filter_on_the_senders_rows_is_no_part_of_a_disclosure(
    coordinator: Coordinator, session: Session, written: str
) -> None:
    """The ids that match would tell who paid much: b allowed that its ids be known, no more."""
    statement = session.join("a.people", "b.purchases", on="id=buyer").statement
    narrow = f"{statement.removesuffix(')')} WHERE {written})"
    before = files(coordinator.folder)
    assert refusal(session, drafted(session, statement=narrow)) == "SB-1090"
    assert files(coordinator.folder) == before


def test_attack_j21_researcher_is_told_at_once_what_the_sender_must_allow(session: Session) -> None:
    with pytest.raises(SandboxError) as raised:
        session.join("b.purchases", "a.people", on="buyer=id").run()
    assert isinstance(raised.value, Refusal)
    assert raised.value.facts["rule"] == "disclose_ids_to"
