"""Attacks on who may do what: certificates, borrowed names, replays, decisions about oneself."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import grpc
import pytest

from nodes.approvals import approve
from nodes.taskrows import TaskState
from nodes.vault import Vault
from sandbox.client import Session
from sandbox.crypto.certificates import create_authority
from sandbox.crypto.identity import Identity, Role
from sandbox.crypto.trust import Trust
from sandbox.errors import Refusal
from sandbox.jobs import (
    BUDGET_REQUEST_KIND,
    CANCEL_KIND,
    JOB_KIND,
    LONGEST_LIFETIME_S,
    BudgetRequest,
    Cancellation,
)
from sandbox.rpc import common_pb2, coordinator_pb2, node_pb2
from sandbox.rpc.documents import to_message
from sandbox.submission import Terms
from tests.attacks.attacker import (
    Target,
    address,
    altered,
    calling,
    certify,
    handshake,
    offered,
    outcome,
)

DENIED = grpc.StatusCode.PERMISSION_DENIED
SERVERS = ("coordinator", "a")
COUNT = "SELECT COUNT(*) FROM machines"


# 1. Certificates


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("bearer", ["none", "expired", "not yet valid", "foreign", "self-made"])
def test_attack_01_no_handshake_without_a_valid_certificate(
    server: str, bearer: str, target: Target, tmp_path: Path
) -> None:
    ca = target.folder / "ca"
    at = address(target.folder, server)
    own = target.profile("coordinator")
    assert handshake(at, ca, own), "a sound certificate is admitted"
    profile: Path | None = tmp_path / "bearer"
    match bearer:
        case "none":
            profile = None
        case "expired":
            days = timedelta(days=2), timedelta(days=1)
            certify(tmp_path / "bearer", ca, "old", Role.RESEARCHER, age=days[0], lifetime=days[1])
        case "not yet valid":
            certify(tmp_path / "bearer", ca, "early", Role.RESEARCHER, age=-timedelta(days=1))
        case "foreign":
            create_authority(tmp_path / "ca")
            certify(tmp_path / "bearer", tmp_path / "ca", "coordinator", Role.COORDINATOR)
        case "self-made":
            # Signed by a certificate that is no authority, though the authority signed that one.
            certify(tmp_path / "bearer", ca, "leaf", Role.RESEARCHER)
            (tmp_path / "leaf").mkdir()
            for name, source in (("ca.crt", "tls.crt"), ("ca.key", "tls.key")):
                (tmp_path / "leaf" / name).write_bytes((tmp_path / "bearer" / source).read_bytes())
                (tmp_path / "leaf" / name).chmod(0o600)
            profile = tmp_path / "second"
            certify(profile, tmp_path / "leaf", "coordinator", Role.COORDINATOR)
    assert not handshake(at, ca, profile)


@pytest.mark.parametrize("server", SERVERS)
def test_attack_01_nobody_is_served_without_tls(server: str, target: Target) -> None:
    with grpc.insecure_channel(address(target.folder, server)) as channel:
        method = channel.unary_unary("/sandbox.v1.Node/Describe")
        assert outcome(method, b"", timeout=2).status is grpc.StatusCode.UNAVAILABLE


def test_attack_01_a_revoked_researcher_is_refused_at_his_next_call(target: Target) -> None:
    trust = Trust(target.profile("coordinator"))
    with calling(target.folder, "coordinator", target.profile("rival")) as stub:
        assert outcome(stub.Status, common_pb2.Empty()).status is grpc.StatusCode.OK
        trust.revoke(target.rival.public.fingerprint)
        try:
            refused = outcome(stub.Status, common_pb2.Empty())
        finally:
            trust.accept(target.rival.public)
        assert (refused.status, refused.code) == (DENIED, "SB-3112")
        assert outcome(stub.Status, common_pb2.Empty()).status is grpc.StatusCode.OK


def test_attack_01_a_certificate_that_was_never_enrolled_opens_nothing(
    target: Target, tmp_path: Path
) -> None:
    """Whoever stole the authority's key could mint one; the coordinator knows whom it enrolled."""
    certify(tmp_path / "ghost", target.folder / "ca", "ghost", Role.SUPERVISOR)
    with calling(target.folder, "coordinator", tmp_path / "ghost") as stub:
        refused = outcome(stub.Jobs, coordinator_pb2.JobsRequest())
    assert (refused.status, refused.code) == (DENIED, "SB-3113")


