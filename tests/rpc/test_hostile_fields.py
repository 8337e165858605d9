"""Whatever a peer writes into a message, a handler answers with a closed error code.

The handlers run in process, behind no network, with documents that are signed as they should be and
say anything. Any exception but a SandboxError would reach a peer as "failed inside" (SB-5199), and
the owner's log as a traceback.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.coordinator.enrolment import EnrolmentService
from sandbox.coordinator.server import UNFINISHED_PER_RESEARCHER
from sandbox.coordinator.store import CONTEXTS_PER_RESEARCHER
from sandbox.crypto.identity import canonical
from sandbox.errors import SandboxError, Unavailable
from sandbox.rpc import coordinator_pb2, node_pb2
from sandbox.rpc.documents import to_message
from tests.rpc.hostile import (
    JUNK,
    Services,
    bodies,
    coordinator_calls,
    documents,
    node_calls,
    serving,
    stream,
    text_of,
)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with serving(tmp_path_factory.mktemp("fuzz") / "d") as served:
        yield served


FUZZ = settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZ
@given(data=st.data())
def test_a_node_answers_any_message_with_a_reply_or_a_closed_error(
    services: Services, data: st.DataObject
) -> None:
    method, request = data.draw(node_calls(services))
    if method == "PutContext":
        request = stream(request)
    services.ask("node", method, request, "coordinator")


@FUZZ
@given(data=st.data())
def test_the_coordinator_answers_any_message_with_a_reply_or_a_closed_error(
    services: Services, data: st.DataObject
) -> None:
    method, request = data.draw(coordinator_calls(services))
    if method == "PutContext":
        request = stream(request)
    services.ask("coordinator", method, request, "researcher")


@FUZZ
@given(data=st.data())
def test_enrolment_answers_any_request_with_a_closed_error(
    services: Services, data: st.DataObject
) -> None:
    """The one call that needs no certificate. Nobody was invited here: nobody may get one."""
    sound = canonical(services.identities["nodes/a"].public.to_document())
    deep = b"[" * 30_000
    request = coordinator_pb2.EnrolRequest(
        token=data.draw(st.text(max_size=40) | st.just("0123456789abcdef." + "00" * 32)),
        csr=data.draw(st.binary(max_size=40)),
        identity=data.draw(
            st.just(sound) | st.binary(max_size=40) | JUNK.map(text_of) | st.just(deep)
        ),
        proof=data.draw(documents(services)),
        address=data.draw(st.text(max_size=30)),
    )
    with pytest.raises(SandboxError):
        EnrolmentService(services.folder / "coordinator")._enrol(request)


def test_the_sound_documents_of_this_fuzz_get_past_the_first_checks(services: Services) -> None:
    """Else the fuzz would knock at the door only."""
    known = bodies(services)
    researcher = services.identities["researcher"]
    job = to_message(researcher.sign("job", known["job"]))
    offered = services.ask(
        "node", "Offer", node_pb2.OfferRequest(job=job, attempt=1), "coordinator"
    )
    assert offered.offer.kind == "offer"
    budget = to_message(researcher.sign("budget-request", known["budget-request"]))
    assert services.ask("node", "Budget", budget, "coordinator").kind == "budget"
    assert services.ask("coordinator", "Submit", job, "researcher").code == "SB-3122"
    peer = services.identities["nodes/c"]
    head = to_message(peer.sign("head", {**known["head"], "log": peer.public.fingerprint}))
    witness = node_pb2.WitnessRequest(head=head)
    assert services.ask("node", "Witness", witness, "coordinator").cosignature.kind == "witness"


@pytest.mark.parametrize("party", ["node", "coordinator"])
def test_an_empty_stream_of_parts_is_refused(party: str, services: Services) -> None:
    caller = "coordinator" if party == "node" else "researcher"
    assert services.ask(party, "PutContext", stream([]), caller).code == "SB-3252"


@pytest.mark.parametrize("field", ["created", "expires"])
@pytest.mark.parametrize("seconds", [-1, 2**40, 2**63, 2**70])
def test_a_job_whose_times_no_clock_shows_is_refused(
    field: str, seconds: int, services: Services
) -> None:
    """Stored, it would make every later listing of jobs fail: its reply could not be written."""
    body = {**bodies(services)["job"], field: seconds}
    job = to_message(services.identities["researcher"].sign("job", body))
    error = services.ask("coordinator", "Submit", job, "researcher")
    assert (error.code, error.facts["field"]) == ("SB-3101", field)


def test_attempts_are_numbered_from_1(services: Services) -> None:
    job = to_message(services.identities["researcher"].sign("job", bodies(services)["job"]))
    request = node_pb2.OfferRequest(job=job, attempt=0)
    reply = services.ask("node", "Offer", request, "coordinator")
    assert reply.problem.code == "SB-3259"


def test_one_researcher_cannot_fill_the_coordinator(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, name = services.coordinator._store, "fs1somebody"
    for number in range(CONTEXTS_PER_RESEARCHER):
        store.add_context(f"{number:064x}", "bfv-4096-40", name, b"context")
    with pytest.raises(Unavailable, match="SB-3270"):
        store.add_context("f" * 64, "bfv-4096-40", name, b"one too many")
    store.add_context(f"{0:064x}", "bfv-4096-40", name, b"context")
    store.add_context("ab" * 32, "bfv-4096-40", "fs1another", b"context")

    monkeypatch.setattr(services.coordinator, "_drive", lambda job, sessions: None)
    codes = []
    for number in range(UNFINISHED_PER_RESEARCHER + 1):
        body = {**bodies(services)["job"], "job": f"{number + 1000:032x}"}
        job = to_message(services.identities["researcher"].sign("job", body))
        reply = services.ask("coordinator", "Submit", job, "researcher")
        codes.append(getattr(reply, "code", ""))
    assert codes == [""] * UNFINISHED_PER_RESEARCHER + ["SB-3269"]