def test_attack_01_a_node_answers_no_coordinator_but_its_own(
    target: Target, tmp_path: Path
) -> None:
    certify(tmp_path / "second", target.folder / "ca", "coordinator", Role.COORDINATOR)
    with calling(target.folder, "a", tmp_path / "second") as stub:
        for method, request in node_calls(stub).values():
            refused = outcome(method, request)
            assert (refused.status, refused.code) == (DENIED, "SB-3251")


def test_attack_01_a_node_whose_owner_revoked_the_coordinator_is_silent(target: Target) -> None:
    profile = target.profile("b")
    vault = Vault.open(profile, Identity.load(profile))
    coordinator = Identity.load(target.profile("coordinator")).public
    vault.pins.pin(coordinator)
    with calling(target.folder, "b", target.profile("coordinator")) as stub:
        vault.pins.revoke(coordinator.fingerprint)
        try:
            refused = outcome(stub.Describe, node_pb2.DescribeRequest())
        finally:
            vault.pins.pin(coordinator)
            vault.close()
        assert (refused.status, refused.code) == (DENIED, "SB-3112")
        assert outcome(stub.Describe, node_pb2.DescribeRequest()).status is grpc.StatusCode.OK


# 2. Another's name


def test_attack_02_a_job_that_another_signed_is_not_taken_from_a_rival(
    target: Target, session: Session
) -> None:
    job = target.draft(session, COUNT)
    with calling(target.folder, "coordinator", target.profile("rival")) as stub:
        refused = outcome(stub.Submit, to_message(job))
    assert (refused.status, refused.code) == (DENIED, "SB-3114")


def test_attack_02_a_job_in_another_researchers_name_is_denied(
    target: Target, session: Session
) -> None:
    job = target.draft(session, COUNT)
    in_his_name = altered(job, target.rival)
    relabelled = replace(in_his_name, signer=job.signer)
    with calling(target.folder, "coordinator", target.profile("rival")) as stub:
        refused = outcome(stub.Submit, to_message(in_his_name))
        assert (refused.status, refused.code) == (DENIED, "SB-3102")
        refused = outcome(stub.Submit, to_message(relabelled))
        assert (refused.status, refused.code) == (DENIED, "SB-3114")
    # A coordinator that lets it pass finds the node as strict.
    assert offered(target.folder, "a", in_his_name) == "SB-3102"
    assert offered(target.folder, "a", relabelled) == "SB-3012"


def test_attack_02_a_rival_neither_sees_nor_ends_anothers_job(
    target: Target, session: Session
) -> None:
    job = session.submit(session.sql(COUNT).plan, cheap())
    session.wait(job, None)
    cancellation = target.rival.sign(CANCEL_KIND, Cancellation(job=job, at=now()).body())
    request = coordinator_pb2.JobRequest(job=job)
    with calling(target.folder, "coordinator", target.profile("rival")) as stub:
        for method, asked in (
            (stub.Watch, request),
            (stub.Result, request),
            (stub.Cancel, to_message(cancellation)),
        ):
            assert outcome(method, asked).code == "SB-3124"
        listed = outcome(stub.Jobs, coordinator_pb2.JobsRequest()).reply
        assert job not in {state.job for state in listed.jobs}


def test_attack_02_a_node_lets_nobody_cancel_for_another(target: Target, session: Session) -> None:
    job = target.draft(session, COUNT)
    assert offered(target.folder, "a", job) == ""
    name = job_id(job.body)
    cancellation = target.rival.sign(CANCEL_KIND, Cancellation(job=name, at=now()).body())
    with calling(target.folder, "a", target.profile("coordinator")) as stub:
        outcome(stub.Cancel, to_message(cancellation))
    assert task_state(target, "a", name) is TaskState.ACCEPTED


def test_attack_02_a_budget_is_told_to_its_researcher_alone(target: Target) -> None:
    asked = BudgetRequest(researcher=target.researcher.public.fingerprint, nonce="0" * 32, at=now())
    signed = target.rival.sign(BUDGET_REQUEST_KIND, asked.body())
    with calling(target.folder, "a", target.profile("coordinator")) as stub:
        refused = outcome(stub.Budget, to_message(signed))
    assert (refused.status, refused.code) == (DENIED, "SB-3254")


# 3. Another's endpoints


def test_attack_03_a_researcher_is_denied_every_provider_endpoint_and_it_is_logged(
    target: Target,
) -> None:
    with calling(target.folder, "a", target.profile("researcher")) as stub:
        for method, request in node_calls(stub).values():
            refused = outcome(method, request)
            assert (refused.status, refused.code) == (DENIED, "SB-3111")
    told = f"refused to researcher researcher ({target.researcher.public.fingerprint}): SB-3111"
    for name in node_calls(stub):
        assert f"{name} {told}" in target.log("a")


@pytest.mark.parametrize("party", ["a", "supervisor"])
def test_attack_03_only_researchers_submit_cancel_and_upload(party: str, target: Target) -> None:
    with calling(target.folder, "coordinator", target.profile(party)) as stub:
        for method, request in (
            (stub.Submit, common_pb2.Document()),
            (stub.Cancel, common_pb2.Document()),
            (stub.Budget, common_pb2.Document()),
            (stub.PutContext, iter([coordinator_pb2.UploadPart()])),
        ):
            refused = outcome(method, request)
            assert (refused.status, refused.code) == (DENIED, "SB-3111")


def test_attack_03_a_method_that_nobody_listed_is_refused(target: Target) -> None:
    """The coordinator's main port does not enrol: that is another port with another guard."""
    with calling(target.folder, "coordinator", target.profile("researcher")) as stub:
        refused = outcome(stub.Enrol, coordinator_pb2.EnrolRequest())
    assert (refused.status, refused.code) == (DENIED, "SB-3111")


# 4. Replays


def test_attack_04_a_job_sent_again_costs_nothing_and_gives_the_stored_answer(
    target: Target, session: Session
) -> None:
    job = target.draft(session, COUNT)
    with calling(target.folder, "coordinator", target.profile("researcher")) as stub:
        stub.Submit(to_message(job), timeout=10)
        list(stub.Watch(coordinator_pb2.JobRequest(job=job_id(job.body)), timeout=30))
        first = answer_bytes(stub, job_id(job.body))
        before = session.budget()
        again = outcome(stub.Submit, to_message(job)).reply
        assert again.phase == "done"
        assert answer_bytes(stub, job_id(job.body)) == first
        assert session.budget() == before


@pytest.mark.parametrize("at", ["coordinator", "node"])
def test_attack_04_an_expired_job_is_refused(at: str, target: Target, session: Session) -> None:
    fresh = target.draft(session, COUNT)
    old = altered(fresh, target.researcher, created=now() - 900, expires=now() - 1)
    if at == "node":
        assert offered(target.folder, "a", old) == "SB-3104"
        return
    with calling(target.folder, "coordinator", target.profile("researcher")) as stub:
        refused = outcome(stub.Submit, to_message(old))
    assert (refused.status, refused.code) == (DENIED, "SB-3104")


@pytest.mark.parametrize("at", ["coordinator", "node"])
def test_attack_04_a_job_that_would_live_longer_than_a_week_is_refused(
    at: str, target: Target, session: Session
) -> None:
    fresh = target.draft(session, COUNT)
    standing = altered(
        fresh, target.researcher, created=now(), expires=now() + LONGEST_LIFETIME_S + 60
    )
    if at == "node":
        assert offered(target.folder, "a", standing) == "SB-3310"
        return
    with calling(target.folder, "coordinator", target.profile("researcher")) as stub:
        refused = outcome(stub.Submit, to_message(standing))
    assert (refused.status, refused.code) == (DENIED, "SB-3310")


def test_attack_04_an_old_budget_request_is_refused(target: Target) -> None:
    own = target.researcher.public.fingerprint
    asked = BudgetRequest(researcher=own, nonce="0" * 32, at=now() - 900)
    signed = target.researcher.sign(BUDGET_REQUEST_KIND, asked.body())
    with calling(target.folder, "a", target.profile("coordinator")) as stub:
        refused = outcome(stub.Budget, to_message(signed))
    assert (refused.status, refused.code) == (DENIED, "SB-3255")


def test_attack_04_a_signature_made_for_one_kind_serves_no_other(
    target: Target, session: Session
) -> None:
    job = target.draft(session, COUNT)
    with calling(target.folder, "coordinator", target.profile("researcher")) as stub:
        refused = outcome(stub.Cancel, to_message(job))
        assert (refused.status, refused.code) == (DENIED, "SB-3010")
        refused = outcome(stub.Cancel, to_message(replace(job, kind=CANCEL_KIND)))
        assert (refused.status, refused.code) == (DENIED, "SB-3012")


# 5. Deciding about oneself


def test_attack_05_nobody_approves_his_own_job(target: Target, tmp_path: Path) -> None:
    node = Identity.generate("n", Role.NODE)
    vault = Vault.open(tmp_path, node)
    job = target.researcher.sign(JOB_KIND, {"job": "0" * 32, "expires": now() + 60})
    vault.accept_job("0" * 32, job, waiting=True)
    with pytest.raises(Refusal, match="SB-1451"):
        approve(vault, "0" * 32, target.researcher.public.fingerprint, "it is fine")
    task = vault.task_of("0" * 32)
    assert task is not None
    assert task.state is TaskState.WAITING
    vault.close()


def node_calls(stub: object) -> dict[str, tuple[object, object]]:
    """Return every method of a node with an empty request."""
    requests = {
        "Describe": node_pb2.DescribeRequest(),
        "PutContext": iter([node_pb2.ContextPart()]),
        "Offer": node_pb2.OfferRequest(),
        "SignRoster": node_pb2.SignRosterRequest(),
        "Compute": node_pb2.ComputeRequest(),
        "Join": iter([node_pb2.JoinPart()]),
        "Evidence": node_pb2.EvidenceRequest(),
        "Witness": node_pb2.WitnessRequest(),
        "LastHead": node_pb2.LastHeadRequest(),
        "ConfirmHead": node_pb2.ConfirmHeadRequest(),
        "Budget": common_pb2.Document(),
        "Cancel": common_pb2.Document(),
    }
    known = {method.name for method in node_pb2.DESCRIPTOR.services_by_name["Node"].methods}
    assert set(requests) == known, "a new method needs a request here"
    return {name: (getattr(stub, name), request) for name, request in requests.items()}


def answer_bytes(stub: object, job: str) -> bytes:
    parts = stub.Result(coordinator_pb2.JobRequest(job=job), timeout=30)  # type: ignore[attr-defined]
    return b"".join(part.SerializeToString() for part in parts)


def task_state(target: Target, node: str, job: str) -> TaskState:
    profile = target.profile(node)
    vault = Vault.open(profile, Identity.load(profile))
    try:
        task = vault.task_of(job)
        assert task is not None
        return task.state
    finally:
        vault.close()


def cheap() -> Terms:
    return Terms(Decimal("0.01"), Decimal("0.000001"))


def job_id(body: bytes) -> str:
    return str(json.loads(body)["job"])


def now() -> int:
    return int(time.time())
